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
	if !complete {
		c.noteUnread(q.id)
	}
	c.server.active.Add(-1)
}

// noteUnread notes that a request is over, and some of its STDIN has still to
// come. c.mu is held.
func (c *serverConn) noteUnread(id uint16) {
	if c.unread == nil {
		c.unread = make(map[uint16]bool)
	}
	c.unread[id] = true
}

// settle hangs up if no request is left and none is to come. It never waits:
// if something is still to be sent, whoever sends it calls settle after that.
func (c *serverConn) settle() {
	c.mu.Lock()
	hangUp := c.isOver()
	patience := discardTime
	if c.refuse {
		patience = shutdownDiscard
	}
	linger := hangUp && len(c.unread) > 0 && c.linger(patience)
	c.mu.Unlock()
	if hangUp && !linger {
		c.Close(errDone)
	}
}

// isOver reports whether there is nothing to do but to hang up. A request that
// is not in the table any more may not have put its last records in the outbox
// yet: it counts as active. c.mu is held.
func (c *serverConn) isOver() bool {
	return c.last && len(c.requests) == 0 && c.active.Load() == 0 && c.cause == nil && !c.lingering.Load() && c.out.idle()
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
	c.readBy(time.Now().Add(d))
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
		c.settle()
	}
}

var errBrokenConn = fmt.Errorf("%w: closed to break another response", ErrConnectionLost)

// Drain lets the requests end and takes no more.
func (c *serverConn) Drain() {
	c.mu.Lock()
	c.last, c.refuse = true, true
	if c.lingering.Load() {
		c.readBy(time.Now().Add(shutdownDiscard))
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
	c.out.fail(cause) // before a write that is under way fails for another reason
	c.nc.Close()
}
