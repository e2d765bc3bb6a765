package fastcgi

import (
	"context"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/accept"
)

// A request whose body is not read does not hold up the next one where it can
// be known, or is not known yet, that the web server sends several at a time.
func TestServerUnreadBodyBesideOthers(t *testing.T) {
	const ahead = 100
	tests := []struct {
		name   string
		before string // on a connection of its own, if it is a question
		same   bool   // on this connection
		id     uint16
		body   int
		want   bool // the other request is answered
	}{
		{"not known yet", "", false, 1, (unproven - 1) * ahead, true},
		{"one at a time, as far as is known", "", false, 1, 2 * unproven * ahead, false},
		{"an id of those that send several", "", false, 3, 2 * unproven * ahead, true},
		{"has asked", recValues(MpxsConn, ""), true, 1, 2 * unproven * ahead, true},
		{"has asked on another connection", recValues(MpxsConn, ""), false, 1, 2 * unproven * ahead, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var release chan struct{} // of the bubble
			s := &Server{MaxBodyAhead: ahead, Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				if r.Body != nil {
					<-release
				}
				io.WriteString(w, "hello")
			})}
			inBubble(t, s, func(t *testing.T, dial func() *web) {
				release = make(chan struct{})
				first := dial()
				if tt.before != "" {
					first.send(tt.before)
					first.replies()
				}
				w := first
				if !tt.same {
					w = dial()
				}
				sent := make(chan struct{})
				go func() { // ends with the test, at the latest
					defer close(sent)
					io.WriteString(w, recBegin(tt.id, RoleResponder, true)+recParams(tt.id))
					for n := 0; n < tt.body; n += ahead {
						io.WriteString(w, recStream(TypeStdin, tt.id, strings.Repeat("x", ahead)))
					}
					io.WriteString(w, recGet(2, true))
				}()
				if got := w.replies(); got == ok2 != tt.want {
					t.Errorf("the other request: %q, answered: %v, want %v", got, got == ok2, tt.want)
				}
				close(release)
				<-sent
			})
		})
	}
}

// A connection that one request wants closed is closed, though a later one
// wants it kept.
func TestServerNotKeptForLaterOnes(t *testing.T) {
	s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		time.Sleep(time.Second)
		io.WriteString(w, "hello")
	})}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		w := dial()
		w.send(recGet(1, false))
		w.send(recGet(2, true))
		time.Sleep(2 * time.Second)
		if got, want := sorted(w.replies()), sorted(ok1+" "+ok2+" closed"); got != want {
			t.Errorf("replies = %s, want %s", got, want)
		}
	})
}

// Of what was before in a request that is used again nothing counts: not when
// its params began, and not until when it was to be written.
func TestServerTimesOfEarlierRequests(t *testing.T) {
	s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		if _, ok := r.Param("DEADLINE"); ok {
			w.(interface{ SetWriteDeadline(time.Time) error }).SetWriteDeadline(time.Now().Add(time.Second))
		}
		io.WriteString(w, "hello")
		if err := w.Flush(); err != nil {
			t.Errorf("Flush = %v", err)
		}
	})}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		w := dial()
		for range 5 { // the pool may give another one
			w.send(recBegin(1, RoleResponder, true))
			w.replies() // its params are late now
			w.send(recParams(1, "DEADLINE", "") + recEnd(TypeStdin, 1))
			w.replies()
			time.Sleep(2 * DefaultParamsTimeout)
			w.send(recBegin(1, RoleResponder, true))
			time.Sleep(DefaultParamsTimeout - time.Second)
			if got := w.replies(); got != "" {
				t.Fatalf("before the time is over: %s", got)
			}
			w.send(recParams(1) + recEnd(TypeStdin, 1))
			if got, want := w.replies(), answer1(head+"hello"); got != want {
				t.Errorf("replies = %s, want %s", got, want)
			}
		}
	})
}

