package cgihttp

import (
	"context"
	"errors"
	"net/http"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var errWhy = errors.New("why")

// serveContext calls during with the context of a request, and returns that.
func serveContext(ctx context.Context, during func(context.Context)) (after context.Context) {
	Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		after = r.Context()
		during(after)
	})).ServeCGI(ctx, new(recorder), get("/"))
	return after
}

// The context is done once the handler has returned, whoever has looked at it
// before. It keeps the server's cause if that came first.
func TestContextAfterReturn(t *testing.T) {
	type end struct{ err, cause error }
	tests := []struct {
		name   string
		during func(ctx context.Context, cancel context.CancelCauseFunc)
		want   end
	}{
		{"nobody asked", func(context.Context, context.CancelCauseFunc) {},
			end{context.Canceled, context.Canceled}},
		{"polled", func(ctx context.Context, _ context.CancelCauseFunc) { ctx.Err() },
			end{context.Canceled, context.Canceled}},
		{"asked for Done", func(ctx context.Context, _ context.CancelCauseFunc) { ctx.Done() },
			end{context.Canceled, context.Canceled}},
		{"cancelled, nobody asked", func(_ context.Context, cancel context.CancelCauseFunc) { cancel(errWhy) },
			end{context.Canceled, errWhy}},
		{"cancelled, polled", func(ctx context.Context, cancel context.CancelCauseFunc) { ctx.Err(); cancel(errWhy) },
			end{context.Canceled, errWhy}},
		{"cancelled, asked for Done", func(ctx context.Context, cancel context.CancelCauseFunc) { ctx.Done(); cancel(errWhy) },
			end{context.Canceled, errWhy}},
		{"cancelled without a cause", func(_ context.Context, cancel context.CancelCauseFunc) { cancel(nil) },
			end{context.Canceled, context.Canceled}},
	}
	for _, tt := range tests {
		for _, server := range []string{"cancelCtx", "other"} {
			t.Run(tt.name+", "+server, func(t *testing.T) {
				ctx, cancelNow := context.WithCancelCause(context.Background())
				if server == "other" {
					ctx = newForeignContext(ctx)
				}
				cancel := func(cause error) {
					cancelNow(cause)
					<-ctx.Done()
				}
				after := serveContext(ctx, func(ctx context.Context) { tt.during(ctx, cancel) })
				cancel(errors.New("too late"))
				select {
				case <-after.Done():
				default:
					t.Error("not done")
				}
				if got := (end{after.Err(), context.Cause(after)}); got != tt.want {
					t.Errorf("err and cause = %v, want %v", got, tt.want)
				}
				child, stop := context.WithCancel(after)
				defer stop()
				if child.Err() != tt.want.err || context.Cause(child) != tt.want.cause {
					t.Errorf("child: %v, %v, want %v", child.Err(), context.Cause(child), tt.want)
				}
			})
		}
	}
}

// While the handler runs the context tells what the server's does, and its
// children cost no goroutine, whatever the server's is.
func TestContextDuringCall(t *testing.T) {
	type key struct{}
	for _, server := range []string{"cancelCtx", "other"} {
		t.Run(server, func(t *testing.T) {
			var ctx context.Context
			ctx, cancel := context.WithCancelCause(context.WithValue(context.Background(), key{}, "v"))
			defer cancel(nil)
			if server == "other" {
				ctx = newForeignContext(ctx)
			}
			after := serveContext(ctx, func(ctx context.Context) {
				before := runtime.NumGoroutine()
				if v := ctx.Value(key{}); v != "v" || ctx.Err() != nil || context.Cause(ctx) != nil {
					t.Errorf("before: value %v, err %v, cause %v", v, ctx.Err(), context.Cause(ctx))
				}
				var children []context.Context
				for range 100 {
					child, stop := context.WithTimeout(ctx, time.Hour)
					defer stop()
					defer context.AfterFunc(ctx, func() {})()
					children = append(children, child)
				}
				if n := runtime.NumGoroutine() - before; n > 0 {
					t.Errorf("100 children have %d goroutines", n)
				}
				cancel(errWhy)
				for _, child := range children {
					<-child.Done()
					if context.Cause(child) != errWhy {
						t.Fatalf("cause of a child: %v, want %v", context.Cause(child), errWhy)
					}
				}
				if v := ctx.Value(key{}); v != "v" || ctx.Err() != context.Canceled || context.Cause(ctx) != errWhy {
					t.Errorf("cancelled: value %v, err %v, cause %v", v, ctx.Err(), context.Cause(ctx))
				}
			})
			if v := after.Value(key{}); v != nil {
				t.Errorf("a value of the server's after the end: %v", v)
			}
		})
	}
}

func TestContextDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		want, _ := ctx.Deadline()
		check := func(ctx context.Context) {
			t.Helper()
			if got, ok := ctx.Deadline(); !ok || got != want {
				t.Errorf("Deadline = %v, %v, want %v", got, ok, want)
			}
		}
		after := serveContext(ctx, func(ctx context.Context) {
			check(ctx)
			time.Sleep(2 * time.Hour)
		})
		check(after)
		if after.Err() != context.DeadlineExceeded || context.Cause(after) != context.DeadlineExceeded {
			t.Errorf("err %v, cause %v", after.Err(), context.Cause(after))
		}
	})
}

// The server's context must not go on knowing contexts of requests that have
// ended: it may live as long as the connection.
func TestContextIsTakenOffTheServers(t *testing.T) {
	ctx := newForeignContext(t.Context())
	before := ctx.registered()
	var child context.Context
	serveContext(ctx, func(ctx context.Context) {
		var cancel context.CancelFunc
		child, cancel = context.WithCancel(ctx)
		t.Cleanup(cancel) // late: the handler's end is to do it
		if ctx.(*requestContext).real == nil {
			t.Error("no context was made for the child")
		}
	})
	if child.Err() == nil {
		t.Error("the child is not done")
	}
	if n := ctx.registered() - before; n != 0 {
		t.Errorf("%d functions are still registered", n)
	}
}

// A handler that never looks at the context pays for none.
func TestContextIsLazy(t *testing.T) {
	serveContext(t.Context(), func(ctx context.Context) {
		ctx.Err()
		ctx.Deadline()
		ctx.Value(contextKey{})
		if ctx.(*requestContext).real != nil {
			t.Error("a context was made for nobody")
		}
	})
}

// A foreignContext is one that package context does not know, as a server may
// have in order to use it again. It knows its cause, though.
type foreignContext struct {
	context.Context
	done chan struct{}

	mu sync.Mutex
	n  int // functions that AfterFunc has registered and nobody has taken back
}

func newForeignContext(parent context.Context) *foreignContext {
	c := &foreignContext{Context: parent, done: make(chan struct{})}
	context.AfterFunc(parent, func() { close(c.done) })
	return c
}

func (c *foreignContext) Done() <-chan struct{} { return c.done }

func (c *foreignContext) Err() error {
	select {
	case <-c.done:
		return c.Context.Err()
	default:
		return nil
	}
}

func (c *foreignContext) AfterFunc(f func()) (stop func() bool) {
	c.add(1)
	take := context.AfterFunc(c.Context, func() {
		<-c.done
		f()
	})
	return func() bool {
		c.add(-1)
		return take()
	}
}

func (c *foreignContext) add(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n += n
}

func (c *foreignContext) registered() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.n
}
