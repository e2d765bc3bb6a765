package fastcgi

import (
	"context"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/accept"
)

// Handlers that block do not keep the next request from its answer for longer
// than the watchman needs to see it, however many there are, on one connection
// and on many.
func TestServerBlockedHandlersStallNobody(t *testing.T) {
	for _, tt := range []struct{ conns, each int }{{1, 1}, {1, 64}, {64, 1}, {8, 16}} {
		for _, together := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d on each of %d, together %v", tt.each, tt.conns, together), func(t *testing.T) {
				var release chan struct{} // of the bubble
				s := &Server{Handler: cgi.HandlerFunc(func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
					if _, ok := r.Param("BLOCK"); ok {
						<-release
					}
					io.WriteString(w, "hello")
				})}
				inBubble(t, s, func(t *testing.T, dial func() *web) {
					release = make(chan struct{})
					var webs []*web
					for range tt.conns {
						w := dial()
						webs = append(webs, w)
						var in strings.Builder
						for i := range tt.each {
							in.WriteString(recGet(uint16(i+2), true, "BLOCK", ""))
							if !together {
								w.send(in.String())
								in.Reset()
							}
						}
						start := time.Now()
						w.send(in.String() + recGet(1, true))
						for ; time.Since(start) < time.Second; time.Sleep(watchTick / 4) {
							w.mu.Lock()
							n := w.got.Len()
							w.mu.Unlock()
							if n > 0 {
								break
							}
						}
						// One is seen at the second tick; the ones after it do not
						// run in line.
						if took, want := time.Since(start), 10*watchTick; took > want {
							t.Errorf("the next request was answered after %v, want less than %v", took, want)
						}
						if got := w.replies(); got != ok1 {
							t.Errorf("replies = %s", got)
						}
					}
					close(release)
					for _, w := range webs {
						if got := strings.Count(w.replies(), "END("); got != tt.each {
							t.Errorf("%d of the others were answered, want %d", got, tt.each)
						}
					}
				})
			})
		}
	}
}

// A handler that takes its time is passed by exactly one goroutine, whatever
// the time: each request is answered once, and the next ones, too.
func TestServerHandlersAroundTheTick(t *testing.T) {
	const step = watchTick / 8
	for takes := time.Duration(0); takes <= 3*watchTick; takes += step {
		inBubble(t, &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			time.Sleep(takes)
			switch kind, _ := r.Param("KIND"); kind {
			case "panic":
				panic("as handlers may")
			case "goexit":
				runtime.Goexit()
			}
			io.WriteString(w, "hello")
		})}, func(t *testing.T, dial func() *web) {
			w := dial()
			for i, kind := range []string{"", "panic", "", "goexit", "goexit", ""} {
				want := ok1
				if kind != "" {
					want = answer1(oops500)
				}
				w.send(recGet(1, true, "KIND", kind))
				time.Sleep(takes)
				if got := w.replies(); got != want {
					t.Errorf("request %d, a handler of %v: %s, want %s", i, takes, got, want)
				}
			}
			var in strings.Builder
			for id := uint16(1); id <= 20; id++ {
				in.WriteString(recGet(id, true))
			}
			w.send(in.String())
			time.Sleep(25 * takes)
			got := w.replies()
			for id := 1; id <= 20; id++ {
				if n := ends(got, id); n != 1 {
					t.Errorf("handlers of %v: request %d ended %d times", takes, id, n)
				}
			}
		})
	}
}

const oops500 = "Status: 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nInternal Server Error\n"

// runtime.Goexit ends the goroutine that drives, and in it the one that accept
// counts: the connection lives on, and Shutdown waits for it.
func TestServerGoexitInLine(t *testing.T) {
	s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		if _, ok := r.Param("SLOW"); ok {
			time.Sleep(time.Second)
			io.WriteString(w, "hello")
			return
		}
		runtime.Goexit()
	})}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		w := dial()
		w.send(recGet(1, true) + recGet(2, true) + recGet(1, true))
		want := answer1(oops500)
		if got := w.replies(); got != want+" "+strings.ReplaceAll(want, "(1", "(2")+" "+want {
			t.Errorf("replies = %s", got)
		}
		w.send(recGet(1, true, "SLOW", ""))
		synctest.Wait()
		start := time.Now()
		if err := s.Shutdown(context.Background()); err != nil || time.Since(start) != time.Second {
			t.Errorf("Shutdown = %v after %v, want nil after 1s", err, time.Since(start))
		}
		if got := w.replies(); got != ok1+" closed" {
			t.Errorf("replies = %s", got)
		}
	})
}

