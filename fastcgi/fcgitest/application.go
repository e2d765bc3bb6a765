package fcgitest

import (
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// noDeadline is the deadline of what the end of the test ends.
var noDeadline time.Time

// An App is an application that a script plays. Its address is what the web
// server under test connects to.
type App struct {
	Network, Address string

	accepts atomic.Int32
	group   group
}

// Application listens on a unix socket of its own and runs script for each
// connection, in a goroutine. When the script returns the connection is
// closed. At the end of the test no further connection is taken, Pause and
// More return, and the scripts are waited for: what holds connections to the
// application must be closed by then, or by a Cleanup that was registered
// after this call.
func Application(t testing.TB, script func(c *Conn)) *App {
	t.Helper()
	return ApplicationOn(t, Listen(t, "unix"), script)
}

// ApplicationOn is Application on a listener, which it closes at the end of
// the test.
func ApplicationOn(t testing.TB, l net.Listener, script func(c *Conn)) *App {
	a := &App{Network: l.Addr().Network(), Address: l.Addr().String()}
	// The goroutine ends when the listener is closed.
	a.group.wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			c := newConn(t, nc)
			c.N = int(a.accepts.Add(1)) - 1
			a.group.run(c, script)
		}
	})
	t.Cleanup(func() {
		l.Close()
		a.group.end()
	})
	return a
}

// Accepts returns how many connections have been accepted so far.
func (a *App) Accepts() int { return int(a.accepts.Load()) }

// Go runs script on nc in a goroutine, as Application does, for whoever has a
// connection already: the end of a net.Pipe.
func Go(t testing.TB, nc net.Conn, script func(c *Conn)) {
	g := new(group)
	g.run(newConn(t, nc), script)
	t.Cleanup(g.end)
}

// Listen listens on a socket of its own, "unix" or "tcp" (on the loopback),
// that is closed and removed at the end of the test.
func Listen(t testing.TB, network string) net.Listener {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		// Not t.TempDir: the name of a test may be longer than an address can
		// be, 107 bytes.
		dir, err := os.MkdirTemp("", "fcgi")
		if err != nil {
			t.Fatalf("fcgitest: %v", err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		address = dir + "/s"
	}
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatalf("fcgitest: %v", err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// A group is the scripts that the end of a test waits for.
type group struct {
	wg sync.WaitGroup

	mu    sync.Mutex
	conns []*Conn
	over  bool
}

// run starts a script. Its goroutine blocks on the connection and in Pause
// only; both are bounded, or end with the test. end waits for it.
func (g *group) run(c *Conn, script func(c *Conn)) {
	c.script = true
	g.mu.Lock()
	g.conns = append(g.conns, c)
	over := g.over
	g.mu.Unlock()
	if over { // accepted just before the listener was closed
		c.end()
	}
	g.wg.Go(func() {
		defer c.nc.Close()
		script(c)
	})
}

// end tells the scripts that the test is over, and waits for them.
func (g *group) end() {
	g.mu.Lock()
	g.over = true
	conns := g.conns
	g.mu.Unlock()
	for _, c := range conns {
		c.end()
	}
	g.wg.Wait()
}

// end lets More and Pause return. What the script expects may still come.
func (c *Conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.over = true
	close(c.testEnd)
	if c.idle {
		c.nc.SetReadDeadline(time.Unix(1, 0))
	}
}
