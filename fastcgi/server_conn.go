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

	"github.com/sluice-gateway/sluice/cgi"
)

// A serverConn is a connection from a web server. One goroutine at a time
// drives it: reads, decodes, and runs the handlers that return at once. See
// driver for how that role passes on.
type serverConn struct {
	server *Server
	nc     net.Conn
	out    outbox
	done   chan struct{} // closed when nothing of the connection is running any more

	handlers counter // goroutines that run a handler and do not drive
	driver   driver

	// Of the goroutine that drives.
	d        Decoder
	small    []byte
	big      *[]byte          // instead of small while a long body is read
	in       []byte           // what has been read and not been decoded
	full     bool             // the last read has filled its buffer
	params   cgi.Receiver     // remembers the strings of the request before
	latest   *serverRequest   // the last to begin; nil when it runs, or is over
	bodies   []*serverRequest // whose body has begun to come, and which do not run yet
	ignored  int              // bytes for requests that are over, since the last one began
	pending  int              // requests whose params are not complete
	deadline time.Time        // for reading; zero if there is none
	retire   bool             // the server has had enough requests
	vigil    vigil

	lingering atomic.Bool  // all is written: read to the end, throw it away
	active    atomic.Int32 // requests that have not sent all they have to
	muxed     atomic.Bool  // the web server sends several requests at a time
	shown     atomic.Bool  // it has done so, or asked, on this connection
	credit    atomic.Int64 // window of its flow control, in bytes; 0 if it has none

	mu       sync.Mutex // guards what follows
	requests map[uint16]*serverRequest
	by       time.Time       // the read deadline, if no vigil is being ended
	waking   bool            // one is: the deadline is the vigil's
	cause    error           // why the connection has been closed
	last     bool            // to be closed when no request is left
	refuse   bool            // requests that begin are refused
	unread   map[uint16]bool // requests that ended before their STDIN did
	grace    *time.Timer     // closes a connection that must break a response
}

func newServerConn(s *Server, nc net.Conn) *serverConn {
	c := &serverConn{server: s, nc: nc, small: make([]byte, smallRead), done: make(chan struct{}), requests: make(map[uint16]*serverRequest)}
	c.out.init(nc, s.limit.writeTimeout, c.Close)
	c.muxed.Store(s.muxed.Load())
	return c
}

// Serve serves the connection to its end.
func (c *serverConn) Serve() {
	defer func() { <-c.done }() // deferred, because a handler may end this goroutine
	c.drive()
}

// drive reads and decodes until the connection ends, or until another
// goroutine drives.
func (c *serverConn) drive() {
	for {
		err := c.feed()
		switch {
		case err == errPassed:
			return
		case err == nil:
			c.driver.fed()
			c.watch()
			err = c.out.flush()
		}
		if err == nil {
			c.settle()
			err = c.read()
		}
		if err != nil {
			c.end(err)
			return
		}
	}
}

// end ends a connection from which nothing more can be read.
func (c *serverConn) end(err error) {
	if errors.Is(err, ErrMalformed) || errors.Is(err, ErrTooLong) {
		c.server.warn("connection closed", slog.String("peer", c.nc.RemoteAddr().String()), slog.Any("err", err))
		c.out.flush() // what had been answered before
	}
	c.Close(fmt.Errorf("%w: %w", ErrConnectionLost, err))
	c.retireServer()
	c.handlers.wait()
	c.mu.Lock()
	for _, q := range c.requests { // those that never had a handler
		q.stdin.close()
		q.data.close()
	}
	c.server.active.Add(-int64(len(c.requests)))
	c.mu.Unlock()
	if c.big != nil {
		bigBuffers.Put(c.big)
	}
	close(c.done)
}

// read fills in. A long body is read with a larger buffer.
func (c *serverConn) read() error {
	switch {
	case c.full && c.big == nil:
		c.big = bigBuffers.Get().(*[]byte)
	case !c.full && c.big != nil && c.active.Load() == 0:
		bigBuffers.Put(c.big)
		c.big = nil
	}
	buf := c.small
	if c.big != nil {
		buf = *c.big
	}
	n, err := c.nc.Read(buf)
	c.full = n == len(buf)
	switch {
	case c.lingering.Load():
		if c.ignored += n; c.ignored > discardBytes {
			return errDone
		}
	case n > 0:
		c.in = buf[:n]
		return nil // a lasting error comes again
	}
	if errors.Is(err, os.ErrDeadlineExceeded) && !c.lingering.Load() {
		return errorf("%s did not come for %v", c.overdue(), c.server.limit.paramsTimeout)
	}
	return err
}

