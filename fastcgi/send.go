package fastcgi

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/dial"
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
// the end of STDIN if there is no body. An authorizer gets no STDIN (FastCGI
// 1.0 §6.3).
func (c *Client) encode(r *cgi.Request) (*buffer, error) {
	max := c.MaxParams
	if max == 0 {
		max = DefaultMaxParams
	}
	f := buffers.Get().(*buffer)
	f.b = AppendBegin(f.b, FirstRequestID, Begin{Role: uint16(r.Role) + RoleResponder})
	var err error
	if f.b, err = f.params.encode(f.b, FirstRequestID, r.Params(), max, f.add); err != nil {
		f.free()
		return nil, err
	}
	if r.Body == nil && r.Role != cgi.Authorizer {
		f.b = AppendEnd(f.b, TypeStdin, FirstRequestID)
	}
	return f, nil
}

// readdress puts the id, and whether the connection is to be kept, into what
// encode has made.
func readdress(head []byte, id uint16, keep bool) {
	setKeep(head, keep)
	for len(head) > 0 {
		setID(head, id)
		head = head[recordLen(head):]
	}
}

// send sends the head of the request and starts to send its body.
func (x *exchange) send(head []byte) error {
	x.setBodies()
	for _, body := range x.bodies {
		if again, ok := body.from.(cgi.Rewinder); ok {
			if err := again.Rewind(); err != nil {
				return body.failed(err)
			}
		}
	}
	if err := x.c.begin(x); err != nil {
		return err
	}
	readdress(head, x.id, x.c.keep)
	// Before the head is out: its answer may come, and end, before the next
	// line here, and would give the connection away that the body needs.
	x.mu.Lock()
	x.sending = len(x.bodies) > 0
	sending := x.sending
	x.mu.Unlock()
	if err := x.sendHead(head); err != nil {
		x.mu.Lock()
		x.sending = false
		x.mu.Unlock()
		return err
	}
	if sending {
		x.c.running.add(1)
		go x.sendBodies()
	}
	return nil
}

// sendHead sends what comes before the body. On a shared connection it leaves
// together with what others send.
func (x *exchange) sendHead(head []byte) error {
	if x.c.streams != nil {
		x.head = int64(len(head))
		x.headAt = x.c.add(func(dst []byte) []byte { return append(dst, head...) })
		x.c.flush()
		return nil
	}
	if len(head) > surelyTaken || x.c.unread {
		x.writeBy()
		defer x.wakeWrite()()
	}
	n, err := x.c.nc.Write(head)
	x.sent.Add(int64(n))
	return dial.Bare(err)
}

// sentBytes returns how many bytes of the request the kernel took. The head of
// one on a shared connection leaves together with others', in a write of which
// only the end is seen: it counts if it may be there, or may get there yet.
func (x *exchange) sentBytes() int64 {
	n := x.sent.Load()
	if x.head > 0 && !x.c.neverSent(x.headAt) {
		n += x.head
	}
	return n
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

// writeBy sets the time until which the next write must be done.
func (x *exchange) writeBy() {
	t := x.c.bounds.write
	x.mu.Lock()
	defer x.mu.Unlock()
	if t > 0 && !x.finished.Load() {
		x.timed = true
		x.c.nc.SetWriteDeadline(time.Now().Add(t))
	}
}
