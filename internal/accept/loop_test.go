package accept

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errClosed = errors.New("closed")
	errCut    = errors.New("cut")
)

// A pipes is a listener of connections, and errors, that a test gives it.
type pipes struct {
	next   chan any // net.Conn or error
	closed chan struct{}
	once   sync.Once
}

func newPipes() *pipes { return &pipes{next: make(chan any), closed: make(chan struct{})} }

func (l *pipes) Accept() (net.Conn, error) {
	select {
	case x := <-l.next:
		if err, ok := x.(error); ok {
			return nil, err
		}
		return x.(net.Conn), nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipes) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

func (l *pipes) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

// A netConn is a connection that notes that it was closed.
type netConn struct {
	net.Conn
	from   net.Addr
	closed chan struct{}
	once   sync.Once
}

func newConn() *netConn { return &netConn{from: &net.UnixAddr{}, closed: make(chan struct{})} }

func (c *netConn) RemoteAddr() net.Addr { return c.from }
func (c *netConn) Close() error         { c.once.Do(func() { close(c.closed) }); return nil }

// A conn serves until it is told to end.
type conn struct {
	*netConn
	serving bool
	drained int
	causes  []error
	end     chan struct{}
	stays   bool // does not end when it is drained
	once    sync.Once
}

func (c *conn) Serve() {
	c.serving = true
	<-c.end
}

func (c *conn) Drain() {
	if c.drained++; !c.stays {
		c.hangUp()
	}
}

func (c *conn) Close(cause error) {
	c.causes = append(c.causes, cause)
	c.hangUp()
}

func (c *conn) hangUp() { c.once.Do(func() { close(c.end) }) }

// A fixture is a Loop with listeners in a bubble.
type fixture struct {
	Loop
	conns  []*conn // in the order in which they were accepted
	served chan error
}

func inBubble(t *testing.T, maxConns int, test func(t *testing.T, f *fixture)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &fixture{served: make(chan error, 10)}
		f.Loop = Loop{Protocol: "test", MaxConns: maxConns, Closed: errClosed, Cut: errCut, New: func(nc net.Conn) Conn {
			c := &conn{netConn: nc.(*netConn), end: make(chan struct{})}
			f.conns = append(f.conns, c)
			return c
		}}
		defer f.Close()
		test(t, f)
	})
}

// listen serves one listener more.
func (f *fixture) listen() *pipes {
	l := newPipes()
	go func() { f.served <- f.Serve(l) }() // until Close
	synctest.Wait()
	return l
}

// dial reports whether l takes a connection.
func (f *fixture) dial(l *pipes) bool {
	taken := make(chan bool, 1)
	go func() {
		select {
		case l.next <- newConn():
			taken <- true
		case <-time.After(time.Minute):
			taken <- false
		}
	}()
	ok := <-taken
	synctest.Wait()
	return ok
}

// At most MaxConns are served at a time. Listeners that wait take none of them
// away from the others.
func TestMaxConns(t *testing.T) {
	for _, listeners := range []int{1, 2, 3} {
		for _, most := range []int{1, 2, 3, -1} {
			t.Run(fmt.Sprintf("%d of %d listeners", most, listeners), func(t *testing.T) {
				inBubble(t, most, func(t *testing.T, f *fixture) {
					var all []*pipes
					for range listeners {
						all = append(all, f.listen())
					}
					want := most
					if most < 0 {
						want = 10
					}
					for i := range want {
						if !f.dial(all[i%listeners]) {
							t.Fatalf("connection %d is not taken", i)
						}
					}
					if len(f.conns) != want {
						t.Fatalf("%d connections are served, want %d", len(f.conns), want)
					}
					if most < 0 {
						return
					}
					f.dial(all[0]) // it may be taken, to wait
					if len(f.conns) != want {
						t.Errorf("%d connections are served, want %d", len(f.conns), want)
					}
					f.conns[0].hangUp()
					synctest.Wait()
					if len(f.conns) == want {
						f.dial(all[0])
					}
					if len(f.conns) != want+1 {
						t.Errorf("%d connections were served when one had ended, want %d", len(f.conns), want+1)
					}
				})
			})
		}
	}
}

