package fastcgi

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A web server that sends all of its body before it reads the answer must not
// find the connection closed on it.
func TestServerTakesTheRestOfABody(t *testing.T) {
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Handler: cgi.HandlerFunc(sayHello)}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }() // until Close
	defer func() {
		s.Close()
		<-served
	}()
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	piece := stdin1(strings.Repeat("x", 50_000))
	io.WriteString(nc, beginN1+get1+params1("\x0e\x07CONTENT_LENGTH5000000")+endParams1)
	answer, err := io.ReadAll(nc) // the answer has gone out, and half of the connection is closed
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if _, err := io.WriteString(nc, piece); err != nil {
			t.Fatalf("the rest of the body: %v", err)
		}
	}
	if got, err := describe(answer); got != ok1 || err != nil {
		t.Errorf("replies = %s, %v", got, err)
	}
}

// A halfPipe is a pipe of which one direction can be closed, as it were.
type halfPipe struct {
	net.Conn
	half chan struct{} // closed by CloseWrite
}

func (p *halfPipe) CloseWrite() error { close(p.half); return nil }

// lingering calls test with a connection whose answer has gone out while its
// body has not come, on a clock of its own.
func lingering(t *testing.T, test func(t *testing.T, s *Server, w *web)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			io.WriteString(w, "hello")
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
		w.send(beginN1 + get1 + params1("\x0e\x07CONTENT_LENGTH5000000") + endParams1)
		if got := w.replies(); got != ok1 {
			t.Fatalf("replies = %s, want the answer and no close", got)
		}
		select {
		case <-half.half:
		default:
			t.Fatal("the writing has not been ended: the web server waits for more")
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
	lingering(t, func(t *testing.T, _ *Server, w *web) {
		time.Sleep(10 * time.Second)
		w.send(stdin1("more")) // buys no time
		closedAfter(t, w, discardTime-10*time.Second-3*watchTick)
	})
}

func TestServerLingersNotForLongInShutdown(t *testing.T) {
	lingering(t, func(t *testing.T, s *Server, w *web) {
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(context.Background()) }()
		closedAfter(t, w, shutdownDiscard)
		if err := <-ended; err != nil {
			t.Errorf("Shutdown = %v", err)
		}
	})
}

func TestServerLingersForSoManyBytes(t *testing.T) {
	lingering(t, func(t *testing.T, _ *Server, w *web) {
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