// overdue says what has been waited for too long.
func (c *serverConn) overdue() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	stdin := false
	for _, q := range c.requests {
		switch q.state {
		case wantParams:
			return fmt.Sprintf("the end of the PARAMS of request %d", q.id)
		case wantStdin:
			stdin = true
		}
	}
	if stdin {
		return "STDIN of a request, or its end,"
	}
	return "the rest of a record"
}

// carriesOne reports whether there is one request only.
func (c *serverConn) carriesOne() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.requests) == 1
}

// feed decodes what has been read.
func (c *serverConn) feed() error {
	for {
		p, rest, ok, err := c.d.Next(c.in)
		c.in = rest
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		ready, err := c.take(p)
		if err != nil {
			return err
		}
		if ready != nil && !c.run(ready) {
			return errPassed
		}
	}
	c.spawnBodies()
	c.retireServer()
	return nil
}

// retireServer lets the server shut down if a request on this connection was
// its last one.
func (c *serverConn) retireServer() {
	if c.retire {
		c.retire = false
		c.server.loop.Retire()
	}
}

// spawnBodies runs the handlers of the requests whose body has not come to its
// end: they wait for it, and the driver must not.
func (c *serverConn) spawnBodies() {
	for len(c.bodies) > 0 {
		c.spawn(c.bodies[len(c.bodies)-1])
	}
}

// take handles one piece. If that completes a request, it is to be run. An
// error ends the connection.
func (c *serverConn) take(p Piece) (ready *serverRequest, err error) {
	switch {
	case p.ID == 0:
		return nil, c.manage(p)
	case p.Type == TypeBeginRequest:
		return nil, c.begin(p)
	}
	q := c.latest
	if q == nil || q.id != p.ID {
		c.mu.Lock()
		q = c.requests[p.ID]
		c.mu.Unlock()
	}
	if q == nil {
		if p.Type == TypeStdin && p.Ends {
			c.mu.Lock()
			delete(c.unread, p.ID)
			c.mu.Unlock()
		}
		// FastCGI 1.0 §3.3: a record of a request that is not active is
		// ignored. Most of them are the rest of a body that was not wanted.
		if c.ignored += len(p.Content); c.ignored > discardBytes {
			return nil, errorf("%v for request %d, which is over, does not end", p.Type, p.ID)
		}
		return nil, nil
	}
	return q.take(p)
}

// begin handles BEGIN_REQUEST.
func (c *serverConn) begin(p Piece) error {
	b, err := ParseBegin(p.Content)
	if err != nil {
		return err
	}
	s := c.server
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.cause != nil:
		return c.cause
	case c.lingering.Load():
		return nil // too late for any answer
	case c.requests[p.ID] != nil:
		return errorf("BEGIN_REQUEST for request %d, which is active", p.ID)
	}
	status := RequestComplete
	switch {
	case s.handler(b.Role) == nil:
		status = UnknownRole
	case s.limit.connActive == 1 && len(c.requests) > 0:
		status = CantMultiplex
	case c.refuse, s.retired(), len(c.requests) >= s.limit.connActive, !s.admit():
		status = Overloaded
	}
	if status != RequestComplete {
		c.out.add(func(dst []byte) []byte { return AppendEndRequest(dst, p.ID, End{Status: status}) })
		c.last = c.last || !b.KeepConn
		c.noteUnread(p.ID)
		return nil
	}
	switch {
	case len(c.requests) > 0, p.ID > 2:
		c.shown.Store(true)
		c.muxed.Store(true) // those that send one at a time know no such ids
	case !c.muxed.Load():
		c.out.unread.Store(0) // who asks again has seen the end of the answer before
	}
	c.last = c.last || !b.KeepConn
	c.latest = newServerRequest(c, p.ID, b.Role)
	c.requests[p.ID] = c.latest
	delete(c.unread, p.ID)
	c.active.Add(1)
	c.pending++
	c.ignored = 0
	if s.total.Add(1) == s.MaxRequests {
		c.retire = true
	}
	return nil
}

// watch sets the deadline by which the params of all requests that have begun
// must be here, or a record that has begun, if nothing else is going on. It is
// called before each read; most requests are complete by then.
func (c *serverConn) watch() {
	timeout := c.server.limit.paramsTimeout
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
		c.readBy(deadline)
	}
}
