package sluice

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"syscall"

	"github.com/sluice-gateway/sluice/config"
)

// Reload puts a new configuration in use. Requests under way end on the old
// one. Backends keep their processes, their queue and their connections, unless
// something has changed that processes are started with, max_load, multiplex, or
// how long they serve; then the new ones take requests before those that they
// replace are ended. After an error, one of a new process included, the old
// configuration is still in use.
func (s *Server) Reload(cfg *config.Config) error { return s.reload(cfg, false) }

// Restart replaces the processes of all backends, as Reload does if all of them
// have changed.
func (s *Server) Restart() error { return s.reload(nil, true) }

// reload puts cfg, or if it is nil the configuration that there is, in use. With
// anew no backend is taken over.
func (s *Server) reload(cfg *config.Config, anew bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return ErrClosed
	}
	if cfg == nil {
		cfg = s.current.Load().cfg
	}
	opened, err := s.open(listenersOf(cfg))
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("%w (if that is this Sluice under its old address: a restart changes it)", err)
	} else if err != nil {
		return err
	}
	old := s.current.Load()
	snap, err := s.prepare(s.wanted, cfg, old, anew)
	if err != nil {
		closeAll(opened)
		return err
	}
	if was, is := s.inForce, cfg.Timeout; was.Header != is.Header || was.Write != is.Write || was.Idle != is.Idle {
		s.o.Log.Warn("timeout.header, timeout.write and timeout.idle count from the next start")
	}
	s.current.Store(snap)
	for _, b := range cfg.Backends {
		snap.backends[b.Name].Adjust(b)
	}
	s.adopt(snap.listen, opened)
	s.retired.Go(func() { // ends when the last request of old has; end waits
		if err := old.retire(s.life, snap); err != nil {
			s.o.Log.Warn("ending the old configuration", slog.Any("err", err))
		}
	})
	return nil
}

// listenersOf returns where a configuration wants HTTP to be taken.
func listenersOf(cfg *config.Config) []string {
	if len(cfg.Listen) == 0 {
		return []string{defaultListen}
	}
	return cfg.Listen
}

// open opens the listeners that are wanted and not open yet. It comes before
// everything else: an address that is in use is found out before processes are
// started. Without the last of them, none is opened.
func (s *Server) open(wanted []string) (map[string]*listener, error) {
	opened := make(map[string]*listener)
	for _, spec := range wanted {
		if s.listeners[spec] != nil || opened[spec] != nil {
			continue
		}
		l, err := s.openListener(spec)
		if err != nil {
			closeAll(opened)
			return nil, err
		}
		opened[spec] = &listener{Listener: l}
	}
	return opened, nil
}

func closeAll[L net.Listener](listeners map[string]L) {
	for _, l := range listeners {
		l.Close()
	}
}

// adopt closes the listeners that are not wanted any more and serves those
// that have been opened.
func (s *Server) adopt(wanted []string, opened map[string]*listener) {
	for spec, l := range s.listeners {
		if !slices.Contains(wanted, spec) {
			delete(s.listeners, spec)
			l.drop()
		}
	}
	for _, spec := range wanted {
		if l := opened[spec]; l != nil {
			delete(opened, spec)
			s.listeners[spec] = l
			s.serve(spec, l)
		}
	}
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
		keep(l.Listener, s.handed.Load())
		l.drop()
	}
	s.serving.Wait()
}
