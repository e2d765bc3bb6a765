package sluice

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Serve serves until ctx is done, then drains: it takes no new requests,
// finishes those under way within the configured time (after HandOver in any,
// until Hurry), and ends the processes of the backends. It returns nil after a
// complete drain.
func (s *Server) Serve(ctx context.Context) error {
	var err error
	select {
	case <-ctx.Done():
	case <-s.life.Done():
	case err = <-s.failed:
	}
	return errors.Join(err, s.end())
}

// Close ends at once: connections are cut, processes killed. Serve returns
// then.
func (s *Server) Close() { s.kill() }

// end drains and closes everything. Close cuts it short, and so does the end of
// the time to drain.
func (s *Server) end() error {
	s.unwanted(ErrClosed) // a reload that waits for its processes gives up, and the lock
	s.mu.Lock()
	defer s.mu.Unlock()
	defer s.kill()
	s.ended = true
	snap := s.current.Load()
	if d := orDefault(snap.cfg.Timeout.Drain, defaultDrainTimeout); d > 0 {
		defer s.boundDrain(d)()
	}
	// Shutdown drops the requests that come while it waits, and idle connections
	// at once; so first nothing may be left that can bring one.
	s.closeListeners()
	s.front.CloseConnections()
	if s.handed.Load() {
		s.quiet.drain(handedGrace, s.hurried.Done())
		snap.giveUp(nil) // what has nothing to do, while others take their time
	} else {
		s.quiet.drain(quietGrace, s.life.Done())
	}
	s.http.SetKeepAlivesEnabled(false)
	var errs []error
	if err := s.http.Shutdown(s.life); err != nil {
		errs = append(errs, fmt.Errorf("sluice: requests were still under way when the time to drain was over: %w", err))
		s.http.Close()
	}
	errs = append(errs, snap.retire(s.life, nil))
	s.retired.Wait()
	return errors.Join(errs...)
}

// boundDrain ends everything when the time to drain is over, until stop is
// called. The time begins at once, or with Hurry if a successor serves.
func (s *Server) boundDrain(most time.Duration) (stop func()) {
	if !s.handed.Load() {
		s.hurry()
	}
	stopped := make(chan struct{})
	go func() { // ends with stop
		select {
		case <-s.hurried.Done():
		case <-stopped:
			return
		}
		select {
		case <-time.After(most):
			s.kill()
		case <-stopped:
		}
	}()
	return func() { close(stopped) }
}

func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}
