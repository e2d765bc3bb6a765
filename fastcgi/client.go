package fastcgi

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/dial"
	"github.com/sluice-gateway/sluice/internal/spill"
)

// A Client sends requests to applications and keeps the connections that they
// leave open. The zero Client is ready to use; its fields must not be changed
// once it is in use, but see Adjust. It is safe for concurrent use.
//
// What an application does is learnt. One that closes its connections in spite
// of being asked to keep them is not asked for a while, and until one has been
// seen to stay open, none that was just used carries a request that cannot be
// repeated. If a request on a new connection waits for its first byte, idle
// connections are closed: an application with a fixed number of processes may
// have none left that is not ours. If it is known how many connections the
// application takes (FCGI_MAX_CONNS, from the question of Multiplex or from
// [Client.Values]), one less than that is kept idle, so none if it takes one.
//
// What is not known to this Client it cannot make room for: if the application
// has as many processes as this Client has idle connections, others wait until
// IdleTimeout is over, twice. With few processes and more than one Client,
// MaxIdle should be below their number, or negative.
//
// A time of zero means the default of that name, a negative one no limit.
type Client struct {
	DialTimeout      time.Duration // until the connection is there, a full backlog included
	FirstByteTimeout time.Duration // from the request sent to the first byte of the answer
	ReadTimeout      time.Duration // between two pieces of the answer
	WriteTimeout     time.Duration // for one piece of the request

	// IdleTimeout is how long an unused connection is kept at the least;
	// twice that at the most, because what is not used is looked for only so
	// often. An address that is not used is then forgotten, and what was
	// learnt of the application there. Zero means DefaultIdleTimeout;
	// negative, until the application closes it, or Close is called.
	IdleTimeout time.Duration

	// Dial makes a connection, for those who want more than the net package
	// does: TLS, a tunnel. Nil means [net.Dialer.DialContext].
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	// MaxIdle is the number of unused connections kept for one address. Zero
	// means DefaultMaxIdle; negative, none: the application is asked to close.
	MaxIdle int

	// Cautious gives a request that cannot be repeated a new connection. It is
	// for applications whose processes end, in good order, while a request comes
	// on the connection that they have kept, as those of a php-fpm do
	// (pm.max_requests, SIGQUIT, SIGUSR2): a new one would find the next process.
	Cautious bool

	// Multiplex is how many requests may use one connection at the same time;
	// one or less means that each has its own, and more than 512 means 512.
	// More than one do if the application says that it can (FCGI_MPXS_CONNS),
	// and no more than it says (FCGI_MAX_REQS): it is asked once, on a
	// connection of its own, while requests go on without the answer. Requests
	// whose body is long or of unknown length have a connection to themselves
	// unless the application knows our flow control (doc/flow-control.md).
	Multiplex int

	// AssumeMultiplex takes for granted that applications can multiplex, for
	// those that do not answer the question.
	AssumeMultiplex bool

	// Window is how many bytes of an answer are taken before its reader asks
	// for them. Zero or negative means DefaultWindow; the most is 2 GiB - 1.
	// Beyond it a connection of its own is not read. On a shared one the
	// others must not wait, so what comes goes to memory and then to files.
	Window int

	// MaxSpillMemory bounds what all answers together have in memory beyond
	// their windows, and MaxSpill what they have in files, both in bytes. An
	// answer for which there is no room is ended with ErrSlowReader. Zero
	// means DefaultMaxSpillMemory and DefaultMaxSpill; negative, no limit.
	MaxSpillMemory, MaxSpill int64

	// SpillDir is the folder of the files, which have no name there. Empty
	// means os.TempDir. If none can be made in it, that is the end of an
	// answer that needs one, as if there was no room.
	SpillDir string

	// MaxParams bounds the params of a request, in bytes on the wire. Zero
	// means DefaultMaxParams; negative, no limit.
	MaxParams int

	// MaxHead and MaxFields bound the head of an answer, as in
	// [cgi.HeadParser].
	MaxHead, MaxFields int

	// Log takes what applications write to STDERR, one line an event, up to
	// 64 KiB of each request. Nil discards it.
	Log *slog.Logger

	setUp    sync.Once
	spill    spill.Store
	adjusted atomic.Pointer[bounds] // nil until somebody asks

	mu     sync.Mutex
	hosts  map[hostKey]*host
	sweep  *time.Timer // closes connections that are idle for too long
	closed bool
}

