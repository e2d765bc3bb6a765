package fastcgi

import (
	"fmt"
	"time"
)

// remove takes a request that ends out of the table. This comes before
// END_REQUEST is written: its id may be used again as soon as the web server
// has seen that.
func (c *serverConn) remove(q *serverRequest, complete bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.requests, q.id)
	c.unread = c.unread || !complete
	c.server.active.Add(-1)
}

// settle hangs up if no request is left and none is to come.
func (c *serverConn) settle() {
	if !c.isSettled() || c.out.flush() != nil {
		return
	}
	c.out.wait()
	c.mu.Lock()
	hangUp := c.isOver()
	linger := hangUp && c.unread && c.linger(discardTime)
	c.mu.Unlock()
	if hangUp && !linger {
		c.Close(errDone)
	}
}

func (c *serverConn) isSettled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isOver()
}

// isOver reports whether there is nothing to do but to hang up. c.mu is held.
func (c *serverConn) isOver() bool {
	return c.last && len(c.requests) == 0 && c.cause == nil && !c.lingering.Load()
}

// linger ends the writing and lets the driver throw away what the web server
// has still to say. To close with unread bytes would make the kernel reset the
// connection and take the answer away again. c.mu is held.
func (c *serverConn) linger(d time.Duration) bool {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return false
	}
	c.lingering.Store(true)
	c.nc.SetReadDeadline(time.Now().Add(d))
	return true
}

// breakResponse closes the connection, which must not carry END_REQUEST for a
// response that is not complete.
func (c *serverConn) breakResponse() {
	c.mu.Lock()
	c.last, c.refuse = true, true
	alone := len(c.requests) == 0
	if !alone && c.cause == nil && c.grace == nil {
		c.grace = time.AfterFunc(breakGrace, func() { c.Close(errBrokenConn) })
	}
	c.mu.Unlock()
	if alone {
		c.Close(errDone)
	}
}

var errBrokenConn = fmt.Errorf("%w: closed to break another response", ErrConnectionLost)

// Drain lets the requests end and takes no more.
func (c *serverConn) Drain() {
	c.mu.Lock()
	c.last, c.refuse = true, true
	if c.lingering.Load() {
		c.nc.SetReadDeadline(time.Now().Add(shutdownDiscard))
		c.mu.Unlock()
		return
	}
	c.mu.Unlock()
	c.settle()
}

// Close closes the connection and cancels what is left of its requests, the
// first time it is called.
func (c *serverConn) Close(cause error) {
	c.mu.Lock()
	if c.cause != nil {
		c.mu.Unlock()
		return
	}
	c.cause = cause
	if c.grace != nil {
		c.grace.Stop()
	}
	for _, q := range c.requests {
		q.lose(cause) // while it is in the table: later it may be another's
	}
	c.mu.Unlock()
	c.nc.Close()
	c.out.fail(cause)
}
