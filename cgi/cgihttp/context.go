package cgihttp

import (
	"context"
	"time"
)

// A requestContext is the Context of a request that an Application made. It is
// done when the server's is, with its cause, and when the handler has
// returned.
//
// As long as nobody asks for more than Err it costs nothing. Then it becomes a
// front for a context of package context, because that package knows its own:
// a child of any other has to be watched by a goroutine, and has no cause.
type requestContext call

var _ context.Context = (*requestContext)(nil)

type contextKey struct{}

// callOf returns the call that ctx comes from, or nil.
func callOf(ctx context.Context) *call {
	x, _ := ctx.Value(contextKey{}).(*call)
	return x
}

// Deadline implements context.Context.
func (c *requestContext) Deadline() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return c.deadline, c.hasDeadline
	}
	return c.ctx.Deadline()
}

// Done implements context.Context.
func (c *requestContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return (*call)(c).makeReal().Done()
}

// Err implements context.Context.
func (c *requestContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.real == nil && !c.over && c.ctx.Err() == nil {
		return nil
	}
	return (*call)(c).makeReal().Err()
}

// Value implements context.Context. What is not ours may be the key under
// which package context looks for its own, so it cannot go to the server's
// context directly.
func (c *requestContext) Value(key any) any {
	if key == (contextKey{}) {
		return (*call)(c)
	}
	c.mu.Lock()
	real := (*call)(c).makeReal()
	c.mu.Unlock()
	return real.Value(key)
}

// String keeps package fmt from looking inside, which would be a data race.
func (c *requestContext) String() string { return "cgihttp.Application" }

// makeReal returns the context behind the front. mu is held.
func (x *call) makeReal() context.Context {
	switch {
	case x.real != nil:
	case x.over:
		x.real, x.cancel = context.WithCancelCause(context.Background())
		x.cancel(nil)
	default:
		x.real, x.cancel = context.WithCancelCause((*link)(x))
	}
	return x.real
}

// endContext makes the context done. Only then is it cut off from the
// server's, where it has to be taken off the list of children.
func (x *call) endContext() {
	x.mu.Lock()
	if x.ctx.Err() != nil {
		x.makeReal() // takes over why
	}
	x.deadline, x.hasDeadline = x.ctx.Deadline()
	x.over = true
	cancel := x.cancel
	x.mu.Unlock()
	if cancel != nil {
		cancel(context.Cause(x.ctx))
	}
}

// A link is what the real context of a call has for a parent: the server's
// context, until the gate is shut. Afterwards it is empty.
type link call

// Deadline implements context.Context. Nobody asks: children know the
// requestContext only.
func (l *link) Deadline() (time.Time, bool) { return time.Time{}, false }

// Done implements context.Context.
func (l *link) Done() <-chan struct{} {
	if !l.gate.enter() {
		return nil
	}
	defer l.gate.leave()
	return l.ctx.Done()
}

// Err implements context.Context.
func (l *link) Err() error {
	if !l.gate.enter() {
		return context.Canceled
	}
	defer l.gate.leave()
	return l.ctx.Err()
}

// Value implements context.Context.
func (l *link) Value(key any) any {
	if !l.gate.enter() {
		return nil
	}
	defer l.gate.leave()
	return l.ctx.Value(key)
}

// AfterFunc is what package context looks for in a parent that is none of its
// own, so that a server may have such a context and save the goroutine.
func (l *link) AfterFunc(f func()) (stop func() bool) {
	if !l.gate.enter() {
		return func() bool { return true }
	}
	defer l.gate.leave()
	return context.AfterFunc(l.ctx, f)
}
