package pool

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// A drain is a call of Idle.
type drain struct{ ended chan error }

func idle(ctx context.Context, p *Pool, address string) drain {
	d := drain{make(chan error, 1)}
	go func() { d.ended <- p.Idle(ctx, "unix", address) }()
	return d
}

func (d drain) String() string {
	synctest.Wait()
	select {
	case err := <-d.ended:
		d.ended <- err
		if err != nil {
			return err.Error()
		}
		return "idle"
	default:
		return "waits"
	}
}

func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, src := watched(t, Config{})
		src.set(endpoints(2, 2))
		expect(t, "an unknown one", idle(t.Context(), p, "x"), "idle")

		a, b := mustAcquire(t, p, nil), mustAcquire(t, p, nil)
		first, again := idle(t.Context(), p, "a"), idle(t.Context(), p, "a")
		expect(t, "one in the list", first, "waits")
		b.Release(nil)
		without := idle(t.Context(), p, "b")
		expect(t, "one in the list that serves nothing", without, "waits")
		src.set(Static{})
		expect(t, "when it has left", without, "idle")
		expect(t, "one that has left and serves something", first, "waits")

		src.set(endpoints(1, 2))
		more := mustAcquire(t, p, nil)
		a.Release(nil)
		expect(t, "one that has come back", first, "waits")
		src.set(Static{})
		expect(t, "one that has left again", first, "waits")
		more.Release(nil)
		expect(t, "when its last request has ended", first, "idle")
		expect(t, "whoever waits beside", again, "idle")
		expect(t, "whoever comes late", idle(t.Context(), p, "a"), "idle")
	})
}

func TestIdleWaitsNoLongerThanItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, endpoints(1, 1))
		ctx, cancel := context.WithCancelCause(t.Context())
		d := idle(ctx, p, "a")
		expect(t, "before", d, "waits")
		cancel(errors.New("long enough"))
		expect(t, "when the time is over", d, "long enough")
	})
}

// When the pool is closed no worker gets anything any more.
func TestIdleAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, endpoints(2, 1))
		a := mustAcquire(t, p, nil)
		busy, free := idle(t.Context(), p, "a"), idle(t.Context(), p, "b")
		p.Close()
		expect(t, "without a request", free, "idle")
		expect(t, "with one", busy, "waits")
		a.Release(nil)
		expect(t, "when it has ended", busy, "idle")
	})
}
