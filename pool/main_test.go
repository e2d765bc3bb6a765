package pool

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBroken = errors.New("connection reset by peer")

// endpoints are unix sockets named a, b, ... with the same MaxLoad.
func endpoints(n, maxLoad int) Static {
	var s Static
	for i := range n {
		s = append(s, Endpoint{Network: "unix", Address: string(rune('a' + i)), MaxLoad: maxLoad})
	}
	return s
}

// newPool returns a pool with those workers that is closed with the test.
func newPool(t testing.TB, c Config, list Static) *Pool {
	p := New(c)
	t.Cleanup(p.Close)
	p.Watch(list)
	return p
}

// mustAcquire takes a lease that must be there at once. The bubble's goroutine
// would block for ever otherwise, so ctx is done.
func mustAcquire(t testing.TB, p *Pool, tried *Tried) Lease {
	t.Helper()
	l, err := p.Acquire(done, 0, tried)
	if err != nil {
		t.Fatalf("Acquire = %v, want a lease at once", err)
	}
	return l
}

var done = func() context.Context {
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errors.New("had to wait"))
	return ctx
}()

// A request is one that may wait.
type request struct {
	lease Lease
	err   error
	ended chan struct{}
}

// start makes a request and returns when it has its lease, or waits.
func start(ctx context.Context, p *Pool, tried *Tried) *request {
	r := &request{ended: make(chan struct{})}
	go func() {
		r.lease, r.err = p.Acquire(ctx, 0, tried)
		close(r.ended)
	}()
	synctest.Wait()
	return r
}

// String says how the request stands: "waits", the worker's address or the error.
func (r *request) String() string {
	synctest.Wait()
	select {
	case <-r.ended:
	default:
		return "waits"
	}
	if r.err != nil {
		return r.err.Error()
	}
	return r.lease.Worker().address
}

func expect(t testing.TB, what string, r fmt.Stringer, want string) {
	t.Helper()
	if got := r.String(); got != want {
		t.Fatalf("%s: %s, want %s", what, got, want)
	}
}
