package backend

import (
	"context"
	"log/slog"
	"sync"

	"github.com/sluice-gateway/sluice/internal/watch"
	"github.com/sluice-gateway/sluice/process"
)

// A watcher replaces the processes of a backend when files change that they
// have read. The zero watcher does nothing.
type watcher struct {
	files watch.Files
	first watch.Stamps

	end  context.CancelFunc
	runs sync.WaitGroup
}

// look notes how the files are before the first process reads them.
func (w *watcher) look(files watch.Files) (err error) {
	w.files = files
	w.first, err = w.files.Look()
	return err
}

// start begins to watch; close ends it, and waits.
func (w *watcher) start(g *process.Group, log *slog.Logger) {
	if len(w.files.Paths) == 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	w.end = cancel
	// It blocks between two looks and in Restart, both of which heed ctx.
	w.runs.Go(func() {
		w.files.Watch(ctx, w.first, func() {
			log.Info("files changed, replacing processes")
			if err := g.Restart(ctx); err != nil && ctx.Err() == nil {
				log.Error("processes not replaced", slog.Any("err", err))
			}
		})
	})
}

func (w *watcher) close() {
	if w.end != nil {
		w.end()
	}
	w.runs.Wait()
}