// When the answer has gone out and some of the request has still to come, the
// connection is not closed before its peer has seen the answer.
func TestServerLingersForWhatIsToCome(t *testing.T) {
	filter := recBegin(1, RoleFilter, false) + recParams(1, "CONTENT_LENGTH", "1", "FCGI_DATA_LENGTH", "1")
	stdin := recStream(TypeStdin, 1, "x") + recEnd(TypeStdin, 1)
	tests := []struct {
		name, in string
		lingers  bool
	}{
		{"all is here", recGet(1, false), false},
		{"role without a handler", recBegin(1, 7, false), true},
		{"aborted", recBegin(1, RoleResponder, false) + recAbort(1), true},
		{"body not ended", recBegin(1, RoleResponder, false) + recParams(1, "CONTENT_LENGTH", "9") + recStream(TypeStdin, 1, "x"), true},
		{"filter, neither ended", filter, true},
		{"filter, data not ended", filter + stdin, true},
		{"filter, all is here", filter + stdin + recStream(TypeData, 1, "x") + recEnd(TypeData, 1), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := cgi.HandlerFunc(sayHello)
				l := newPipeListener()
				s := &Server{Handler: h, Filter: h}
				served := make(chan error, 1)
				go func() { served <- s.Serve(l) }() // until Close
				ours, theirs := net.Pipe()
				half := &halfPipe{theirs, make(chan struct{})}
				l.conns <- half
				w := newWeb(t, ours)
				w.send(tt.in)
				got := w.replies()
				if closed := strings.HasSuffix(got, "closed"); closed == tt.lingers {
					t.Errorf("lingers: %v, want %v: %s", !closed, tt.lingers, got)
				}
				w.Close()
				<-w.done
				s.Close()
				<-served
			})
		})
	}
}

// An abort counts also if the handler panics after it.
func TestServerPanicAfterAbort(t *testing.T) {
	s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		io.WriteString(w, "hello")
		w.Abort()
		panic("as handlers may")
	})}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		w := dial()
		w.send(recGet(1, true))
		if got := w.replies(); strings.Contains(got, "END(") || strings.Contains(got, "500") || !strings.HasSuffix(got, "closed") {
			t.Errorf("replies = %s, want none and no connection", got)
		}
	})
}

// A handler that waits for credit makes way at once, for what gives it.
func TestServerCreditComesAtOnce(t *testing.T) {
	inBubble(t, &Server{Handler: cgi.HandlerFunc(sayHello)}, func(t *testing.T, dial func() *web) {
		w := dial()
		w.send(recWindow(1))
		w.replies()
		start := time.Now()
		w.send(recGet(1, true))
		w.send(recUpdate(1, 1000))
		for n := 0; n == 0 && time.Since(start) < time.Second; time.Sleep(watchTick / 10) {
			synctest.Wait()
			w.mu.Lock()
			n = strings.Count(w.got.String(), "hello")
			w.mu.Unlock()
			if n > 0 && time.Since(start) > 0 {
				t.Errorf("answered after %v, want at once", time.Since(start))
			}
		}
		if got, want := w.replies(), answer1("S", head[1:]+"hello"); got != want {
			t.Errorf("replies = %s, want %s", got, want)
		}
	})
}

// What a driver learns of the handlers that it runs in line.
func TestServerDriverLearns(t *testing.T) {
	s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		switch kind, _ := r.Param("KIND"); kind {
		case "short":
			time.Sleep(watchTick / 2)
		case "long":
			time.Sleep(4 * watchTick)
		}
		io.WriteString(w, "hello")
	})}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		w := dial()
		var d *driver
		synctest.Wait()
		s.loop.Each(func(c accept.Conn) { d = &c.(*serverConn).driver })
		ask := func(n int, kind string) {
			for range n {
				w.send(recGet(3, true, "KIND", kind))
				time.Sleep(10*watchTick + 3*watchTick/4) // so that a tick comes in the middle of the next one
				synctest.Wait()
			}
		}
		ask(20, "short")
		if d.penalty != 0 || d.spawns != 0 {
			t.Errorf("after handlers that are shorter than a tick: penalty %d", d.penalty)
		}
		ask(1, "long")
		if d.penalty != minPenalty || d.spawns != minPenalty {
			t.Errorf("after a long one: penalty %d, %d have a goroutine of their own, want %d", d.penalty, d.spawns, minPenalty)
		}
		ask(minPenalty, "long")
		if d.penalty != minPenalty || d.spawns != 0 {
			t.Errorf("after %d more: penalty %d, %d have a goroutine of their own, want %d and none", minPenalty, d.penalty, d.spawns, minPenalty)
		}
		ask(1, "long")
		if d.penalty != 2*minPenalty {
			t.Errorf("after the next long one: penalty %d, want %d", d.penalty, 2*minPenalty)
		}
		ask(2*minPenalty+goodRuns-1, "")
		if d.penalty != 2*minPenalty {
			t.Errorf("penalty %d before it is over", d.penalty)
		}
		ask(1, "")
		if d.penalty != 0 {
			t.Errorf("penalty %d after %d quick ones, want none", d.penalty, goodRuns)
		}
	})
}

