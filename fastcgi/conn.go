package fastcgi

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// A conn is a connection to an application. Its goroutine reads for as long
// as the connection is open, so that a close by the application is seen at
// once, whether requests are under way or not; close ends it.
type conn struct {
	host   *host
	nc     net.Conn
	bounds *bounds // of its requests, see Client.Adjust
	out    outbox
	put    int64 // under the outbox's lock: bytes that were put into it
	most   int   // requests at a time
	keep   bool  // the application is asked to leave it open
	age    int   // of the host, when it was made

	answers atomic.Int32 // complete ones
	flow    atomic.Int64 // window that the application has agreed to give us; 0: none

	since  time.Time // under host.mu: idle since then, if that matters
	unused bool      // under host.mu: idle since the last sweep
	unread bool      // the last request body may still be in the socket; changes only between requests

	running counter     // the reader, and senders of bodies
	d       Decoder     // the reader's
	ended   []*exchange // the reader's: answers that ended in what it feeds

	mu       sync.Mutex
	streams  map[uint16]*exchange // if it is shared
	aborted  map[uint16]bool      // ids that are not used again, see find
	only     *exchange            // if it is not
	reserved int                  // requests that have, or will have, an id here
	lastID   uint16
	waiters  []*waiter // not in use
	assumed  int64     // the application's window, until it has said another; 0: no flow control
	retired  bool      // to be closed when it is not used any more
	err      error     // why the connection is closed
}

func (h *host) newConn(nc net.Conn, most, age int, keep bool) *conn {
	c := &conn{host: h, nc: nc, bounds: h.client.bounds(), most: most, keep: keep, age: age, reserved: 1}
	if most > 1 {
		c.streams = make(map[uint16]*exchange)
		c.aborted = make(map[uint16]bool)
	}
	c.out.init(nc, c.bounds.write, c.writeFailed)
	c.running.add(1)
	h.conns.Add(1)
	go c.read()
	return c
}

// reserve makes room for one more request, if share are not there already.
func (c *conn) reserve(share int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil || c.retired || c.reserved >= min(c.most, share) {
		return false
	}
	c.reserved++
	return true
}

// hasFlow reports whether the application has, or is assumed to have, flow
// control here.
func (c *conn) hasFlow() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.assumed > 0
}

// begin gives x an id. On a connection of its own that is 1 and 2 in turns:
// what an application may still send of the last answer is not taken for the
// next one, and most know no other ids.
func (c *conn) begin(x *exchange) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	if c.streams == nil {
		x.id = FirstRequestID
		if c.lastID == 1 && c.host.mayUseTwo(x.r) {
			x.id = 2
		}
		c.only, c.lastID = x, x.id
		return nil
	}
	for x.id = c.lastID%maxSharedID + 1; c.streams[x.id] != nil || c.aborted[x.id]; x.id = x.id%maxSharedID + 1 {
	}
	c.streams[x.id], c.lastID = x, x.id
	x.credit.init(c.assumed)
	return nil
}

func (c *conn) takeWaiter() *waiter {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := len(c.waiters)
	if n == 0 {
		return newWaiter()
	}
	w := c.waiters[n-1]
	c.waiters = c.waiters[:n-1]
	return w
}

func (c *conn) putWaiter(w *waiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.waiters = append(c.waiters, w)
	}
}

const (
	// maxSharedID bounds the ids on a shared connection. Applications may
	// keep a table of them.
	maxSharedID = 1 << 10

	// maxShare bounds the requests there at a time, and maxAborted the ids
	// that are not used again: there is always one left.
	maxShare, maxAborted = maxSharedID / 2, maxSharedID / 2
)

var (
	errCut     = fmt.Errorf("connection closed inside a record: %w", io.ErrUnexpectedEOF)
	errUnasked = fmt.Errorf("%w: the application sent something without being asked", ErrMalformed)
)

// add adds records to the outbox, and returns where they begin among all that
// were put into it.
func (c *conn) add(put func(dst []byte) []byte) (from int64) {
	c.out.add(func(dst []byte) []byte {
		n := len(dst)
		dst = put(dst)
		from, c.put = c.put, c.put+int64(len(dst)-n)
		return dst
	})
	return from
}

