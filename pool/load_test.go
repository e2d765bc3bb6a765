package pool

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func expectLoad(t *testing.T, when string, p *Pool, want Load) {
	t.Helper()
	if got := p.Load(); got != want {
		t.Errorf("%s: Load = %+v, want %+v", when, got, want)
	}
}

func TestLoad(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, src := watched(t, Config{})
		expectLoad(t, "at first", p, Load{})
		early := start(t.Context(), p, nil)
		time.Sleep(time.Second)
		expectLoad(t, "without workers", p, Load{Queued: 1, Longest: time.Second})
		src.set(endpoints(2, 1))
		second := mustAcquire(t, p, nil)
		expectLoad(t, "full", p, Load{Workers: 2, Busy: 2, Peak: 2})
		early.lease.Release(nil)
		second.Release(errBroken)
		expectLoad(t, "afterwards", p, Load{Workers: 2, Peak: 2, Ended: 2})
		p.Mark(noLimit)
		expectLoad(t, "after Mark", p, Load{Workers: 2, Ended: 2})

		// What drains is nobody's business here, until it has ended.
		time.Sleep(time.Second)
		drains := mustAcquire(t, p, nil)
		gone := drains.Worker().address
		src.set(Static{{"unix", "c", 3}, {"unix", "d", -1}})
		expectLoad(t, "while "+gone+" drains", p, Load{Workers: 2, Peak: 1, Ended: 2})
		drains.Release(nil)
		expectLoad(t, "when it has", p, Load{Workers: 2, Peak: 1, Ended: 3})
		back := mustAcquire(t, p, nil)
		at := back.Worker().Endpoint()
		src.set(Static{})
		src.set(Static{at})
		expectLoad(t, "when one comes back with what it had", p, Load{Workers: 1, Busy: 1, Peak: 1, Ended: 3})
		back.Release(nil)
		expectLoad(t, "at the end", p, Load{Workers: 1, Peak: 1, Ended: 4})
	})
}

// Waiting is called when there is something to look at, and not for each
// request.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p *Pool
		var calls atomic.Int32
		p, src := watched(t, Config{Waiting: func() {
			calls.Add(1)
			if p != nil {
				p.Status() // the mutex is free
			}
		}})
		called := func(what string, want int32) {
			t.Helper()
			synctest.Wait()
			if got := calls.Swap(0); got != want {
				t.Errorf("%s: Waiting was called %d times, want %d", what, got, want)
			}
		}
		first := start(t.Context(), p, nil)
		called("the first that waits", 1)
		second := start(t.Context(), p, nil)
		called("the next one", 0)
		src.set(endpoints(1, 1))
		called("a worker has come", 1)
		first.lease.Release(nil)
		called("the queue is empty", 0)
		third := start(t.Context(), p, nil)
		called("the first that waits again", 1)
		expect(t, "second", second, "a")
		second.lease.Release(nil)
		expect(t, "third", third, "a")
		third.lease.Release(nil)
		mustAcquire(t, p, nil).Release(nil)
		called("nobody has to wait", 0)
	})
}

func TestMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		p := newPool(t, Config{Waiting: func() { calls.Add(1) }}, endpoints(1, 10))
		called := func(what string, want int32) {
			t.Helper()
			synctest.Wait()
			if got := calls.Swap(0); got != want {
				t.Errorf("%s: Waiting was called %d times, want %d", what, got, want)
			}
		}
		called("the list", 1)
		var held []Lease
		more := func(n int) {
			for range n {
				held = append(held, mustAcquire(t, p, nil))
			}
		}
		less := func() {
			for _, l := range held {
				l.Release(nil)
			}
			held = nil
		}
		more(2)
		called("without an alarm", 0)
		p.Mark(3)
		more(1)
		called("as many as allowed", 0)
		more(1)
		called("one more", 1)
		more(1)
		called("only once", 0)
		p.Mark(4)
		called("more than that already", 1)
		less()
		p.Mark(2)
		more(2)
		less()
		more(2)
		called("a load that went down and came again", 0)
		if got := p.Load().Peak; got != 2 {
			t.Errorf("Peak = %d, want 2", got)
		}
		p.Close()
		p.Mark(0)
		called("after the end", 0)
		less()
	})
}

func TestLoadDoesNotAllocate(t *testing.T) {
	p := newPool(t, Config{}, endpoints(16, 1))
	mustAcquire(t, p, nil)
	var l Load
	if n := testing.AllocsPerRun(100, func() { l = p.Load(); p.Mark(3) }); n != 0 {
		t.Errorf("Load and Mark allocate %v times, want 0", n)
	}
	if l.Busy != 1 {
		t.Errorf("Busy = %d, want 1", l.Busy)
	}
}

func BenchmarkLoad(b *testing.B) {
	p := newPool(b, Config{}, endpoints(16, 1))
	b.ReportAllocs()
	for b.Loop() {
		p.Load()
	}
}