// A connection that was taken, and waits for another to end, is closed when
// the loop is.
func TestCloseWhileFull(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, f *fixture) {
		a, b := f.listen(), f.listen()
		f.dial(a)
		waiting := newConn()
		go func() {
			select {
			case b.next <- waiting:
			case <-b.closed:
				waiting.Close() // never taken: the backlog's end
			}
		}()
		synctest.Wait()
		f.Close()
		for range 2 {
			if err := <-f.served; err != errClosed {
				t.Errorf("Serve = %v, want %v", err, errClosed)
			}
		}
		synctest.Wait()
		select {
		case <-waiting.closed:
		default:
			t.Error("a connection that waited is open")
		}
		if len(f.conns) != 1 {
			t.Errorf("%d connections were served, want 1", len(f.conns))
		}
	})
}

// What a failed accept means.
func TestAcceptErrors(t *testing.T) {
	wrapped := func(err error) error { return &net.OpError{Op: "accept", Err: err} }
	tests := []struct {
		err    error
		passes bool
	}{
		{syscall.EMFILE, true}, {syscall.ENFILE, true}, {syscall.ENOBUFS, true}, {syscall.ENOMEM, true},
		{syscall.ECONNABORTED, true}, {syscall.ECONNRESET, true}, {syscall.EPROTO, true}, {syscall.EPERM, true}, {syscall.EINTR, true},
		{wrapped(syscall.EMFILE), true},
		{syscall.EINVAL, false}, {syscall.EBADF, false}, {net.ErrClosed, false}, {errors.New("other"), false},
	}
	for _, tt := range tests {
		inBubble(t, 1, func(t *testing.T, f *fixture) {
			l := f.listen()
			l.next <- tt.err
			synctest.Wait()
			select {
			case err := <-f.served:
				if tt.passes || !errors.Is(err, tt.err) || err.Error() != "test: serve: "+tt.err.Error() || !l.isClosed() {
					t.Errorf("%v: Serve = %v, listener closed: %v", tt.err, err, l.isClosed())
				}
			default:
				if !tt.passes {
					t.Errorf("%v is waited out", tt.err)
				} else if !f.dial(l) || len(f.conns) != 1 {
					t.Errorf("%v: the next connection is not served", tt.err)
				}
			}
		})
	}
}

// The pauses after failures grow up to a second, and begin anew after a
// connection. Close does not wait for them.
func TestAcceptPauses(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, f *fixture) {
		l := f.listen()
		var pauses []time.Duration
		for range 11 {
			start := time.Now()
			l.next <- syscall.EMFILE
			pauses = append(pauses, time.Since(start))
		}
		const ms = time.Millisecond
		if got, want := fmt.Sprint(pauses), fmt.Sprint([]time.Duration{0, 5 * ms, 10 * ms, 20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 640 * ms, time.Second, time.Second}); got != want {
			t.Errorf("pauses %v, want %v", got, want)
		}
		f.dial(l)
		f.conns[0].hangUp()
		synctest.Wait()
		start := time.Now()
		l.next <- syscall.EMFILE
		l.next <- syscall.EMFILE
		if took := time.Since(start); took != 5*ms {
			t.Errorf("the first pause after a connection is %v, want 5ms", took)
		}
		start = time.Now()
		f.Close()
		if err := <-f.served; err != errClosed || time.Since(start) != 0 {
			t.Errorf("Serve = %v after %v, want %v at once", err, time.Since(start), errClosed)
		}
	})
}

