package scgi

import (
	"context"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A halfPipe is a pipe of which one direction can be closed, as it were.
type halfPipe struct {
	net.Conn
	half chan struct{} // closed by CloseWrite
}

func (p *halfPipe) CloseWrite() error { close(p.half); return nil }

// lingering calls test with a connection that has been answered while some of
// its request has not come, on a clock of its own.
func lingering(t *testing.T, request, want string, test func(t *testing.T, s *Server, w *web)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		var handled context.Context
		s := &Server{Handler: cgi.HandlerFunc(func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			handled = ctx
			sayHello(ctx, w, r)
		})}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		ours, theirs := net.Pipe()
		half := &halfPipe{theirs, make(chan struct{})}
		l.conns <- half
		w := newWeb(t, ours)
		defer func() { // a Fatal must not leave the bubble with goroutines
			w.Close()
			<-w.done
			s.Close()
			<-served
		}()
		w.send(request)
		if got := w.answer(); got != want {
			t.Fatalf("answer = %q, want %q and no close", got, want)
		}
		select {
		case <-half.half:
		default:
			t.Fatal("the writing has not been ended: the web server waits for more")
		}
		if handled != nil && handled.Err() == nil {
			t.Error("the context is not done when the handler has returned")
		}
		test(t, s, w)
	})
}

// closedAfter wants the server to close the connection in so much time.
func closedAfter(t *testing.T, w *web, want time.Duration) {
	t.Helper()
	start := time.Now()
	select {
	case <-w.done:
		if got := time.Since(start); got != want {
			t.Errorf("closed after %v, want %v", got, want)
		}
	case <-time.After(time.Hour):
		t.Error("still open after an hour")
	}
}

func TestServerLingersForAWhile(t *testing.T) {
	lingering(t, post5M, ok200+"hello", func(t *testing.T, _ *Server, w *web) {
		time.Sleep(10 * time.Second)
		w.send("more") // buys no time
		closedAfter(t, w, discardTime-10*time.Second)
	})
}

func TestServerLingersAfterARefusal(t *testing.T) {
	const refused = "Status: 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nBad Request\n"
	lingering(t, "x", refused, func(t *testing.T, _ *Server, w *web) {
		w.send("more")
		closedAfter(t, w, discardTime)
	})
}

func TestServerLingersNotForLongInShutdown(t *testing.T) {
	lingering(t, post5M, ok200+"hello", func(t *testing.T, s *Server, w *web) {
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(context.Background()) }()
		closedAfter(t, w, shutdownDiscard)
		if err := <-ended; err != nil {
			t.Errorf("Shutdown = %v", err)
		}
	})
}

func TestServerLingersForSoManyBytes(t *testing.T) {
	lingering(t, post5M, ok200+"hello", func(t *testing.T, _ *Server, w *web) {
		sent, piece := 0, make([]byte, 1<<20)
		for ; sent < 2*discardBytes; sent += len(piece) {
			if _, err := w.Write(piece); err != nil {
				break
			}
		}
		if sent < discardBytes-len(piece) || sent > discardBytes+len(piece) {
			t.Errorf("%d bytes were taken, want about %d", sent, discardBytes)
		}
	})
}
