package sluice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/config"
)

// Reload puts a new configuration in use. Requests under way end on the old
// one; backends whose configuration is the same keep their processes, their
// queue and their connections. After an error the old configuration is still
// in use.
func (s *Server) Reload(cfg *config.Config) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return ErrClosed
	}
	old := s.current.Load()
	snap, err := s.build(cfg, old)
	if err != nil {
		return err
	}
	if err := s.listen(snap.listen); err != nil {
		snap.end(context.Background())
		return err
	}
	s.current.Store(snap)
	s.retired.Go(func() { // ends when the last request of old has; end waits
		if err := old.retire(context.Background()); err != nil {
			s.o.Log.Warn("ending the old configuration", slog.Any("err", err))
		}
	})
	return nil
}

// listen opens the listeners that are not open yet, and then closes those that
// are not wanted any more. If one cannot be opened, nothing changes.
func (s *Server) listen(wanted []string) error {
	opened := make(map[string]*listener)
	keep := make(map[string]bool)
	for _, spec := range wanted {
		keep[spec] = true
		if s.listeners[spec] != nil {
			continue
		}
		l, err := openListener(spec)
		if err != nil {
			for _, l := range opened {
				l.Close()
			}
			return err
		}
		opened[spec] = &listener{Listener: l}
	}
	for spec, l := range s.listeners {
		if !keep[spec] {
			delete(s.listeners, spec)
			l.drop()
		}
	}
	for spec, l := range opened {
		s.listeners[spec] = l
		s.serve(spec, l)
	}
	return nil
}

// A listener is an open listener and whether it is still wanted.
type listener struct {
	net.Listener
	dropped atomic.Bool
}

func (l *listener) drop() {
	l.dropped.Store(true)
	l.Close()
}

// serve serves one listener until it is closed.
func (s *Server) serve(spec string, l *listener) {
	s.serving.Go(func() { // ends when the listener is closed; end waits
		err := s.http.Serve(l)
		if !l.dropped.Load() && !errors.Is(err, http.ErrServerClosed) {
			select {
			case s.failed <- fmt.Errorf("sluice: listener %s: %w", spec, err):
			default:
			}
		}
	})
	s.o.Log.LogAttrs(context.Background(), slog.LevelInfo, "listening", slog.String("url", URL(l.Addr())))
}

func (s *Server) closeListeners() {
	for spec, l := range s.listeners {
		delete(s.listeners, spec)
		l.drop()
	}
	s.serving.Wait()
}
