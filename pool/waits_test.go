package pool

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestWaits(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		name string
		d    time.Duration
		in   int
	}{
		{"nothing", 0, 0},
		{"just below the first bound", ms - 1, 0},
		{"the first bound", ms, 1},
		{"just below the second", 2*ms - 1, 1},
		{"the second", 2 * ms, 2},
		{"just below the last", 16384*ms - 1, 14},
		{"the last", 16384 * ms, 15},
		{"a year", 365 * 24 * time.Hour, 15},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c Counts
			c.waited(tt.d)
			var want Waits
			if want[tt.in] = 1; c.Waits != want || c.Waited != tt.d || c.Most != tt.d {
				t.Errorf("waited(%v): %+v, want it in %d", tt.d, c, tt.in)
			}
			if tt.d >= WaitBound(tt.in) || tt.in > 0 && tt.d < WaitBound(tt.in-1) {
				t.Errorf("%v is not between the bounds %v and %v", tt.d, WaitBound(tt.in-1), WaitBound(tt.in))
			}
		})
	}
}

// However a wait ends, it is counted, once.
func TestEveryWaitIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{QueueTimeout: 5 * time.Second})
		p.Watch(endpoints(1, 1))
		held := mustAcquire(t, p, nil)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		served := start(t.Context(), p, nil)
		leaves := start(ctx, p, nil)
		start(t.Context(), p, nil) // until its time is over
		time.Sleep(3 * time.Millisecond)
		held.Release(nil)
		expect(t, "the one that is served", served, "a")
		time.Sleep(time.Second - 3*time.Millisecond)
		cancel()
		expect(t, "the one that leaves", leaves, `pool: wait for a worker of backend "": context canceled`)
		time.Sleep(4 * time.Second)
		closed := start(t.Context(), p, nil)
		time.Sleep(2 * time.Millisecond)
		p.Close()
		expect(t, "the one at the end", closed, "pool: closed")
		served.lease.Release(nil)
		c := p.Status().Counts
		want := Counts{
			Leases: 2, Queued: 4, TimedOut: 1, Left: 1,
			Waits:  Waits{2: 2, 10: 1, 13: 1},
			Waited: 3*time.Millisecond + time.Second + 5*time.Second + 2*time.Millisecond,
			Most:   5 * time.Second,
		}
		if c != want {
			t.Errorf("Counts = %+v,\nwant %+v", c, want)
		}
		if l := served.lease.Waited(); l != 3*time.Millisecond {
			t.Errorf("Waited = %v, want 3ms", l)
		}
	})
}

// A request that the client gave up tells nothing of the worker.
func TestGivenUp(t *testing.T) {
	p := newPool(t, Config{}, endpoints(1, 4))
	for _, err := range []error{nil, errBroken, context.Canceled} {
		mustAcquire(t, p, nil).Release(err)
	}
	if w := p.Status().Workers[0]; w.Served != 3 || w.GivenUp != 1 || w.Failed != 1 {
		t.Errorf("Served %d, GivenUp %d, Failed %d, want 3, 1, 1", w.Served, w.GivenUp, w.Failed)
	}
}
