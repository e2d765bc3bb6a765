package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A buffer is a slice that is used again, with what it takes to encode params
// into it.
type buffer struct {
	b      []byte
	params paramsEncoder
	add    func(name, value string) bool
}

var buffers = sync.Pool{New: func() any {
	f := &buffer{b: make([]byte, 0, 2<<10)}
	f.add = f.params.add
	return f
}}

func (f *buffer) free() {
	if cap(f.b) <= keptBuffer {
		f.b = f.b[:0]
		buffers.Put(f)
	}
}

// encode returns what is sent before the body: BEGIN_REQUEST and PARAMS, and
// the end of STDIN if there is no body.
func (c *Client) encode(r *cgi.Request) (*buffer, error) {
	max := c.MaxParams
	if max == 0 {
		max = DefaultMaxParams
	}
	f := buffers.Get().(*buffer)
	var err error
	f.b = AppendBegin(f.b, RequestID, Begin{Role: uint16(r.Role) + RoleResponder, KeepConn: c.maxIdle() > 0})
	if f.b, err = f.params.encode(f.b, RequestID, r.Params(), max, f.add); err != nil {
		f.free()
		return nil, err
	}
	if r.Body == nil {
		f.b = AppendEnd(f.b, TypeStdin, RequestID)
	}
	return f, nil
}

// send writes the head of the request and starts to send its body.
func (x *exchange) send(head []byte) error {
	body, ok := x.r.Body.(cgi.Rewinder)
	if ok {
		if err := body.Rewind(); err != nil {
			return fmt.Errorf("request body: %w", err)
		}
	}
	if len(head) > surelyTaken || x.c.unread {
		x.writeBy()
		defer x.wakeWrite()()
	}
	// Before the head is out: its answer may come, and end, before the next
	// line here, and would give the connection away that the body needs.
	x.mu.Lock()
	x.sending = x.r.Body != nil
	x.mu.Unlock()
	n, err := x.c.nc.Write(head)
	x.sent.Add(int64(n))
	if err != nil {
		return dialError(err)
	}
	if x.r.Body != nil {
		x.sender = make(chan struct{})
		go x.sendBody()
	}
	return nil
}

// wakeWrite makes a write end with the context, until the function that it
// returns is called.
func (x *exchange) wakeWrite() (stop func() bool) {
	return context.AfterFunc(x.ctx, func() {
		x.mu.Lock()
		defer x.mu.Unlock()
		if !x.settled { // or the connection is another's
			x.timed = true
			x.c.nc.SetWriteDeadline(time.Unix(1, 0))
		}
	})
}

// sendBody is a goroutine: it sends the request body while the answer is read,
// because an application may answer before it has read its input, and if
// neither side reads, both block for ever. It belongs to the exchange: finish
// wakes it wherever it blocks, on the client's side or on the application's,
// and waits for it.
func (x *exchange) sendBody() {
	defer close(x.sender)
	f := buffers.Get().(*buffer)
	defer f.free()
	if cap(f.b) < headerLen+sendBuffer+headerLen {
		f.b = make([]byte, 0, headerLen+sendBuffer+headerLen)
	}
	for left := x.r.ContentLength; ; {
		content := f.b[headerLen : headerLen+sendBuffer]
		n, err := x.r.Body.Read(content)
		out := f.b[:headerLen]
		if n > 0 {
			AppendHeader(out[:0], TypeStdin, RequestID, uint16(n), 0)
			out = out[:headerLen+n]
		} else {
			out = out[:0]
		}
		last := errors.Is(err, io.EOF)
		if left -= int64(n); left == 0 && err == nil {
			// The end goes with the last bytes: an application that counts
			// answers when it has those, and an answer that overtakes the end
			// of the request costs the connection.
			last = true
		}
		if last {
			out = AppendEnd(out, TypeStdin, RequestID)
			x.bodyRead.Store(true)
		} else if err != nil {
			x.senderDone(&bodyError{err})
			return
		}
		x.writeBy()
		w, err := x.c.nc.Write(out)
		x.sent.Add(int64(w))
		if err != nil || last {
			x.senderDone(err)
			return
		}
	}
}

// senderDone ends the sending. That the application does not read on is no
// failure yet: its answer may be on the way. That the request body cannot be
// read is one, and so is an application that does not read for too long.
func (x *exchange) senderDone(err error) {
	var body *bodyError
	if errors.As(err, &body) || isTimeout(err) && !x.finished.Load() {
		x.drop(err)
	}
	x.mu.Lock()
	x.sending = false
	x.sendErr = err
	x.mu.Unlock()
	x.settle()
	x.signal()
}

// writeBy sets the time until which the next write must be done.
func (x *exchange) writeBy() {
	t := orDefault(x.c.host.client.WriteTimeout, DefaultWriteTimeout)
	x.mu.Lock()
	defer x.mu.Unlock()
	if t > 0 && !x.finished.Load() {
		x.timed = true
		x.c.nc.SetWriteDeadline(time.Now().Add(t))
	}
}

// A bodyError is an error of the request body, not of the application.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "request body: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// stopSending wakes the sender and waits for it. A body that has been read to
// its end only waits for the last write.
func (x *exchange) stopSending() {
	if x.sender == nil {
		return
	}
	x.mu.Lock()
	switch {
	case !x.sending:
	case x.bodyRead.Load():
		x.timed = true
		x.c.nc.SetWriteDeadline(time.Now().Add(drainTime))
	default:
		x.timed = true
		x.r.Body.Cancel()
		x.c.nc.SetWriteDeadline(time.Unix(1, 0))
	}
	x.mu.Unlock()
	<-x.sender
}