// A handler may let another goroutine shut the server down; its own request
// and those behind it are answered.
func TestServerShutdownByHandler(t *testing.T) {
	var s *Server
	ended := make(chan error, 1)
	s = &Server{Handler: cgi.HandlerFunc(func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		if _, ok := r.Param("STOP"); ok {
			go func() { ended <- s.Shutdown(context.Background()) }() // ends with this request
			time.Sleep(time.Second)
		}
		io.WriteString(w, "hello")
	})}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		ended = make(chan error, 1)
		w := dial()
		w.send(recBegin(2, RoleResponder, true) + recGet(1, true, "STOP", ""))
		if got := w.replies(); got != "" {
			t.Errorf("at once: %s", got)
		}
		w.send(recGet(3, true) + recParams(2) + recEnd(TypeStdin, 2))
		if got := w.replies(); got != "END(3 OVERLOADED) "+ok2 {
			t.Errorf("replies = %s, want that what had begun is answered", got)
		}
		if err := <-ended; err != nil {
			t.Errorf("Shutdown = %v", err)
		}
		if got := w.replies(); got != ok1+" closed" {
			t.Errorf("replies = %s", got)
		}
	})
}

// While a handler is stuck in a write, because the web server does not read,
// the other requests on the connection run; they are answered when it reads
// again.
func TestServerWriteIsStuck(t *testing.T) {
	var ran atomic.Int32
	s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		ran.Add(1)
		io.WriteString(w, "hello")
		if _, ok := r.Param("LONG"); ok {
			w.Write(make([]byte, 100_000))
		}
	})}
	bare(t, s, func(t *testing.T, dial func() net.Conn, served <-chan error) {
		c := dial()
		io.WriteString(c, recGet(1, true, "LONG", ""))
		for id := uint16(2); id < 20; id++ {
			io.WriteString(c, recGet(id, true))
		}
		time.Sleep(time.Second)
		if n := ran.Load(); n != 19 {
			t.Errorf("%d handlers have run, want 19", n)
		}
		w := newWeb(t, c)
		got := w.replies()
		for id := 1; id < 20; id++ {
			if n := ends(got, id); n != 1 {
				t.Errorf("request %d ended %d times", id, n)
			}
		}
		c.Close()
		<-w.done
	})
}

// A web server that asks and asks, and reads nothing, cannot fill the memory:
// at some point it is not read any more, and later given up.
func TestServerUnreadRepliesAreBounded(t *testing.T) {
	tests := []struct {
		name    string
		handler cgi.HandlerFunc
	}{
		{"quick", sayHello},
		{"long", func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) { w.Write(make([]byte, 8000)) }},
		{"slow", func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			time.Sleep(time.Millisecond)
			w.Write(make([]byte, 8000))
		}},
	}
	for _, tt := range tests {
		for _, one := range []bool{true, false} { // id, or many
			t.Run(fmt.Sprintf("%s, one id %v", tt.name, one), func(t *testing.T) {
				var ran atomic.Int32
				s := &Server{WriteTimeout: time.Minute, Handler: cgi.HandlerFunc(func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
					ran.Add(1)
					tt.handler(ctx, w, r)
				})}
				bare(t, s, func(t *testing.T, dial func() net.Conn, served <-chan error) {
					c := dial()
					var conn *serverConn
					synctest.Wait() // until it is served
					s.loop.Each(func(a accept.Conn) { conn = a.(*serverConn) })
					start := time.Now()
					c.SetWriteDeadline(start.Add(10 * time.Second))
					for i := 0; ; i++ {
						id := uint16(1)
						if !one {
							id = uint16(1 + i%60_000)
						}
						if _, err := io.WriteString(c, recGet(id, true)); err != nil {
							break
						}
						if one {
							time.Sleep(10 * time.Microsecond) // or the id is in use
						}
						if i > 200_000 {
							t.Fatal("all is taken")
						}
					}
					conn.out.mu.Lock()
					held := len(conn.out.records) + cap(conn.out.spare)
					conn.out.mu.Unlock()
					// What may be there beyond the outbox: one read full of requests.
					if most := outboxSize + 8200*smallRead/60; held > most {
						t.Errorf("%d bytes are held for %d requests, want %d at the most", held, ran.Load(), most)
					}
					if n := runtime.NumGoroutine(); n > 2*smallRead/60 {
						t.Errorf("%d goroutines", n)
					}
				})
			})
		}
	}
}

// Many connections at once, each with requests that are quick and slow: every
// one is answered, and the watchman goes when they do.
func TestServerManyConnections(t *testing.T) {
	s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		if n, _ := r.Param("N"); n == "7" {
			time.Sleep(5 * time.Millisecond)
		}
		io.WriteString(w, "hello")
	})}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		var wg sync.WaitGroup
		var webs []*web
		for range 100 {
			w := dial()
			webs = append(webs, w)
			wg.Go(func() {
				for i := range 20 {
					w.send(recGet(1, true, "N", fmt.Sprint(i)))
					time.Sleep(10 * time.Millisecond) // it is answered by then
				}
			})
		}
		wg.Wait()
		for _, w := range webs {
			if got, want := w.replies(), strings.TrimSpace(strings.Repeat(ok1+" ", 20)); got != want {
				t.Errorf("replies = %s", got)
			}
		}
		time.Sleep(2 * watchIdle * watchTick)
		if s.watch.on.Load() {
			t.Error("the watchman is there, and nothing runs")
		}
	})
}
