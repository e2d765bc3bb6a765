package lazyctx

import (
	"context"
	"errors"
	"testing"
)

func TestContext(t *testing.T) {
	why := errors.New("why")
	tests := []struct {
		name string
		ask  func(c *Context) context.Context // before the end, or after it
		last bool
	}{
		{"never asked", func(c *Context) context.Context { return c }, false},
		{"Done before the end", func(c *Context) context.Context { c.Done(); return c }, false},
		{"Done after the end", func(c *Context) context.Context { c.Done(); return c }, true},
		{"derived before the end", derived, false},
		{"derived after the end", derived, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c Context
			if c.Err() != nil || c.Why() != nil || c.Asked() {
				t.Errorf("at first Err = %v, Why = %v, Asked = %v", c.Err(), c.Why(), c.Asked())
			}
			var ctx context.Context
			if !tt.last {
				ctx = tt.ask(&c)
			}
			c.End(why)
			c.End(errors.New("too late"))
			if tt.last {
				ctx = tt.ask(&c)
			}
			<-ctx.Done()
			if ctx.Err() != context.Canceled || context.Cause(ctx) != why || c.Why() != why {
				t.Errorf("Err = %v, Cause = %v, Why = %v, want Canceled and %v", ctx.Err(), context.Cause(ctx), c.Why(), why)
			}
			if !c.Asked() {
				t.Error("Asked = false after Done")
			}
			c.Reset()
			if c.Err() != nil || c.Why() != nil || c.Asked() {
				t.Errorf("after Reset Err = %v, Why = %v, Asked = %v", c.Err(), c.Why(), c.Asked())
			}
		})
	}
}

type key struct{}

func derived(c *Context) context.Context { return context.WithValue(c, key{}, 1) }

// A context that nobody asks for its channel costs nothing.
func TestContextAllocates(t *testing.T) {
	c := new(Context)
	got := testing.AllocsPerRun(100, func() {
		c.Reset()
		if c.Err() != nil || c.Value(key{}) != nil {
			t.Error("done before its end")
		}
		c.End(nil)
	})
	if got != 0 {
		t.Errorf("%v allocations, want none", got)
	}
}
