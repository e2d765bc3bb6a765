// Package lazyctx has the context of a request at the application's end.
package lazyctx

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// A Context is the context of a request. Most handlers that answer at once
// never look at theirs, so what the context package makes to cancel one is
// only made when it is asked for. The zero Context is ready to use, and must
// not be copied.
type Context struct {
	done atomic.Bool

	mu     sync.Mutex // guards what follows
	cause  error
	ctx    context.Context
	cancel context.CancelCauseFunc
}

var _ context.Context = (*Context)(nil)

// Reset makes c ready for another request. Nobody may hold c then: see Asked.
func (c *Context) Reset() {
	c.done.Store(false)
	c.cause, c.ctx, c.cancel = nil, nil, nil
}

// End cancels the context, if that has not happened before.
func (c *Context) End(cause error) {
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

// Why returns the cause for which the context was cancelled, or nil.
func (c *Context) Why() error {
	if !c.done.Load() {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cause
}

// Asked reports whether somebody may hold more than the Context itself.
func (c *Context) Asked() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ctx != nil
}

// real returns a context of the context package.
func (c *Context) real() context.Context {
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
func (c *Context) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (c *Context) Done() <-chan struct{} { return c.real().Done() }

// Err implements context.Context.
func (c *Context) Err() error {
	if c.done.Load() {
		return context.Canceled
	}
	return nil
}

// Value implements context.Context. The context package looks for what it can
// cancel, and for the cause, with a key of type *int; everybody else has keys
// of his own types, which we do not know.
func (c *Context) Value(key any) any {
	if _, ok := key.(*int); ok {
		return c.real().Value(key)
	}
	return nil
}
