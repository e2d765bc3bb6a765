package fastcgi

import (
	"context"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/dial"
)

// A host is one address, the connections that are kept to it, and what has been
// learnt of the application there.
type host struct {
	client                 *Client
	network, address, name string

	mu      sync.Mutex
	idle    []*conn  // the last one was used last, so that a surplus grows old
	shared  []*conn  // that carry several requests at a time
	waiting []*place // on new connections, without a byte of answer; oldest first
	age     int      // goes up when all connections until then are given up
	keeping keeping
	mux     multiplexing
	closed  bool

	users  atomic.Int64 // requests that have it in hand; goes up under client.mu only
	conns  atomic.Int64 // that are open
	limit  atomic.Int64 // connections that the application says it takes; 0: not known
	stale  bool         // under client.mu: it was not used at the last look
	echoes atomic.Bool  // the application has answered with another id than 1
	oneID  atomic.Bool  // it knows no other
}

// What kind of connection a request wants.
type connKind int

const (
	anyConn connKind = iota
	newConn          // one that has carried no request yet
	ownConn          // such a one, and not to be shared
)

// take returns a connection for r.
func (h *host) take(ctx context.Context, r *cgi.Request, want connKind) (*conn, error) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, h.errorOf("dial", ErrClosed)
	}
	share := 1
	if want != ownConn {
		share = h.shareFor(r)
	}
	if h.client.Cautious && share == 1 && want == anyConn && !r.Idempotent() {
		want = newConn
		if c := h.takeIdle(); c != nil { // it may occupy the only process that is free
			h.mu.Unlock()
			c.retire()
			h.mu.Lock()
		}
	}
	long := isLong(r)
	for c := h.pick(want, share, long); c != nil; c = h.pick(want, share, long) {
		doubt := h.keeping.doubt(c.since)
		if doubt == 0 || share > 1 || r.Idempotent() {
			h.mu.Unlock()
			return c, nil
		}
		h.mu.Unlock()
		time.Sleep(doubt)
		h.mu.Lock()
		if !c.lost() {
			h.keeping.seen = true
			h.mu.Unlock()
			return c, nil
		}
	}
	if share > 1 {
		return h.dialShared(ctx, r, share)
	}
	age, keep := h.age, h.keeping.ask(h.maxIdle() > 0)
	h.mu.Unlock()
	nc, err := h.dial(ctx)
	if err != nil {
		return nil, err
	}
	return h.newConn(nc, 1, age, keep), nil
}

func (h *host) dial(ctx context.Context) (net.Conn, error) {
	nc, err := dial.Func(h.client.Dial).Dial(ctx, h.network, h.address, h.client.bounds().dial)
	switch {
	case err == nil:
		return nc, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	}
	return nil, h.errorOf("dial", err)
}

// pick returns a connection there is, or nil: for a long body, one that is not
// shared or has flow control. h.mu is held.
func (h *host) pick(want connKind, share int, long bool) *conn {
	if want != anyConn {
		return nil
	}
	if share > 1 {
		for _, c := range h.shared {
			if (!long || c.hasFlow()) && c.reserve(share) {
				c.unused = false
				return c
			}
		}
		return nil
	}
	n := len(h.idle)
	if n == 0 {
		return nil
	}
	c := h.idle[n-1]
	h.idle[n-1] = nil
	h.idle = h.idle[:n-1]
	c.reserve(1)
	return c
}

// errorOf makes the error of an exchange of which nothing was sent.
func (h *host) errorOf(op string, err error) *Error {
	return &Error{Protocol: "fastcgi", Op: op, Addr: h.name, Err: err, SafeToRetry: err != ErrClosed}
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
	if h.closed || c.lost() || !c.keep || c.age != h.age || len(h.idle) >= h.maxIdle() || h.stalled(time.Now) {
		return false
	}
	c.unused = false
	c.since = h.keeping.stamp(c)
	h.idle = append(h.idle, c)
	return true
}

// mayUseTwo reports whether r may have the id 2: an application that gives all
// its answers the id 1 loses it. So one that cannot be repeated must not be the
// first to find that out, nor the first after forget.
func (h *host) mayUseTwo(r *cgi.Request) bool {
	return !h.oneID.Load() && (h.echoes.Load() || r.Idempotent())
}

// noFlow notes that the application has no flow control any more.
func (h *host) noFlow() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mux.window = 0
}

func (h *host) stalled(now func() time.Time) bool {
	return len(h.waiting) > 0 && now().Sub(h.waiting[0].started) > stallTime
}

