package fastcgi

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
)

// RequestID is the id of every request of a [Client]: one request at a time has
// the connection, and many applications know no other id.
const RequestID = 1

// A conn is a connection to an application. Its goroutine reads for as long
// as the connection is open, so that a close by the application is seen at
// once, whether a request is under way or not; close ends it.
type conn struct {
	host *host
	nc   net.Conn

	mu      sync.Mutex
	x       *exchange     // the request under way; nil when idle
	err     error         // why the connection is closed
	answers int           // complete answers; changes only between two requests
	unread  bool          // the last request body may still be in the socket; as answers
	unused  bool          // under host.mu: idle since the last sweep
	closing chan struct{} // closed when the connection is
	done    chan struct{} // closed when the reader has ended
}

func newConn(h *host, nc net.Conn) *conn {
	c := &conn{host: h, nc: nc, closing: make(chan struct{}), done: make(chan struct{})}
	go c.read()
	return c
}

// begin gives the connection to x.
func (c *conn) begin(x *exchange) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		return c.err
	}
	c.x = x
	return nil
}

// read is the goroutine of the connection.
func (c *conn) read() {
	defer close(c.done)
	var d Decoder
	small := make([]byte, smallRead)
	buf := small
	for {
		n, err := c.nc.Read(buf)
		if n > 0 {
			if e := c.feed(&d, buf[:n]); e != nil {
				err = e
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) && !d.Between() {
				err = errCut
			}
			c.close(err)
			return
		}
		switch {
		case n == smallRead && len(buf) == smallRead:
			buf = *bigBuffers.Get().(*[]byte)
		case len(buf) == bigRead && c.isIdle():
			big := buf
			bigBuffers.Put(&big)
			buf = small
		}
	}
}

var bigBuffers = sync.Pool{New: func() any { b := make([]byte, bigRead); return &b }}

func (c *conn) isIdle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.x == nil
}

var (
	errCut     = fmt.Errorf("connection closed inside a record: %w", io.ErrUnexpectedEOF)
	errUnasked = fmt.Errorf("%w: the application sent something without being asked", ErrMalformed)
)

// feed hands the bytes of one read to the request under way.
func (c *conn) feed(d *Decoder, b []byte) error {
	c.mu.Lock()
	x := c.x
	c.mu.Unlock()
	if x == nil {
		return errUnasked
	}
	done, err := x.feed(d, b)
	if err != nil {
		return err
	}
	if done {
		x.settle() // before the caller wakes and asks for a connection again
		x.signal()
		return nil
	}
	x.signal()
	x.wait()
	return nil
}

// lost reports whether the connection has been closed.
func (c *conn) lost() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err != nil
}

// release ends the request under way and keeps the connection if it can.
func (c *conn) release(reusable bool) {
	c.mu.Lock()
	c.x = nil
	c.answers++
	closed := c.err != nil
	c.mu.Unlock()
	if closed || !reusable || !c.host.put(c) {
		c.close(ErrClosed)
	}
}

// close closes the connection, once, and tells the request under way why. It
// does not wait for the reader, which may be the caller.
func (c *conn) close(cause error) {
	c.mu.Lock()
	if c.err != nil {
		c.mu.Unlock()
		return
	}
	c.err = cause
	x := c.x
	c.mu.Unlock()
	close(c.closing)
	c.nc.Close()
	if x != nil {
		x.lost(cause)
		return
	}
	c.host.drop(c)
}
