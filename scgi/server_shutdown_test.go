package scgi

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// slowly answers after 10 seconds, or when its context is done, and reports
// the cause.
func slowly(causes chan<- error) cgi.HandlerFunc {
	return func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		select {
		case <-time.After(10 * time.Second):
			io.WriteString(w, "hello")
		case <-ctx.Done():
			causes <- context.Cause(ctx)
			time.Sleep(5 * time.Second) // does not hurry
		}
	}
}

func TestShutdownLetsRequestsEnd(t *testing.T) {
	s := &Server{Handler: slowly(nil)}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		silent, late, busy, begun := dial(), dial(), dial(), dial()
		busy.send(get)
		begun.send(get[:20])
		synctest.Wait()
		start := time.Now()
		ended := make(chan error)
		go func() { ended <- s.Shutdown(context.Background()) }()
		time.Sleep(shutdownDiscard / 2)
		late.send(get[:1])
		time.Sleep(shutdownDiscard)
		if got := silent.answer(); got != " closed" {
			t.Errorf("silent connection: %q, want it closed", got)
		}
		late.send(get[1:])
		time.Sleep(2 * time.Second)
		begun.send(get[20:])
		if err := <-ended; err != nil || time.Since(start) != 13500*time.Millisecond { // the last request began that late
			t.Errorf("Shutdown = %v after %v, want nil after 13.5s", err, time.Since(start))
		}
		for _, w := range []*web{late, busy, begun} {
			if got := w.answer(); got != ok200+"hello closed" {
				t.Errorf("answer = %s", got)
			}
		}
		if err := s.Shutdown(context.Background()); err != nil {
			t.Errorf("second Shutdown = %v", err)
		}
	})
}

func TestShutdownDeadline(t *testing.T) {
	causes := make(chan error, 1)
	s := &Server{Handler: slowly(causes)}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		w := dial()
		w.send(get)
		synctest.Wait()
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		err := s.Shutdown(ctx)
		if took := time.Since(start); err != context.DeadlineExceeded || took != 8*time.Second {
			t.Errorf("Shutdown = %v after %v, want the deadline's error, and to have waited for the handler: 8s", err, took)
		}
		if cause := <-causes; cause != ErrShutdown {
			t.Errorf("cause = %v, want ErrShutdown", cause)
		}
		if got := w.answer(); got != " closed" {
			t.Errorf("answer = %s", got)
		}
	})
}

func TestCloseEndsAtOnce(t *testing.T) {
	causes := make(chan error, 1)
	s := &Server{Handler: slowly(causes)}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		w := dial()
		w.send(get)
		synctest.Wait()
		start := time.Now()
		s.Close()
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("Close took %v, want the 5s of the handler", took)
		}
		if cause := <-causes; cause != ErrShutdown {
			t.Errorf("cause = %v, want ErrShutdown", cause)
		}
	})
}

func TestShutdownBeforeServe(t *testing.T) {
	s := &Server{Handler: slowly(nil)}
	if err := s.Shutdown(context.Background()); err != nil {
		t.Errorf("Shutdown = %v", err)
	}
	l := newPipeListener()
	if err := s.Serve(l); err != ErrClosed {
		t.Errorf("Serve = %v, want ErrClosed", err)
	}
	select {
	case <-l.closed:
	default:
		t.Error("the listener was left open")
	}
}
