package pool

import (
	"context"
	"testing"
)

// A worker that takes one request at a time and whose last one was given up
// may still be busy: it is chosen when no other has room, and like any other
// once it has answered.
func TestDoubtfulWorkerIsChosenLast(t *testing.T) {
	p := New(Config{MaxLoad: 1})
	defer p.Close()
	p.Watch(Static{{Network: "unix", Address: "a"}, {Network: "unix", Address: "b"}})
	take := func(want string) Lease {
		t.Helper()
		l, err := p.Acquire(context.Background(), 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Worker().Endpoint().Address; got != want {
			t.Fatalf("worker %s is chosen, want %s", got, want)
		}
		return l
	}
	take("a").Release(context.Canceled)
	take("b").Release(nil)
	b := take("b") // although it is a's turn
	a := take("a") // there is nobody else
	b.Release(nil)
	a.Release(nil)
	take("b").Release(nil)
	take("a").Release(nil) // nothing is held against it any more
}

// Where a worker takes several, a client that goes away says nothing of it.
func TestNoDoubtOfWorkersThatTakeMore(t *testing.T) {
	p := New(Config{MaxLoad: 2})
	defer p.Close()
	p.Watch(Static{{Network: "unix", Address: "a"}, {Network: "unix", Address: "b"}})
	for i, want := range []string{"a", "b", "a", "b"} {
		l, err := p.Acquire(context.Background(), 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Worker().Endpoint().Address; got != want {
			t.Errorf("request %d: worker %s is chosen, want %s", i, got, want)
		}
		l.Release(context.Canceled)
	}
}
