package fastcgi

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A requestContext is the context of a request. Most handlers that answer at
// once never look at it, so what the context package makes to cancel one is
// only made when it is asked for.
type requestContext struct {
	done atomic.Bool

	mu     sync.Mutex // guards what follows
	cause  error
	ctx    context.Context
	cancel context.CancelCauseFunc
}

var _ context.Context = (*requestContext)(nil)

// reset makes it ready for a request.
func (c *requestContext) reset() {
	c.done.Store(false)
	c.cause, c.ctx, c.cancel = nil, nil, nil
}

// end cancels the context, if that has not happened before.
func (c *requestContext) end(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done.Load() {
		return
	}
	c.cause = cause
	c.done.Store(true)
	if c.cancel != nil {
		c.cancel(cause)
	}
}

// why returns the cause for which the context was cancelled, or nil.
func (c *requestContext) why() error {
	if !c.done.Load() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// asked reports whether somebody may hold more than the requestContext itself.
func (c *requestContext) asked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ctx != nil
}

// real returns a context of the context package.
func (c *requestContext) real() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ctx == nil {
		c.ctx, c.cancel = context.WithCancelCause(context.Background())
		if c.done.Load() {
			c.cancel(c.cause)
		}
	}
	return c.ctx
}

// Deadline implements context.Context.
func (c *requestContext) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (c *requestContext) Done() <-chan struct{} { return c.real().Done() }

// Err implements context.Context.
func (c *requestContext) Err() error {
	if c.done.Load() {
		return context.Canceled
	}
	return nil
}

// Value implements context.Context. The context package looks for what it can
// cancel, and for the cause, with a key of type *int; everybody else has keys
// of his own types, which we do not know.
func (c *requestContext) Value(key any) any {
	if _, ok := key.(*int); ok {
		return c.real().Value(key)
	}
	return nil
}