// RoundTrip sends r to the application at address and returns its answer as
// soon as the head is complete; the request body may still be on its way. The
// body of the answer must be closed; after Close nothing of r.Body is read any
// more. When ctx is done the exchange ends: its connection is closed, or, if
// others share it, the application is sent ABORT_REQUEST.
//
// Of a request body whose length is known no more than that is sent, and one
// that is shorter fails the exchange. An answer that is shorter than its
// Content-Length is given as it is, and its body then ends with an error, which
// wraps a [*cgi.ShortError] unless the connection was lost. Both errors wrap
// io.ErrUnexpectedEOF.
//
// The error is an *Error, or ctx's. Nothing is sent twice: whether the request
// may be is what [cgi.Error.SafeToRetry] says. There are three exceptions, in
// which the application has not begun with it: a kept connection turns out to
// be closed before anything was sent, the application refuses to multiplex, or
// it takes no more requests on a connection that several share.
func (c *Client) RoundTrip(ctx context.Context, network, address string, r *cgi.Request) (*cgi.Response, error) {
	c.setUp.Do(func() {
		c.spill.Dir = c.SpillDir
		c.spill.MaxMemory = orDefault(c.MaxSpillMemory, DefaultMaxSpillMemory)
		c.spill.MaxFiles = orDefault(c.MaxSpill, DefaultMaxSpill)
	})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	head, err := c.encode(r)
	if err != nil {
		return nil, &Error{Protocol: "fastcgi", Op: "send", Addr: dial.Name(network, address), Err: err}
	}
	defer head.free()
	h := c.host(network, address)
	defer h.users.Add(-1)
	want := anyConn
	for {
		cn, err := h.take(ctx, r, want)
		if err != nil {
			return nil, err
		}
		kept := cn.answers.Load() > 0
		x := newExchange(ctx, cn, r)
		resp, err := x.run(head.b)
		if err == nil {
			return resp, nil
		}
		failed, ok := errors.AsType[*Error](err)
		if !ok || ctx.Err() != nil {
			return nil, err
		}
		first := want != anyConn || !kept && x.id == FirstRequestID
		if other := h.refused(cn, failed, first); other > want && failed.SafeToRetry && canSendAgain(r) {
			want = other
			continue
		}
		if !kept || !failed.SafeToRetry || failed.Refused || failed.Timeout() {
			return nil, err
		}
		h.forget(cn.age) // the other kept connections are as old as this one
		failed.Stale = true
		if failed.Sent > 0 || want == newConn || x.head > 0 && !canSendAgain(r) {
			return nil, err // the body may have been read
		}
		want = newConn
	}
}

// canSendAgain reports whether what follows the head of r, if there is any, can
// be read again.
func canSendAgain(r *cgi.Request) bool {
	again := func(body cgi.Body) bool {
		_, ok := body.(cgi.Rewinder)
		return body == nil || ok
	}
	return again(r.Body) && (r.Data == nil || again(r.Data.Body))
}

// Close closes all idle connections, waits for their readers, and makes
// further requests fail with ErrClosed. Exchanges under way go on; their
// connections are closed at the end.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	if c.sweep != nil {
		c.sweep.Stop()
	}
	c.mu.Unlock()
	for _, h := range c.known() {
		h.close()
	}
}

// Forget gives up the connections to an address, because the application there
// has ended: those that nobody uses at once, the others after the request that
// they carry. Such a request may have been waiting to be accepted, and its
// connection would occupy the successor, if that serves one at a time.
func (c *Client) Forget(network, address string) {
	c.mu.Lock()
	h := c.hosts[hostKey{network, address}]
	c.mu.Unlock()
	if h != nil {
		h.forgetAll()
	}
}

// Waiting says that the caller has made a connection to an address himself and
// waits for the application to accept it: after a tenth of a second a connection
// that nobody uses is closed, and until over is called none is kept, as for a
// request of the Client's own that waits so long.
func (c *Client) Waiting(network, address string) (over func()) {
	h := c.host(network, address)
	p := new(place)
	h.wait(p)
	return func() {
		h.answered(p)
		h.users.Add(-1)
	}
}

type hostKey struct{ network, address string }

// host returns what is known of an address. The caller is one of its users until
// he says otherwise.
func (c *Client) host(network, address string) *host {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := hostKey{network, address}
	h, ok := c.hosts[key]
	if !ok {
		if c.hosts == nil {
			c.hosts = make(map[hostKey]*host)
		}
		h = &host{client: c, network: network, address: address, name: dial.Name(network, address), closed: c.closed}
		c.hosts[key] = h
		c.startSweep()
	}
	h.users.Add(1)
	return h
}

// known returns the addresses of which something is known.
func (c *Client) known() []*host {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Values(c.hosts))
}

func (c *Client) window() int {
	if c.Window <= 0 {
		return DefaultWindow
	}
	return min(c.Window, maxWindow)
}

// startSweep makes sure that what is not used any more is looked for. A
// connection is closed at the second look without use, so after IdleTimeout at
// the least and twice that at the most, and no request pays for the time of
// day. c.mu is held.
func (c *Client) startSweep() {
	t := orDefault(c.IdleTimeout, DefaultIdleTimeout)
	if c.sweep == nil && !c.closed && t > 0 {
		c.sweep = time.AfterFunc(t, c.sweepIdle)
	}
}

// sweepIdle closes connections, and then forgets addresses, that are not used:
// processes that come and go leave many.
func (c *Client) sweepIdle() {
	for _, h := range c.known() {
		h.expire()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sweep = nil
	maps.DeleteFunc(c.hosts, func(_ hostKey, h *host) bool { return h.unused() })
	if len(c.hosts) > 0 {
		c.startSweep()
	}
}