// drop forgets a connection that is closed. byPeer tells that the application
// did that, while nobody used the connection.
func (h *host) drop(c *conn, byPeer bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if byPeer && c.most == 1 {
		h.keeping.closedByPeer(c)
	}
	if i := slices.Index(h.idle, c); i >= 0 {
		h.idle = slices.Delete(h.idle, i, i+1)
	}
	if i := slices.Index(h.shared, c); i >= 0 {
		h.shared = slices.Delete(h.shared, i, i+1)
	}
}

// A place is that of a request, or question, in the queue of the application:
// it is on a new connection, and nothing has come of the answer.
type place struct {
	started time.Time
	over    *time.Timer // runs until stallTime is over
}

// wait notes one that waits, answered that it waits no more.
func (h *host) wait(p *place) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.waiting = append(h.waiting, p)
	p.started = time.Now()
	p.over = time.AfterFunc(stallTime, func() { h.makeRoom(p) })
}

func (h *host) answered(p *place) {
	h.mu.Lock()
	defer h.mu.Unlock()
	p.over.Stop()
	if i := slices.Index(h.waiting, p); i >= 0 {
		h.waiting = slices.Delete(h.waiting, i, i+1)
	}
}

// makeRoom closes one idle connection for a request that has waited for
// stallTime. What put has kept before that may occupy all the processes of the
// application, and no other request need come to free one.
func (h *host) makeRoom(p *place) {
	h.mu.Lock()
	var c *conn
	if slices.Contains(h.waiting, p) {
		c = h.takeIdle()
	}
	h.mu.Unlock()
	if c != nil {
		c.retire()
	}
}

// takeIdle takes out a connection that nobody uses, if there is one: that which
// has not been used for the longest time, or else a shared one. h.mu is held.
func (h *host) takeIdle() (c *conn) {
	if len(h.idle) > 0 {
		c = h.idle[0]
		h.idle = slices.Delete(h.idle, 0, 1)
		return c
	}
	if i := slices.IndexFunc(h.shared, (*conn).isIdle); i >= 0 {
		c = h.shared[i]
		h.shared = slices.Delete(h.shared, i, i+1)
	}
	return c
}

// maxIdle returns how many unused connections may be kept: one less than the
// application takes, if it has said that, so that there is one for others.
func (h *host) maxIdle() int {
	most := h.client.bounds().idle
	if n := h.limit.Load(); n > 0 {
		most = int(min(int64(most), n-1))
	}
	return most
}

// learn takes what the application has said of itself.
func (h *host) learn(values []cgi.Field) {
	for _, v := range values {
		if n, err := strconv.ParseInt(v.Value, 10, 32); v.Name == MaxConns && err == nil && n > 0 {
			h.limit.Store(n)
		}
	}
}

// forgetAll gives up all connections that there are, see forget.
func (h *host) forgetAll() {
	h.mu.Lock()
	age := h.age
	h.mu.Unlock()
	h.forget(age)
}

// forget gives up all connections that are as old as one of that age: the idle
// ones at once, the others when they are not used any more. Another application
// may be there by now: how the last one treated its connections counts no more.
// What it has answered to questions does, until the address is forgotten.
func (h *host) forget(age int) {
	h.mu.Lock()
	var old []*conn
	if age == h.age { // or they have been, with another that was lost
		old = h.giveUp()
		h.keeping = keeping{}
		h.echoes.Store(false) // oneID stays: it costs nothing, and is learnt of a connection that is lost
	}
	h.mu.Unlock()
	for _, c := range old {
		c.retire()
	}
}

// close closes the connections that are not used and waits for their readers.
func (h *host) close() {
	h.mu.Lock()
	h.closed = true
	all := h.giveUp()
	if h.mux.stopAsking != nil {
		h.mux.stopAsking()
	}
	h.mu.Unlock()
	for _, c := range all {
		if c.retire() {
			c.wait()
		}
	}
	h.mux.wait()
}

// giveUp forgets all connections, and returns them. h.mu is held.
func (h *host) giveUp() []*conn {
	all := append(h.idle, h.shared...)
	h.idle, h.shared = nil, nil
	h.age++
	return all
}

// expire closes the connections that were idle at the last call too.
func (h *host) expire() {
	var old []*conn
	stale := func(c *conn) bool {
		if !c.isIdle() {
			return false
		}
		if c.unused {
			old = append(old, c)
		}
		was := c.unused
		c.unused = true
		return was
	}
	h.mu.Lock()
	h.idle = slices.DeleteFunc(h.idle, stale)
	h.shared = slices.DeleteFunc(h.shared, stale)
	h.mu.Unlock()
	for _, c := range old {
		c.retire()
	}
}

// unused reports whether nothing has been done here, now and at the last look.
// client.mu is held, so that nobody comes meanwhile.
func (h *host) unused() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	was := h.stale
	h.stale = h.users.Load() == 0 && h.conns.Load() == 0 && h.mux.state != muxAsking
	return was && h.stale
}
