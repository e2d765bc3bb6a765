package fastcgi

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// read is the goroutine of the connection.
func (c *conn) read() {
	defer c.running.add(-1)
	small := make([]byte, smallRead)
	buf := small
	for {
		n, err := c.nc.Read(buf)
		if n > 0 {
			if e := c.feed(buf[:n]); e != nil {
				err = e
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) && !c.d.Between() {
				err = errCut
			}
			if werr := c.out.failed(); werr != nil && isTimeout(err) {
				err = werr
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

// feed hands the bytes of one read to the requests they are for. An error means
// that the connection is lost.
func (c *conn) feed(b []byte) error {
	if c.isUnasked() {
		return errUnasked
	}
	last, err := c.cut(b)
	for i, x := range c.ended {
		x.endRead(err != nil || c.streams == nil && !c.d.Between()) // before the caller wakes and asks for a connection again
		x.signal()
		c.ended[i] = nil
	}
	c.ended = c.ended[:0]
	if err == nil && last != nil && c.streams == nil {
		last.wait()
	}
	return err
}

// cut cuts b into records, and returns whose the last one was if that goes on.
// A request is locked while it gets its pieces, so that its caller sees all of
// a read or nothing.
func (c *conn) cut(b []byte) (x *exchange, err error) {
	defer func() { c.told(x) }()
	for {
		p, rest, ok, err := c.d.Next(b)
		if err != nil || !ok {
			return x, err
		}
		b = rest
		if p.ID == 0 {
			if err := c.manage(p); err != nil {
				return x, err
			}
			continue
		}
		if x == nil || x.id != p.ID {
			c.told(x)
			if x, err = c.find(p); err != nil || x == nil {
				if err != nil {
					return nil, err
				}
				continue
			}
			x.mu.Lock()
		}
		end, err := x.feed(p)
		if err != nil {
			return x, err
		}
		if end {
			c.forget(x)
			c.ended = append(c.ended, x)
			x.mu.Unlock()
			x = nil
		}
	}
}

// isUnasked reports whether nothing should come.
func (c *conn) isUnasked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams == nil && c.only == nil
}

// told unlocks a request that has got its pieces, and wakes its caller.
func (c *conn) told(x *exchange) {
	if x != nil {
		x.mu.Unlock()
		x.signal()
	}
}

// find returns the request that a record is for, or nil if it is for one that
// was aborted and has ended: an application may send on all the same, as Go's
// net/http/fcgi does, and another end after that. Nobody can tell when it is
// done, so that no other request gets such an id.
func (c *conn) find(p Piece) (*exchange, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.streams != nil {
		if c.aborted[p.ID] {
			return nil, nil
		}
		if x := c.streams[p.ID]; x != nil && !x.over {
			return x, nil
		}
		if p.Type == TypeWindowUpdate && c.flow.Load() > 0 {
			return nil, nil // it has crossed the end of the request on its way
		}
		return nil, fmt.Errorf("%w: %v for request %d, which is not active", ErrMalformed, p.Type, p.ID)
	}
	switch x := c.only; {
	case x == nil:
		return nil, errUnasked
	case x.id != p.ID || x.over:
		if p.ID == 1 && x.id == 2 && !c.host.echoes.Load() {
			c.host.oneID.Store(true)
		}
		return nil, &wrongIDError{p.Type, p.ID, x.id}
	default:
		return x, nil
	}
}

// forget notes that the answer to x has ended. Its id is not given to another
// before the request has been sent to its end. x.mu is held.
func (c *conn) forget(x *exchange) {
	c.mu.Lock()
	defer c.mu.Unlock()
	x.over = true
	if x.aborted {
		c.aborted[x.id] = true
	}
	if x.id > 1 {
		c.host.echoes.Store(true)
	}
}

// manage handles a management record. An application may say about itself what
// it likes; a record of a request must not have id 0.
func (c *conn) manage(p Piece) error {
	switch {
	case p.Type >= TypeBeginRequest && p.Type <= TypeData || p.Type == TypeWindowUpdate:
		return fmt.Errorf("%w: %v with request id 0", ErrMalformed, p.Type)
	case p.Type == TypeGetValuesResult:
		return c.agreeFlow(p.Content)
	}
	return nil
}

// A wrongIDError is a record for another request than the one under way.
type wrongIDError struct {
	typ       Type
	got, want uint16
}

func (e *wrongIDError) Error() string {
	return fmt.Sprintf("%v: %v for request %d, want %d", ErrMalformed, e.typ, e.got, e.want)
}

func (e *wrongIDError) Unwrap() error { return ErrMalformed }