// Handlers that work for long, without waiting, while others are behind them,
// do not run in line any more.
func TestServerDriverIsFair(t *testing.T) {
	tests := []struct {
		name  string
		batch int
		took  time.Duration
		want  int // penalty
	}{
		{"one", 1, time.Second, 0},
		{"quick ones", 10, 10*fairRun - time.Microsecond, 0},
		{"long ones", 10, 10*fairRun + time.Microsecond, minPenalty},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			d := driver{batch: tt.batch, began: time.Now()}
			time.Sleep(tt.took)
			d.fed()
			if d.penalty != tt.want || d.batch != 0 {
				t.Errorf("%s: penalty %d, want %d", tt.name, d.penalty, tt.want)
			}
		})
	}
	var d driver
	for range 20 {
		d.punish()
	}
	if d.penalty != maxPenalty {
		t.Errorf("penalty %d, want %d at the most", d.penalty, maxPenalty)
	}
}

// What GET_VALUES says about the limits in force.
func TestServerValuesOfLimits(t *testing.T) {
	tests := []struct {
		name   string
		server *Server
		ask    string
		want   string
	}{
		{"requests", &Server{MaxConnActive: 7}, MaxReqs, recPairs(MaxReqs, "7")},
		{"fewer at all than on a connection", &Server{MaxConnActive: 7, MaxActive: 5}, MaxReqs, recPairs(MaxReqs, "5")},
		{"connections", &Server{MaxConns: 3}, MaxConns, recPairs(MaxConns, "3")},
		{"connections without limit", &Server{MaxConns: -1}, MaxConns, ""},
	}
	for _, tt := range tests {
		tt.server.Handler = cgi.HandlerFunc(sayHello)
		inBubble(t, tt.server, func(t *testing.T, dial func() *web) {
			w := dial()
			w.send(recValues(tt.ask, ""))
			got, want := w.replies(), "GET_VALUES_RESULT(0 "+strconv.Quote(tt.want)+")"
			if got != want {
				t.Errorf("%s: %s, want %s", tt.name, got, want)
			}
		})
	}
}

// A connection that is idle does not keep the large buffer of a long body.
func TestServerGivesLargeBufferBack(t *testing.T) {
	s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		if r.Body != nil {
			io.Copy(io.Discard, r.Body)
		}
		io.WriteString(w, "hello")
	})}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		w := dial()
		var c *serverConn
		synctest.Wait()
		s.loop.Each(func(conn accept.Conn) { c = conn.(*serverConn) })
		w.send(recBegin(1, RoleResponder, true) + recParams(1))
		w.send(recStream(TypeStdin, 1, strings.Repeat("x", 100_000)))
		synctest.Wait()
		if c.big == nil {
			t.Error("a long body is read with the small buffer")
		}
		w.send(recEnd(TypeStdin, 1))
		w.replies()
		w.send(recGet(1, true)) // it is given back before the next read
		if got := w.replies(); got != ok1 {
			t.Errorf("replies = %s", got)
		}
		if c.big != nil {
			t.Error("the large buffer is kept")
		}
	})
}
