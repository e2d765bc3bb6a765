package pool

import (
	"context"
	"log/slog"
	"slices"
)

// A Source knows where workers are.
type Source interface {
	// Watch calls set with the full list of endpoints, first as soon as it
	// is known and again whenever it changes; never with a difference. It
	// returns when ctx is done; its error is nil then. set does not keep
	// the slice, may be called by any goroutine, and does nothing any more
	// once the pool is closed.
	Watch(ctx context.Context, set func([]Endpoint)) error
}

// Static is a Source whose list does not change.
type Static []Endpoint

var _ Source = Static(nil)

// Watch implements Source.
func (s Static) Watch(ctx context.Context, set func([]Endpoint)) error {
	set(s)
	<-ctx.Done()
	return nil
}

// Watch gives the pool its source. It is called once. A Static list is taken
// over before Watch returns; another source may need time, and the requests
// wait for it. Of a source that ends early the last list stays.
func (p *Pool) Watch(src Source) {
	if s, ok := src.(Static); ok {
		p.set(s)
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		stop()
		return
	}
	if p.stop != nil {
		stop()
		panic("pool: Watch called twice")
	}
	p.stop = stop
	// The pool owns the goroutine: Close ends it by its context and waits.
	// Where it blocks is the source's affair, which promises to heed that.
	p.running.Go(func() {
		err := src.Watch(ctx, p.set)
		if ctx.Err() == nil {
			p.config.Log.LogAttrs(ctx, slog.LevelError, "source of workers ended",
				slog.String("backend", p.config.Name), slog.Any("err", err))
		}
	})
}

// set replaces the list of workers. A worker whose address is in the list
// before and after stays, with all that is known of it. One that is gone gets
// no further request and finishes what it has; if it comes back in the
// meantime its load is still counted, but its failures are those of another.
// Of two endpoints with the same address the first counts.
func (p *Pool) set(list []Endpoint) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	added, gone := p.replace(list)
	p.ready = make([]*Worker, 0, len(p.workers))
	p.dispatch(p.now())
	p.giveIn()
	n := len(p.workers)
	p.mu.Unlock()
	p.config.Waiting()
	if len(added)+len(gone) > 0 {
		p.config.Log.LogAttrs(context.Background(), slog.LevelInfo, "workers changed",
			slog.String("backend", p.config.Name),
			slog.Int("workers", n),
			slog.Any("added", added),
			slog.Any("gone", gone))
	}
}

// replace does it, and returns the names of those that came and went.
func (p *Pool) replace(list []Endpoint) (added, gone []string) {
	known := make(map[where]*Worker, len(p.workers)+len(p.drained))
	before := slices.Concat(p.workers, p.drained)
	for _, w := range before {
		known[w.where()] = w
	}
	named := make(map[*Worker]bool, len(list))
	p.workers, p.drained = make([]*Worker, 0, len(list)), nil
	for _, e := range list {
		at := where{e.Network, e.Address}
		w := known[at]
		if w == nil {
			w = newWorker(p, e)
			known[at] = w
		}
		if named[w] {
			continue
		}
		named[w] = true
		w.max.Store(int64(orDefault(e.MaxLoad, p.config.MaxLoad, noLimit)))
		if w.gone {
			w.gone, w.born, w.health, w.doubt = false, p.turn, health{}, false
			added = append(added, w.name)
		}
		p.workers = append(p.workers, w)
	}
	for _, w := range before {
		if named[w] {
			continue
		}
		if !w.gone {
			w.gone = true
			gone = append(gone, w.name)
		}
		if w.load.Load() > 0 {
			p.drained = append(p.drained, w)
		} else {
			w.ended()
		}
	}
	p.gauge.recount(p.workers)
	return added, gone
}

// forget drops a worker that has left the list and finished its last request.
func (p *Pool) forget(w *Worker) {
	p.drained = slices.DeleteFunc(p.drained, func(d *Worker) bool { return d == w })
	w.ended()
}
