package fastcgi

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// A serverConn is a connection from a web server. The goroutine that runs
// serve reads it and owns what is not marked otherwise; each request has a
// goroutine that runs the handler, and writes.
type serverConn struct {
	server *Server
	nc     net.Conn

	d        Decoder
	control  []byte           // records that the reader has to send
	refused  []*serverRequest // requests that are over when control is sent
	hangUp   bool             // the connection is to be closed after control
	ignored  int              // bytes for requests that are over, since the last one began
	pending  int              // requests whose params are not complete
	deadline time.Time        // for reading; zero if there is none
	handlers sync.WaitGroup

	lingering atomic.Bool  // all is written: read to the end, throw it away
	active    atomic.Int32 // requests that have not sent all they have to

	wmu   sync.Mutex  // guards writing; taken before mu
	vecs  [3][]byte   // backs bufs
	bufs  net.Buffers // of the write under way
	timed bool        // a write deadline is set

	mu       sync.Mutex // guards what follows
	requests map[uint16]*serverRequest
	cause    error       // why the connection has been closed
	last     bool        // to be closed when no request is left
	refuse   bool        // requests that begin are refused
	unread   bool        // some request ended before its STDIN did
	grace    *time.Timer // closes a connection that must break a response
}

func newServerConn(s *Server, nc net.Conn) *serverConn {
	return &serverConn{server: s, nc: nc, requests: make(map[uint16]*serverRequest)}
}

// serve reads the connection to its end and waits for its handlers.
func (c *serverConn) serve() {
	err := c.read()
	if errors.Is(err, ErrMalformed) {
		c.server.warn("connection closed", slog.String("peer", c.nc.RemoteAddr().String()), slog.Any("err", err))
	}
	c.close(fmt.Errorf("%w: %w", ErrConnectionLost, err))
	c.handlers.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.server.requests.Add(-int64(len(c.requests))) // those that never had a handler
}

// read feeds what arrives to the decoder. A long body is read with a larger
// buffer.
func (c *serverConn) read() error {
	small := make([]byte, smallRead)
	buf, big := small, (*[]byte)(nil)
	defer func() {
		if big != nil {
			bigBuffers.Put(big)
		}
	}()
	for {
		n, err := c.nc.Read(buf)
		switch {
		case c.lingering.Load():
			if c.ignored += n; c.ignored > discardBytes {
				return errDone
			}
		case n > 0:
			err = errors.Join(c.feed(buf[:n]), c.sendControl(), err)
			c.watch()
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("%w: a request did not come to the end of its params in time", ErrMalformed)
		case err != nil:
			return err
		case n == smallRead && big == nil:
			big = bigBuffers.Get().(*[]byte)
			buf = *big
		case n < smallRead && big != nil && c.active.Load() == 0:
			bigBuffers.Put(big)
			buf, big = small, nil
		}
	}
}

// feed takes the bytes of one read.
func (c *serverConn) feed(b []byte) error {
	for {
		p, rest, ok, err := c.d.Next(b)
		if !ok || err != nil {
			return err
		}
		if err := c.take(p); err != nil {
			return err
		}
		b = rest
	}
}

// take handles one piece. An error ends the connection.
func (c *serverConn) take(p Piece) error {
	switch {
	case p.ID == 0:
		return c.manage(p)
	case p.Type == TypeBeginRequest:
		return c.begin(p)
	}
	c.mu.Lock()
	q := c.requests[p.ID]
	c.mu.Unlock()
	if q == nil {
		// FastCGI 1.0 §3.3: a record of a request that is not active is
		// ignored. Most of them are the rest of a body that was not wanted.
		if c.ignored += len(p.Content); c.ignored > discardBytes {
			return fmt.Errorf("%w: %v for request %d, which is over, does not end", ErrMalformed, p.Type, p.ID)
		}
		return nil
	}
	switch p.Type {
	case TypeParams:
		return q.takeParams(p)
	case TypeStdin:
		return q.takeStdin(p)
	case TypeAbortRequest:
		q.takeAbort()
	}
	return nil
}

// begin handles BEGIN_REQUEST.
func (c *serverConn) begin(p Piece) error {
	b, err := ParseBegin(p.Content)
	if err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.cause != nil:
		return c.cause
	case c.lingering.Load():
		return nil // too late for any answer
	case c.requests[p.ID] != nil:
		return fmt.Errorf("%w: BEGIN_REQUEST for request %d, which is active", ErrMalformed, p.ID)
	}
	status := RequestComplete
	switch {
	case b.Role != RoleResponder:
		status = UnknownRole
	case c.refuse, len(c.requests) >= limit(c.server.MaxConnRequests, DefaultMaxConnRequests), !c.server.admit():
		status = Overloaded
	}
	if status != RequestComplete {
		c.control = AppendEndRequest(c.control, p.ID, End{Status: status})
		c.hangUp = c.hangUp || !b.KeepConn
		c.unread = true
		return nil
	}
	c.last = c.last || !b.KeepConn
	c.requests[p.ID] = newServerRequest(c, p.ID)
	c.active.Add(1)
	c.pending++
	c.ignored = 0
	return nil
}

