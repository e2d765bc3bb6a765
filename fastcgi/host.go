package fastcgi

import (
	"context"
	"slices"
	"sync"
	"time"
)

// A host is one address and the connections that are kept to it.
type host struct {
	client           *Client
	network, address string

	mu      sync.Mutex
	idle    []*conn     // the last one was used last, so that a surplus grows old
	waiting []*exchange // on new connections, without a byte of answer; oldest first
	closed  bool
}

// take returns a connection: an idle one unless fresh, else a new one.
func (h *host) take(ctx context.Context, fresh bool) (*conn, error) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, &Error{Op: "dial", Addr: addr(h.network, h.address), Err: ErrClosed}
	}
	if n := len(h.idle); n > 0 && !fresh {
		c := h.idle[n-1]
		h.idle[n-1] = nil
		h.idle = h.idle[:n-1]
		h.mu.Unlock()
		return c, nil
	}
	h.mu.Unlock()
	nc, err := h.client.dial(ctx, h.network, h.address)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, &Error{Op: "dial", Addr: addr(h.network, h.address), Err: err}
	}
	return newConn(h, nc), nil
}

// put keeps a connection for the next request and reports whether it did.
//
// It is not kept when another request has been waiting for its first byte on
// a new connection: an application with a fixed number of processes does not
// accept that one before it is rid of this one, and as long as we reuse ours
// the other starves (measured with php-fpm behind peers that keep
// connections: 18 of 64 clients got no answer at all).
func (h *host) put(c *conn) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || c.lost() || len(h.idle) >= h.client.maxIdle() || h.stalled(time.Now) {
		return false
	}
	c.unused = false
	h.idle = append(h.idle, c)
	h.client.startSweep()
	return true
}

func (h *host) stalled(now func() time.Time) bool {
	return len(h.waiting) > 0 && now().Sub(h.waiting[0].started) > stallTime
}

// drop forgets an idle connection that was closed by the other side.
func (h *host) drop(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, other := range h.idle {
		if other == c {
			h.idle = append(h.idle[:i], h.idle[i+1:]...)
			return
		}
	}
}

// wait notes a request on a new connection, answered that it waits no more.
func (h *host) wait(x *exchange) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = append(h.waiting, x)
	x.stall = time.AfterFunc(stallTime, func() { h.makeRoom(x) })
}

func (h *host) answered(x *exchange) {
	h.mu.Lock()
	defer h.mu.Unlock()
	x.stall.Stop()
	if i := slices.Index(h.waiting, x); i >= 0 {
		h.waiting = slices.Delete(h.waiting, i, i+1)
	}
}

// makeRoom closes one idle connection for a request that has waited for
// stallTime. What put has kept before that may occupy all the processes of the
// application, and no other request need come to free one.
func (h *host) makeRoom(x *exchange) {
	h.mu.Lock()
	var c *conn
	if len(h.idle) > 0 && slices.Contains(h.waiting, x) {
		c = h.idle[0]
		h.idle = slices.Delete(h.idle, 0, 1)
	}
	h.mu.Unlock()
	if c != nil {
		c.close(ErrClosed)
	}
}

// forget closes the idle connections.
func (h *host) forget() {
	for _, c := range h.takeIdle() {
		c.close(ErrClosed)
	}
}

// close closes the idle connections and waits for their readers.
func (h *host) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	for _, c := range h.takeIdle() {
		c.close(ErrClosed)
		<-c.done
	}
}

func (h *host) takeIdle() []*conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	idle := h.idle
	h.idle = nil
	return idle
}

// expire closes the connections that were idle at the last call too, and
// reports whether some are left.
func (h *host) expire() (left bool) {
	h.mu.Lock()
	var old []*conn
	kept := h.idle[:0]
	for _, c := range h.idle {
		if c.unused {
			old = append(old, c)
			continue
		}
		c.unused = true
		kept = append(kept, c)
	}
	clear(h.idle[len(kept):])
	h.idle = kept
	left = len(kept) > 0
	h.mu.Unlock()
	for _, c := range old {
		c.close(ErrClosed)
	}
	return left
}

func (c *Client) maxIdle() int {
	if c.MaxIdle == 0 {
		return DefaultMaxIdle
	}
	return c.MaxIdle
}

// startSweep makes sure that idle connections are looked at. A connection is
// closed at the second look without use, so after IdleTimeout at the least and
// twice that at the most, and no request pays for the time of day.
func (c *Client) startSweep() {
	t := orDefault(c.IdleTimeout, DefaultIdleTimeout)
	if t < 0 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sweep == nil && !c.closed {
		c.sweep = time.AfterFunc(t, c.sweepIdle)
	}
}

func (c *Client) sweepIdle() {
	c.mu.Lock()
	c.sweep = nil
	hosts := make([]*host, 0, len(c.hosts))
	for _, h := range c.hosts {
		hosts = append(hosts, h)
	}
	c.mu.Unlock()
	left := false
	for _, h := range hosts {
		left = h.expire() || left
	}
	if left {
		c.startSweep()
	}
}
