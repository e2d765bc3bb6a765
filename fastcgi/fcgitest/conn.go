package fcgitest

import (
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// DefaultTimeout is the Timeout of a Conn whose field is zero.
const DefaultTimeout = 10 * time.Second

// A Conn is one connection with the side under test at its other end. It
// belongs to one goroutine: that of the script, or of the test.
//
// What a method does not find as it should be fails the test: in a script of
// [Application] or [Go] with Errorf and the end of the script, elsewhere with
// Fatalf.
type Conn struct {
	// N is the number of the connection: 0 for the first that an application
	// accepted, or the test dialed itself.
	N int

	// Timeout bounds each call, however much it sends or reads. Zero means
	// DefaultTimeout.
	Timeout time.Duration

	t      testing.TB
	nc     net.Conn
	script bool // runs in a goroutine of its own

	in       []byte   // has come, and not been taken
	ended    error    // why nothing more will come
	taken    int64    // bytes of records that were taken
	aside    []Record // have come while others were waited for
	open     map[uint16]bool
	bare     map[uint16]bool // authorizers that were read, whose STDIN may be ended yet
	deadline time.Time       // of the call under way
	said     transcript

	mu      sync.Mutex
	idle    bool          // in More
	over    bool          // the test has ended
	testEnd chan struct{} // closed then
}

// NewConn makes a Conn of nc, which may be the end of a net.Pipe: a pipe holds
// nothing, so that a Send lasts until the other side has read all of it. The
// connection is closed at the end of the test. It is for the goroutine of the
// test; see [Go] for another one.
func NewConn(t testing.TB, nc net.Conn) *Conn {
	c := newConn(t, nc)
	t.Cleanup(func() { nc.Close() })
	return c
}

// Dial connects to the application under test.
func Dial(t testing.TB, network, address string) *Conn {
	t.Helper()
	nc, err := net.DialTimeout(network, address, DefaultTimeout)
	if err != nil {
		t.Fatalf("fcgitest: %v", err)
	}
	return NewConn(t, nc)
}

func newConn(t testing.TB, nc net.Conn) *Conn {
	return &Conn{t: t, nc: nc, open: make(map[uint16]bool), bare: make(map[uint16]bool), testEnd: make(chan struct{})}
}

// Send sends records. That the other side has closed fails the test.
func (c *Conn) Send(records ...Record) {
	c.t.Helper()
	c.saySent(records)
	c.mustWrite(Encode(records...))
}

// Raw sends bytes as they are.
func (c *Conn) Raw(b []byte) {
	c.t.Helper()
	c.said.add("> % x", b[:min(len(b), 32)])
	c.mustWrite(b)
}

// Dribble sends the same bytes as Send, n at a time. On a socket the other
// side may still find several pieces in one read; on a net.Pipe it does not.
func (c *Conn) Dribble(n int, records ...Record) {
	c.t.Helper()
	c.saySent(records)
	c.begin()
	for b := Encode(records...); len(b) > 0; {
		piece := b[:min(n, len(b))]
		c.written(piece, c.write(piece))
		b = b[len(piece):]
	}
}

// TrySend is Send for what the other side may refuse by closing. It reports
// whether all could be written.
func (c *Conn) TrySend(records ...Record) bool {
	c.t.Helper()
	c.saySent(records)
	c.begin()
	b := Encode(records...)
	err := c.write(b)
	if err != nil && isClosed(err) {
		c.said.add("> refused: %v", err)
		return false
	}
	c.written(b, err)
	return true
}

// CloseWrite ends the sending and leaves the reading open: half a close. The
// connection must be one of a socket.
func (c *Conn) CloseWrite() {
	c.t.Helper()
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok {
		c.Fatalf("CloseWrite: not possible on a %T", c.nc)
	}
	c.said.add("> half closed")
	if err := half.CloseWrite(); err != nil {
		c.Fatalf("CloseWrite: %v", err)
	}
}

// Close closes the connection. It may be called twice.
func (c *Conn) Close() {
	c.said.add("> closed")
	c.nc.Close()
}

// Reset closes the connection with a TCP reset: the other side loses what it
// has not read, and its next read is ECONNRESET. The connection must be TCP.
func (c *Conn) Reset() {
	c.t.Helper()
	tcp, ok := c.nc.(*net.TCPConn)
	if !ok {
		c.Fatalf("Reset: not possible on a %T", c.nc)
	}
	tcp.SetLinger(0)
	c.said.add("> reset")
	tcp.Close()
}

// Pause does nothing until release is closed, or the test ends. A nil release
// waits for the end of the test, so in a script only.
func (c *Conn) Pause(release <-chan struct{}) {
	c.t.Helper()
	c.begin()
	t := time.NewTimer(time.Until(c.deadline))
	defer t.Stop()
	select {
	case <-release:
	case <-c.testEnd:
	case <-t.C:
		c.Fatalf("Pause: not released for %v", c.timeout())
	}
}

// Errorf is that of the test, with the connection named.
func (c *Conn) Errorf(format string, args ...any) {
	c.t.Helper()
	c.t.Errorf("connection %d: %s", c.N, fmt.Sprintf(format, args...))
}

// Fatalf is Errorf with all that has been said on the connection, and then
// ends the script or the test.
func (c *Conn) Fatalf(format string, args ...any) {
	c.t.Helper()
	text := fmt.Sprintf("connection %d: %s%s", c.N, fmt.Sprintf(format, args...), c.said.String())
	if !c.script {
		c.t.Fatal(text)
	}
	c.t.Error(text)
	runtime.Goexit() // FailNow is for the goroutine of the test
}

func (c *Conn) timeout() time.Duration {
	if c.Timeout == 0 {
		return DefaultTimeout
	}
	return c.Timeout
}

// begin starts the time of a call.
func (c *Conn) begin() {
	c.deadline = time.Now().Add(c.timeout())
}

func (c *Conn) mustWrite(b []byte) {
	c.t.Helper()
	c.begin()
	c.written(b, c.write(b))
}

func (c *Conn) write(b []byte) error {
	if len(b) == 0 {
		return nil // net.Pipe would wait for a reader of nothing
	}
	c.nc.SetWriteDeadline(c.deadline)
	n, err := c.nc.Write(b)
	if err != nil {
		return fmt.Errorf("%d of %d bytes sent: %w", n, len(b), err)
	}
	return nil
}

// written fails the test if a write did.
func (c *Conn) written(b []byte, err error) {
	c.t.Helper()
	if err != nil {
		c.Fatalf("send % x…: %v", b[:min(len(b), 16)], err)
	}
}

// isClosed reports whether err says that the other side has closed.
func isClosed(err error) bool {
	for _, e := range []error{io.EOF, io.ErrClosedPipe, syscall.EPIPE, syscall.ECONNRESET} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
