package scgi

import (
	"context"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/dial"
)

// A Client sends requests to applications, each on a connection of its own.
// The zero Client is ready to use; its fields must not be changed once it is in
// use. It is safe for concurrent use.
//
// A time of zero means the default of that name, a negative one no limit.
type Client struct {
	DialTimeout      time.Duration // until the connection is there, a full backlog included
	FirstByteTimeout time.Duration // from the request sent to the first byte of the answer
	ReadTimeout      time.Duration // between two pieces of the answer
	WriteTimeout     time.Duration // for one piece of the request

	// Dial makes a connection, for those who want more than the net package
	// does: TLS, a tunnel. Nil means [net.Dialer.DialContext].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// MaxParams bounds the params of a request, in bytes on the wire. Zero
	// means DefaultMaxParams; negative, no limit.
	MaxParams int

	// MaxHead and MaxFields bound the head of an answer, as in
	// [cgi.HeadParser].
	MaxHead, MaxFields int
}

// RoundTrip sends r to the application at address and returns its answer as
// soon as the head is complete; the request body may still be on its way. The
// body of the answer must be closed; after Close nothing of r.Body is read any
// more. When ctx is done the exchange ends and its connection is closed.
//
// The body of the answer is read from the connection by whoever reads it, so a
// slow reader slows the application. It ends when the connection is closed. If
// that comes before as many bytes as the head announced, or if the connection
// is reset, the error is not io.EOF. An answer without a Content-Length that
// was cut off by a close cannot be told from a complete one: SCGI has no mark
// for the end. What is longer than announced is passed on as it came.
//
// The size of r.Body must be known, else the error wraps [ErrLengthRequired].
// Of the roles SCGI has only the responder. The error is a *cgi.Error, or
// ctx's. Nothing is sent twice: whether the request may be is what
// [cgi.Error.SafeToRetry] says.
func (c *Client) RoundTrip(ctx context.Context, network, address string, r *cgi.Request) (*cgi.Response, error) {
	head, err := c.encode(r)
	if err != nil {
		return nil, &cgi.Error{Protocol: "scgi", Op: "send", Addr: dial.Name(network, address), Err: err}
	}
	defer head.free()
	nc, err := dial.Func(c.Dial).Dial(ctx, network, address, orDefault(c.DialTimeout, DefaultDialTimeout))
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &cgi.Error{Protocol: "scgi", Op: "dial", Addr: dial.Name(network, address), Err: err, SafeToRetry: true}
	}
	return newExchange(ctx, c, nc, network, address, r).run(head)
}

// newExchange begins an exchange on a new connection.
func newExchange(ctx context.Context, c *Client, nc net.Conn, network, address string, r *cgi.Request) *exchange {
	x := &exchange{client: c, ctx: ctx, nc: nc, network: network, address: address, r: r, left: bodyLength(r)}
	x.parser.MaxBytes, x.parser.MaxFields = c.MaxHead, c.MaxFields
	x.forget = context.AfterFunc(ctx, func() { nc.Close() }) // no request comes after this one
	return x
}

// A buffer is a slice that is used again, with what it takes to encode params
// into it.
type buffer struct {
	b      []byte
	params encoder
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

// encode returns what is sent before the body.
func (c *Client) encode(r *cgi.Request) (*buffer, error) {
	if r.Role != cgi.Responder {
		return nil, fmt.Errorf("scgi has no role %v", r.Role)
	}
	max := c.MaxParams
	if max == 0 {
		max = DefaultMaxParams
	}
	f := buffers.Get().(*buffer)
	var err error
	if f.b, err = f.params.encode(f.b, bodyLength(r), r.Params(), max, f.add); err != nil {
		f.free()
		return nil, err
	}
	return f, nil
}

// bodyLength returns the size of the request body, -1 if it is not known.
func bodyLength(r *cgi.Request) int64 {
	if r.Body == nil {
		return 0
	}
	return max(r.ContentLength, -1)
}
