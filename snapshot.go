package sluice

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/gateway"
	"github.com/sluice-gateway/sluice/internal/backend"
	"github.com/sluice-gateway/sluice/static"
)

// A snapshot is all that one configuration made. It does not change; a request
// ends on the snapshot it began on. Backends may belong to several snapshots:
// to the one that made them and to its successors with the same settings.
type snapshot struct {
	cfg      *config.Config
	listen   []string
	gateway  *gateway.Handler
	handler  cgi.Handler // the gateway in its access log
	files    *static.Files
	backends map[string]*backend.Backend

	access     *slog.Logger // nil if there is none
	accessFile io.Closer    // nil if it is not a file

	holds atomic.Int64  // requests, and one while the snapshot is in use
	idle  chan struct{} // closed when nobody holds it any more
}

// backend returns the one of a name, nil if there is none, or no snapshot.
func (s *snapshot) backend(name string) *backend.Backend {
	if s == nil {
		return nil
	}
	return s.backends[name]
}

// hold keeps the snapshot alive; false if it is too late for that.
func (s *snapshot) hold() bool {
	for {
		n := s.holds.Load()
		if n == 0 {
			return false
		}
		if s.holds.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (s *snapshot) release() {
	if s.holds.Add(-1) == 0 {
		close(s.idle)
	}
}

// giveUp gives up the backends that are not those of next, which may be nil.
func (s *snapshot) giveUp(next *snapshot) {
	for name, b := range s.backends {
		if next.backend(name) != b {
			b.GiveUp()
		}
	}
}

// retire waits for the last request of a snapshot that is not current any more,
// next being the one that is, if any, and ends what no other snapshot uses. When
// ctx is done it waits no longer.
func (s *snapshot) retire(ctx context.Context, next *snapshot) error {
	if next != nil {
		s.giveUp(next)
	}
	s.release()
	select {
	case <-s.idle:
	case <-ctx.Done():
	}
	return s.end(ctx)
}

// end gives up the backends and closes the files.
func (s *snapshot) end(ctx context.Context) error {
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	for _, b := range s.backends {
		wg.Go(func() {
			if err := b.Release(ctx); err != nil {
				mu.Lock()
				errs = append(errs, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if s.files != nil {
		errs = append(errs, s.files.Close())
	}
	if s.accessFile != nil {
		errs = append(errs, s.accessFile.Close())
	}
	return errors.Join(errs...)
}