// sendControl sends what the reader itself has to say, and hangs up if that
// was all there is to do.
func (c *serverConn) sendControl() error {
	if len(c.control) == 0 || c.lingering.Load() {
		return nil
	}
	c.wmu.Lock()
	err := c.write(nil, c.control)
	c.wmu.Unlock()
	c.control = c.control[:0]
	for _, q := range c.refused {
		c.remove(q, false)
		c.active.Add(-1)
	}
	c.refused = c.refused[:0]
	if c.hangUp {
		c.mu.Lock()
		c.last = true
		c.mu.Unlock()
	}
	c.settle()
	return err
}

// watch sets the deadline by which the params of all requests that have begun
// must be here, or a record that has begun, if nothing else is going on. It is
// called after each read; most requests are complete by then.
func (c *serverConn) watch() {
	timeout := orDefault(c.server.ParamsTimeout, DefaultParamsTimeout)
	if timeout < 0 {
		return
	}
	var deadline time.Time
	if c.pending > 0 || !c.d.Between() && c.active.Load() == 0 {
		now := time.Now()
		deadline = now.Add(timeout)
		c.mu.Lock()
		for _, q := range c.requests {
			deadline = q.overdue(now, timeout, deadline)
		}
		c.mu.Unlock()
	}
	if deadline.Equal(c.deadline) {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.lingering.Load() {
		c.deadline = deadline
		c.nc.SetReadDeadline(deadline)
	}
}

// write sends b and more for q, or for the reader if q is nil, in one write if
// the connection can do that. A write that cannot block needs no deadline: if
// it is the first one of the only request there is, the web server has read
// all that came before. c.wmu is held.
func (c *serverConn) write(q *serverRequest, b []byte, more ...[]byte) error {
	c.bufs = append(c.vecs[:0], b)
	size := len(b)
	for _, m := range more {
		c.bufs = append(c.bufs, m)
		size += len(m)
	}
	var deadline time.Time
	safe := false
	if q != nil {
		deadline = q.deadline
		safe = !q.sent && size <= surelyTaken && c.active.Load() == 1
		q.sent = true
	}
	if t := orDefault(c.server.WriteTimeout, DefaultServerWriteTimeout); t > 0 && !safe {
		if byTimeout := time.Now().Add(t); deadline.IsZero() || byTimeout.Before(deadline) {
			deadline = byTimeout
		}
	}
	if set := !deadline.IsZero(); set || c.timed {
		c.nc.SetWriteDeadline(deadline)
		c.timed = set
	}
	var err error
	if len(more) == 0 {
		_, err = c.nc.Write(b)
	} else {
		_, err = c.bufs.WriteTo(c.nc)
	}
	c.vecs = [3][]byte{}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrConnectionLost, err)
		c.close(err)
	}
	return err
}

// remove takes a request that ends out of the table. This comes before
// END_REQUEST is written: its id may be used again as soon as the web server
// has seen that.
func (c *serverConn) remove(q *serverRequest, complete bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.requests, q.id)
	c.unread = c.unread || !complete
	c.server.requests.Add(-1)
}

// settle hangs up if no request is left and none is to come.
func (c *serverConn) settle() {
	c.mu.Lock()
	hangUp := c.last && len(c.requests) == 0 && c.cause == nil && !c.lingering.Load()
	linger := hangUp && c.unread && c.linger(discardTime)
	c.mu.Unlock()
	if hangUp && !linger {
		c.close(errDone)
	}
}

// linger ends the writing and lets the reader throw away what the web server
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
		c.grace = time.AfterFunc(breakGrace, func() { c.close(errBrokenConn) })
	}
	c.mu.Unlock()
	if alone {
		c.close(errDone)
	}
}

var errBrokenConn = fmt.Errorf("%w: closed to break another response", ErrConnectionLost)

// drain lets the requests end and takes no more.
func (c *serverConn) drain() {
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

// close closes the connection and cancels what is left of its requests, the
// first time it is called.
func (c *serverConn) close(cause error) {
	c.mu.Lock()
	if c.cause != nil {
		c.mu.Unlock()
		return
	}
	c.cause = cause
	if c.grace != nil {
		c.grace.Stop()
	}
	left := make([]*serverRequest, 0, len(c.requests))
	for _, q := range c.requests {
		left = append(left, q)
	}
	c.mu.Unlock()
	c.nc.Close()
	for _, q := range left {
		q.lose(cause)
	}
}