// How a loop ends.
func TestEnds(t *testing.T) {
	tests := []struct {
		name   string
		stays  bool // the connections do not end when they are drained
		end    func(f *fixture) error
		want   error
		took   time.Duration
		drains int
		cause  error
	}{
		{"Shutdown", false, func(f *fixture) error { return f.Shutdown(context.Background()) }, nil, 0, 1, nil},
		{"Shutdown waits", true, func(f *fixture) error {
			time.AfterFunc(time.Minute, func() {
				for _, c := range f.conns {
					c.hangUp()
				}
			})
			return f.Shutdown(context.Background())
		}, nil, time.Minute, 1, nil},
		{"Shutdown loses patience", true, func(f *fixture) error {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			return f.Shutdown(ctx)
		}, context.DeadlineExceeded, time.Second, 1, errCut},
		{"Shutdown has no patience", true, func(f *fixture) error {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			return f.Shutdown(ctx)
		}, context.Canceled, 0, 1, errCut},
		{"Shutdown twice", false, func(f *fixture) error {
			f.Shutdown(context.Background())
			return f.Shutdown(context.Background())
		}, nil, 0, 1, nil},
		{"Retire", false, func(f *fixture) error { f.Retire(); <-f.Drained(); return nil }, nil, 0, 1, nil},
		{"Close", true, func(f *fixture) error { f.Close(); f.Close(); return nil }, nil, 0, 0, errCut},
		{"Close after Retire", true, func(f *fixture) error { f.Retire(); f.Close(); return nil }, nil, 0, 1, errCut},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, -1, func(t *testing.T, f *fixture) {
				a, b := f.listen(), f.listen()
				for range 2 {
					f.dial(a)
					f.dial(b)
				}
				for _, c := range f.conns {
					c.stays = tt.stays
				}
				if f.IsClosed() {
					t.Error("closed before the end")
				}
				select {
				case <-f.Drained():
					t.Error("drained before the end")
				default:
				}
				start := time.Now()
				if err := tt.end(f); err != tt.want || time.Since(start) != tt.took {
					t.Errorf("%v after %v, want %v after %v", err, time.Since(start), tt.want, tt.took)
				}
				<-f.Drained()
				for range 2 {
					if err := <-f.served; err != errClosed {
						t.Errorf("Serve = %v, want %v", err, errClosed)
					}
				}
				if !a.isClosed() || !b.isClosed() || !f.IsClosed() {
					t.Error("a listener is open")
				}
				for _, c := range f.conns {
					var cause error
					if len(c.causes) > 0 {
						cause = c.causes[0]
					}
					if !c.serving || c.drained != tt.drains || cause != tt.cause {
						t.Errorf("a connection: served %v, drained %d times, cause %v, want %d and %v", c.serving, c.drained, cause, tt.drains, tt.cause)
					}
				}
				l := newPipes()
				if err := f.Serve(l); err != errClosed || !l.isClosed() {
					t.Errorf("Serve afterwards = %v, listener closed: %v", err, l.isClosed())
				}
			})
		})
	}
}

// A Loop that never served can be ended, and asked.
func TestNeverServed(t *testing.T) {
	for name, end := range map[string]func(l *Loop) error{
		"Shutdown": func(l *Loop) error { return l.Shutdown(context.Background()) },
		"Close":    func(l *Loop) error { l.Close(); return nil },
		"Retire":   func(l *Loop) error { l.Retire(); return nil },
	} {
		l := &Loop{MaxConns: 1, Closed: errClosed}
		drained := l.Drained()
		if err := end(l); err != nil {
			t.Errorf("%s = %v", name, err)
		}
		<-drained
		l.Each(func(Conn) { t.Errorf("%s: there is a connection", name) })
	}
}

// Each sees the connections there are.
func TestEach(t *testing.T) {
	inBubble(t, -1, func(t *testing.T, f *fixture) {
		l := f.listen()
		for range 3 {
			f.dial(l)
		}
		f.conns[1].hangUp()
		synctest.Wait()
		seen := make(map[Conn]int)
		f.Each(func(c Conn) { seen[c]++ })
		if len(seen) != 2 || seen[f.conns[0]] != 1 || seen[f.conns[2]] != 1 {
			t.Errorf("%d connections seen, want the two that are left, once each", len(seen))
		}
	})
}

// Who may not connect takes no place from those who may.
func TestFrom(t *testing.T) {
	inBubble(t, 1, func(t *testing.T, f *fixture) {
		f.From = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
		l := f.listen()
		for _, from := range []string{"192.0.3.1", "::1", "198.51.100.1", "192.0.2.1"} {
			c := newConn()
			c.from = &net.TCPAddr{IP: net.ParseIP(from)}
			select {
			case l.next <- c:
			case <-time.After(time.Hour):
				t.Fatalf("%s is not accepted", from)
			}
			synctest.Wait()
			open := true
			select {
			case <-c.closed:
				open = false
			default:
			}
			if want := from == "192.0.2.1"; open != want || len(f.conns) == 1 != want {
				t.Errorf("%s: open %v, %d are served", from, open, len(f.conns))
			}
		}
	})
}
