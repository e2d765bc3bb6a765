package fastcgi

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// On a connection that is not kept all answers arrive, in full, before it is
// closed: also those of requests that end at the same moment as the last one.
func TestServerLosesNoReplyToTheLastOne(t *testing.T) {
	const requests = 6
	rounds := 500
	if testing.Short() {
		rounds = 50
	}
	tests := []struct {
		name    string
		answers int  // that are wanted
		broken  bool // one of the responses is broken
	}{
		{"handlers end together", requests, false},
		{"one of them breaks its response", requests - 1, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				io.ReadAll(r.Body)
				io.WriteString(w, "hello")
				if _, ok := r.Param("BREAK"); ok {
					w.Abort()
				}
			})}
			l := newPipeListener()
			served := make(chan error, 1)
			go func() { served <- s.Serve(l) }() // until Close
			defer func() {
				s.Close()
				<-served
			}()
			var before, after strings.Builder
			for id := uint16(1); id <= requests; id++ {
				pairs := []string{"CONTENT_LENGTH", "1"}
				if tt.broken && id == 1 {
					pairs = append(pairs, "BREAK", "")
				}
				before.WriteString(recBegin(id, RoleResponder, false) + recParams(id, pairs...))
				after.WriteString(recStream(TypeStdin, id, "x") + recEnd(TypeStdin, id))
			}
			for round := range rounds {
				ours, theirs := net.Pipe()
				ours.SetDeadline(time.Now().Add(20 * time.Second))
				l.conns <- theirs
				w := newWeb(t, ours)
				io.WriteString(ours, before.String())
				io.WriteString(ours, after.String())
				<-w.done
				ours.Close()
				got, err := describe(w.got.Bytes())
				if n := strings.Count(got, "END("); n != tt.answers || err != nil {
					t.Fatalf("round %d: %d requests were answered, want %d: %s, %v", round, n, tt.answers, got, err)
				}
			}
		})
	}
}

// bare calls test with a server in a bubble, and does nothing at its end but
// to wait for the server.
func bare(t *testing.T, s *Server, test func(t *testing.T, dial func() net.Conn, served <-chan error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }() // until test shuts down, or Close
		var conns []net.Conn
		defer func() { // a Fatal must not leave the bubble with goroutines
			for _, c := range conns {
				c.Close()
			}
			s.Close()
			if n := s.active.Load(); n != 0 {
				t.Errorf("%d requests counted at the end, want 0", n)
			}
		}()
		test(t, func() net.Conn {
			ours, theirs := net.Pipe()
			conns = append(conns, ours)
			l.conns <- theirs
			return ours
		}, served)
	})
}

// A web server that does not read its answer cannot hold up Shutdown for
// longer than its context says, nor keep the other connections open.
func TestShutdownBesideStuckPeer(t *testing.T) {
	s := &Server{Handler: cgi.HandlerFunc(sayHello)}
	bare(t, s, func(t *testing.T, dial func() net.Conn, served <-chan error) {
		stuck := dial()
		io.WriteString(stuck, recPost(1, true, "x")) // and does not read
		var others []*web
		for range 3 {
			others = append(others, newWeb(t, dial()))
		}
		synctest.Wait()
		start := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(ctx) }()
		synctest.Wait()
		for _, w := range others {
			select {
			case <-w.done:
			default:
				t.Error("an idle connection is not closed at once")
			}
		}
		if err := <-ended; err != context.DeadlineExceeded || time.Since(start) != time.Second {
			t.Errorf("Shutdown = %v after %v, want the deadline's error after 1s", err, time.Since(start))
		}
		if err := <-served; err != ErrClosed {
			t.Errorf("Serve = %v, want ErrClosed", err)
		}
		for _, w := range others {
			w.Close()
			<-w.done
		}
	})
}

