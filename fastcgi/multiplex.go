package fastcgi

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// multiplexing is what is known of an application's taking of several requests
// at a time on one connection.
type multiplexing struct {
	state  muxState
	max    int   // requests on one connection
	window int64 // of its flow control, in bytes; 0 if it has none
	again  time.Time
	busy   time.Time // until then a refusal is the application's, see overloaded
	asking sync.WaitGroup
	dial   *sharedDial // the latest, while it is under way

	stopAsking context.CancelFunc // nil if nobody has been asked
}

type muxState int

const (
	muxUnknown muxState = iota
	muxAsking
	muxYes
	muxNo
)

const (
	// askTimeout bounds the wait for the answer to GET_VALUES. Requests do
	// not wait for it.
	askTimeout = 5 * time.Second

	// askAgainMux is how long an application that could not be asked has its
	// peace.
	askAgainMux = 30 * time.Second

	// busyTime is how long an application that is OVERLOADED on a new
	// connection is not tried on another: that costs it a connection for each
	// request that it refuses.
	busyTime = time.Second

	// sharedBody is the longest body that is sent on a shared connection, in
	// bytes: as long as the application does not read it, and there is no flow
	// control, it stands before the requests of the others.
	sharedBody = 16 << 10
)

// shareFor returns how many requests may use the connection that r gets. h.mu
// is held.
func (h *host) shareFor(r *cgi.Request) int {
	most := min(h.client.Multiplex, maxShare)
	if most < 2 {
		return 1
	}
	m := &h.mux
	if m.state == muxUnknown && !time.Now().Before(m.again) {
		if h.client.AssumeMultiplex {
			m.state, m.max = muxYes, most
		}
		m.state = max(m.state, muxAsking)
		m.asking.Add(1)
		ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
		m.stopAsking = cancel
		go h.askMultiplex(ctx, cancel)
	}
	if m.state != muxYes || m.window == 0 && isLong(r) {
		return 1
	}
	return min(most, m.max)
}

// isLong reports whether what follows the head of r may be too long for a
// shared connection.
func isLong(r *cgi.Request) bool {
	long := func(body cgi.Body, n int64) bool { return body != nil && (n < 0 || n > sharedBody) }
	return long(r.Body, r.ContentLength) || r.Data != nil && long(r.Data.Body, r.Data.Length)
}

// askMultiplex asks the application what it can. It ends by itself, and is
// ended and waited for by host.close.
func (h *host) askMultiplex(ctx context.Context, cancel context.CancelFunc) {
	defer h.mux.asking.Done()
	defer cancel()
	values, err := h.values(ctx, []string{MpxsConn, MaxReqs, MaxConns, FlowWindow})
	h.mu.Lock()
	defer h.mu.Unlock()
	m := &h.mux
	if m.state == muxNo {
		return // a request has found out before
	}
	if err != nil && m.state == muxAsking {
		m.state, m.again = muxUnknown, time.Now().Add(askAgainMux)
		return
	}
	m.learn(values, h.client.Multiplex)
}

// learn takes the answer to GET_VALUES.
func (m *multiplexing) learn(values []cgi.Field, most int) {
	yes, reqs := m.state == muxYes, most
	for _, v := range values {
		n, err := strconv.ParseInt(v.Value, 10, 32)
		if err != nil || n < 0 {
			continue
		}
		switch v.Name {
		case MpxsConn:
			yes = n == 1
		case MaxReqs:
			reqs = int(n)
		case FlowWindow:
			m.window = n
		}
	}
	m.state, m.max = muxNo, min(reqs, most)
	if yes && m.max > 1 {
		m.state = muxYes
	}
}

// wait waits for a question that is under way.
func (m *multiplexing) wait() { m.asking.Wait() }

// A sharedDial is a connection that is being made for several requests.
type sharedDial struct {
	done    chan struct{} // closed when it is there, or has failed
	waiting int           // requests that wait for it
	failed  *Error        // for all of them; nil if only the one that dialed has given up
}

// dialShared makes a connection for r and for those that come meanwhile. h.mu
// is held, and released.
func (h *host) dialShared(ctx context.Context, r *cgi.Request, share int) (*conn, error) {
	if d := h.mux.dial; d != nil && d.waiting < share-1 {
		d.waiting++
		h.mu.Unlock()
		select {
		case <-d.done:
			if d.failed != nil {
				failed := *d.failed
				return nil, &failed
			}
			return h.take(ctx, r, anyConn)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	d := &sharedDial{done: make(chan struct{})}
	h.mux.dial = d
	age, window := h.age, h.mux.window
	h.mu.Unlock()
	nc, err := h.dial(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	defer close(d.done)
	if h.mux.dial == d {
		h.mux.dial = nil
	}
	if err != nil {
		d.failed, _ = errors.AsType[*Error](err)
		return nil, err
	}
	c := h.newConn(nc, share, age, true)
	if window > 0 {
		c.askFlow(window)
	}
	if h.closed || age != h.age {
		c.retire() // after this request
		return c, nil
	}
	h.shared = append(h.shared, c)
	return c, nil
}

// refused learns from an error, and returns the kind of connection that the
// request can have instead, or anyConn if no other is any better. first tells
// that it was the first one to be refused on a new connection.
func (h *host) refused(c *conn, err *Error, first bool) connKind {
	r, ok := err.Err.(*RefusedError)
	if !ok || c.most < 2 {
		return anyConn
	}
	switch r.Status {
	case CantMultiplex:
		h.mu.Lock()
		h.mux.state = muxNo
		h.mu.Unlock()
		c.retire()
		return ownConn
	case Overloaded:
		if h.overloaded(first) {
			return anyConn
		}
		c.retire() // as an application wants it that is about to end
		return newConn
	}
	return anyConn
}

// overloaded reports whether a refusal is the application's, and not only that
// of a connection on which it takes no more. On a new one it always is.
func (h *host) overloaded(first bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if first {
		h.mux.busy = now.Add(busyTime)
	}
	return now.Before(h.mux.busy)
}