// neverSent reports whether records that begin there are lost, all of them: no
// write of them has begun, and none will.
func (c *conn) neverSent(from int64) bool {
	if c.out.failed() == nil {
		return false
	}
	never := false
	c.out.add(func(dst []byte) []byte { // what is left there, and stays
		never = from >= c.put-int64(len(dst))
		return dst
	})
	return never
}

// askFlow asks for flow control. The question goes out with the first request,
// which is sent as if it had been agreed to.
func (c *conn) askFlow(window int64) {
	c.mu.Lock()
	c.assumed = window
	c.mu.Unlock()
	c.add(func(dst []byte) []byte { return appendFlowQuestion(dst, c.host.client.window()) })
}

// agreeFlow takes the answer. It may be a no: another application has taken
// the place of the one that was asked before.
func (c *conn) agreeFlow(content []byte) error {
	values, err := ParsePairs(content, maxValues)
	if err != nil {
		return err
	}
	var m multiplexing
	m.learn(values, 1)
	if m.window == 0 {
		defer c.host.noFlow()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.assumed == 0 {
		return nil // was not asked for, or not any more
	}
	c.flow.Store(m.window)
	for _, x := range c.streams {
		x.credit.agreed(c.assumed, m.window)
	}
	c.assumed = m.window
	return nil
}

// writeFailed is told that nothing can be sent any more. What the application
// has sent before it closed the connection is read for a while: it may be
// whole answers.
func (c *conn) writeFailed(cause error) {
	if isTimeout(cause) {
		c.close(cause)
		return
	}
	c.retire()
	c.nc.SetReadDeadline(time.Now().Add(drainTime))
}

// flush sends what is in the outbox, and waits for nothing: a write may take as
// long as others' records do.
func (c *conn) flush() {
	if c.out.unattended() {
		c.running.add(1)
		go func() {
			defer c.running.add(-1)
			c.out.flush() // an error closes the connection, which is all there is to do
		}()
	}
}

// lost reports whether the connection has been closed.
func (c *conn) lost() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil
}

func (c *conn) isIdle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reserved == 0
}

// release ends the use of the connection by x, and keeps it if it can.
func (c *conn) release(x *exchange, reusable bool) {
	c.mu.Lock()
	if c.only == x {
		c.only = nil
	}
	delete(c.streams, x.id)
	c.reserved--
	shared := c.streams != nil
	closed, idle := c.err != nil, c.reserved == 0
	if shared && (!reusable || len(c.aborted) >= maxAborted) {
		c.retired = true
	}
	unwanted := idle && (c.retired || c.host.maxIdle() <= 0)
	c.mu.Unlock()
	if x.id != 0 {
		c.answers.Add(1)
	}
	if closed || unwanted || !shared && (!reusable || !c.host.put(c)) {
		c.close(ErrClosed)
	}
}

// retire closes the connection when it is not used any more, and reports
// whether that is now.
func (c *conn) retire() (now bool) {
	c.mu.Lock()
	c.retired = true
	now = c.reserved == 0
	c.mu.Unlock()
	if now {
		c.close(ErrClosed)
	}
	return now
}

// giveUp makes the connection be closed without regard to x, which does not end.
func (c *conn) giveUp(x *exchange) {
	c.mu.Lock()
	c.reserved--
	idle := c.reserved == 0
	c.mu.Unlock()
	if idle {
		c.close(ErrClosed)
	}
}

// close closes the connection, once, and tells the requests under way why. It
// does not wait for the reader, which may be the caller.
func (c *conn) close(cause error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = cause
	var left []*exchange
	if c.only != nil {
		left = append(left, c.only)
	}
	for _, x := range c.streams {
		left = append(left, x)
	}
	c.mu.Unlock()
	c.nc.Close()
	c.out.fail(cause)
	for _, x := range left {
		x.lost(cause)
	}
	byPeer := errors.Is(cause, io.EOF) || errors.Is(cause, syscall.ECONNRESET)
	c.host.drop(c, byPeer && len(left) == 0)
	c.host.conns.Add(-1)
}

// wait waits for the goroutines of a connection that is closed.
func (c *conn) wait() { c.running.wait() }