// A web server that reads late still gets its answer, when the server is
// shutting down or the connection is not kept.
func TestServerSendsBeforeItHangsUp(t *testing.T) {
	for _, tt := range []struct {
		name string
		keep bool
	}{{"shutting down", true}, {"not kept", false}} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Server{Handler: cgi.HandlerFunc(sayHello)}
			bare(t, s, func(t *testing.T, dial func() net.Conn, served <-chan error) {
				c := dial()
				io.WriteString(c, recGet(1, tt.keep))
				synctest.Wait()
				ended := make(chan error, 1)
				if tt.keep {
					go func() { ended <- s.Shutdown(context.Background()) }()
				}
				time.Sleep(time.Minute)
				b, err := io.ReadAll(c)
				if got, derr := describe(b); got != ok1 || err != nil || derr != nil {
					t.Errorf("replies = %s, %v, %v", got, err, derr)
				}
				if tt.keep {
					if err := <-ended; err != nil {
						t.Errorf("Shutdown = %v", err)
					}
				}
			})
		})
	}
}

// A Write that is under way when the server is closed ends with the cause of
// the context.
func TestCloseEndsWrite(t *testing.T) {
	var got error
	s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
		_, got = w.Write(make([]byte, 100_000))
	})}
	bare(t, s, func(t *testing.T, dial func() net.Conn, served <-chan error) {
		io.WriteString(dial(), recGet(1, true))
		synctest.Wait()
		s.Close()
		if !errors.Is(got, ErrShutdown) {
			t.Errorf("Write = %v, want ErrShutdown", got)
		}
	})
}

// Close reaches a request whose params have come, and are not decoded yet: its
// body ends with an error, or its handler would wait forever.
func TestCloseWhileParamsAreDecoded(t *testing.T) {
	var s *Server
	closed := make(chan struct{})
	s = &Server{Filter: cgi.HandlerFunc(func(_ context.Context, _ cgi.ResponseWriter, r *cgi.Request) {
		for _, b := range []cgi.Body{r.Body, r.Data.Body} {
			if _, err := io.ReadAll(b); err != ErrShutdown {
				t.Errorf("Read = %v, want ErrShutdown", err)
			}
		}
	}), Handler: cgi.HandlerFunc(func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		if r.Body != nil {
			if _, err := io.ReadAll(r.Body); err != ErrShutdown {
				t.Errorf("Read = %v, want ErrShutdown", err)
			}
			return
		}
		go func() { // ends before the test does
			defer close(closed)
			s.Close()
		}()
		<-ctx.Done()
	})}
	bare(t, s, func(t *testing.T, dial func() net.Conn, served <-chan error) {
		closed = make(chan struct{}) // of the bubble
		io.WriteString(dial(), recBegin(2, RoleResponder, true)+recBegin(3, RoleFilter, true)+recGet(1, true)+
			recParams(2, "CONTENT_LENGTH", "5")+recParams(3, "CONTENT_LENGTH", "5", "FCGI_DATA_LENGTH", "5"))
		select {
		case <-closed:
		case <-time.After(time.Hour):
			t.Error("Close does not end")
		}
	})
}

// What was held of the body of a request that never ran is given back when its
// connection ends.
func TestServerGivesBackBodiesThatNeverRan(t *testing.T) {
	s := &Server{MaxBodyAhead: 1, Handler: cgi.HandlerFunc(sayHello)}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		w := dial()
		w.send(recValues(MpxsConn, "")) // so that bodies may be held
		w.replies()
		w.send(recBegin(1, RoleResponder, true) + recParams(1) + recStream(TypeStdin, 1, strings.Repeat("x", 3000)) + "\x07" + "is no version")
		if got := w.replies(); got != "closed" {
			t.Errorf("replies = %s", got)
		}
		if m, f := s.limit.bodies.Memory(), s.limit.bodies.Files(); m+f != 0 {
			t.Errorf("%d bytes of memory and %d of files are held, want none", m, f)
		}
	})
}
