package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A Client sends requests to applications and keeps the connections that they
// leave open. The zero Client is ready to use; its fields must not be changed
// once it is in use. It is safe for concurrent use.
//
// A time of zero means the default of that name, a negative one no limit.
type Client struct {
	DialTimeout      time.Duration // until the connection is there, a full backlog included
	FirstByteTimeout time.Duration // from the request sent to the first byte of the answer
	ReadTimeout      time.Duration // between two pieces of the answer
	WriteTimeout     time.Duration // for one piece of the request
	IdleTimeout      time.Duration // an unused connection is closed after this

	// MaxIdle is the number of unused connections kept for one address. Zero
	// means DefaultMaxIdle; negative, none: the application is asked to close.
	MaxIdle int

	// MaxParams bounds the params of a request, in bytes on the wire. Zero
	// means DefaultMaxParams; negative, no limit.
	MaxParams int

	// MaxHead and MaxFields bound the head of an answer, as in
	// [cgi.HeadParser].
	MaxHead, MaxFields int

	// Log takes what applications write to STDERR, one line an event. Nil
	// discards it.
	Log *slog.Logger

	mu     sync.Mutex
	hosts  map[string]*host // by address
	sweep  *time.Timer      // closes connections that are idle for too long
	closed bool
}

// RoundTrip sends r to the application at address and returns its answer as
// soon as the head is complete; the request body may still be on its way. The
// body of the answer must be closed; after Close nothing of r.Body is read any
// more. When ctx is done the exchange ends and its connection is closed.
//
// The error is an *Error, or ctx's. Nothing is sent twice: whether the request
// may be is what [Error.SafeToRetry] says. Only if a connection that was kept
// turns out to be closed before anything was sent, another one is taken.
func (c *Client) RoundTrip(ctx context.Context, network, address string, r *cgi.Request) (*cgi.Response, error) {
	head, err := c.encode(r)
	if err != nil {
		return nil, &Error{Op: "send", Addr: addr(network, address), Err: err}
	}
	defer head.free()
	h := c.host(network, address)
	for fresh := false; ; fresh = true {
		cn, err := h.take(ctx, fresh)
		if err != nil {
			return nil, err
		}
		kept := cn.answers > 0
		x := newExchange(ctx, cn, r)
		resp, err := x.run(head.b)
		if err == nil {
			return resp, nil
		}
		failed, ok := errors.AsType[*Error](err)
		if !ok || !kept || !failed.SafeToRetry() || failed.Refused() || failed.Timeout() || ctx.Err() != nil {
			return nil, err
		}
		// The other kept connections are as old as this one.
		h.forget()
		failed.stale = true
		if failed.Sent > 0 || fresh {
			return nil, err
		}
	}
}

// Close closes all idle connections, waits for their readers, and makes
// further requests fail with ErrClosed. Exchanges under way go on; their
// connections are closed at the end.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	hosts := slices.Collect(maps.Values(c.hosts))
	if c.sweep != nil {
		c.sweep.Stop()
	}
	c.mu.Unlock()
	for _, h := range hosts {
		h.close()
	}
}

// host returns what is known of an address.
func (c *Client) host(network, address string) *host {
	c.mu.Lock()
	defer c.mu.Unlock()
	if h, ok := c.hosts[address]; ok && h.network == network {
		return h
	}
	if c.hosts == nil {
		c.hosts = make(map[string]*host)
	}
	h := &host{client: c, network: network, address: address, closed: c.closed}
	c.hosts[address] = h
	return h
}

// dial connects to the application. A unix socket whose backlog is full says
// EAGAIN at once: the application is busy, not down, so it is asked again.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if t := orDefault(c.DialTimeout, DefaultDialTimeout); t > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, t, errTimeout{fmt.Sprintf("no connection for %v", t)})
		defer cancel()
	}
	var d net.Dialer
	for pause := backlogRetryMin; ; pause = min(2*pause, backlogRetryMax) {
		nc, err := d.DialContext(ctx, network, address)
		if err == nil {
			return nc, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !errors.Is(err, syscall.EAGAIN) {
			return nil, dialError(err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return nil, errTimeout{fmt.Sprintf("the backlog of the socket is full (%v)", syscall.EAGAIN)}
		}
	}
}

// dialError strips what Error says itself.
func dialError(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// errTimeout is an error that is a timeout.
type errTimeout struct{ text string }

func (e errTimeout) Error() string   { return e.text }
func (e errTimeout) Timeout() bool   { return true }
func (e errTimeout) Temporary() bool { return true }

func addr(network, address string) string {
	if network == "unix" {
		return "unix:" + address
	}
	return address
}
