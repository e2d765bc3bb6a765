package pool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A lists is a Source that a test feeds.
type lists chan Static

func (c lists) Watch(ctx context.Context, set func([]Endpoint)) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case l := <-c:
			if l == nil {
				return errors.New("the directory is gone")
			}
			set(l)
		}
	}
}

func (c lists) set(l Static) {
	c <- l
	synctest.Wait()
}

// show lists the workers as "a 1/2" with "cooling" and "draining".
func show(p *Pool) string {
	var out []string
	for _, w := range p.Status().Workers {
		s := fmt.Sprintf("%s %d/%d", w.Address, w.Load, w.MaxLoad)
		if !w.Cooling.IsZero() {
			s += " cooling"
		}
		if w.Draining {
			s += " draining"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func expectWorkers(t *testing.T, when string, p *Pool, want string) {
	t.Helper()
	if got := show(p); got != want {
		t.Fatalf("%s: workers are %q, want %q", when, got, want)
	}
}

func watched(t *testing.T, c Config) (*Pool, lists) {
	p, src := New(c), make(lists)
	t.Cleanup(p.Close)
	p.Watch(src)
	return p, src
}

func TestRequestsWaitForWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, src := watched(t, Config{})
		first, second := start(t.Context(), p, nil), start(t.Context(), p, nil)
		time.Sleep(9 * time.Second)
		src.set(endpoints(1, 1))
		expect(t, "first", first, "a")
		expect(t, "second", second, "waits")
		src.set(endpoints(2, 1))
		expect(t, "second", second, "b")
		first.lease.Release(nil)
		second.lease.Release(nil)
	})
}

func TestWorkerKeepsItsState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, src := watched(t, Config{})
		src.set(endpoints(2, 3))
		mustAcquire(t, p, nil).Release(errBroken)
		b := mustAcquire(t, p, nil)
		expectWorkers(t, "at first", p, "a 0/3 cooling, b 1/3")
		src.set(Static{{"unix", "c", 3}, {"unix", "b", 5}, {"unix", "a", 3}, {"unix", "b", 7}})
		expectWorkers(t, "after a new list", p, "c 0/3, b 1/5, a 0/3 cooling")
		b.Release(nil)
		expectWorkers(t, "after the request", p, "c 0/3, b 0/5, a 0/3 cooling")
		src.set(Static{{"unix", "b", 5}})
		expectWorkers(t, "when those without requests are gone", p, "b 0/5")
	})
}

func TestWorkerGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, src := watched(t, Config{})
		src.set(endpoints(1, 1))
		a := mustAcquire(t, p, nil)
		waits := start(t.Context(), p, nil)
		src.set(Static{})
		expectWorkers(t, "gone", p, "a 1/1 draining")
		a.Release(nil)
		expectWorkers(t, "gone and done", p, "")
		expect(t, "a waiter when a worker is gone", waits, "waits")
		src.set(Static{{"unix", "b", 1}})
		expect(t, "a waiter when another is there", waits, "b")
		waits.lease.Release(nil)
	})
}

// A process is restarted on the same socket. The requests of the old one
// still count as load, but how they end says nothing about the new one.
func TestWorkerComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, src := watched(t, Config{})
		src.set(endpoints(1, 3))
		var tried Tried
		first := mustAcquire(t, p, &tried)
		second := mustAcquire(t, p, nil)
		src.set(Static{})
		src.set(endpoints(1, 3))
		expectWorkers(t, "back", p, "a 2/3")
		first.Release(errBroken)
		expectWorkers(t, "after a failure of the old one", p, "a 1/3")

		again := mustAcquire(t, p, &tried) // the new one has not been tried
		again.Release(errBroken)
		expectWorkers(t, "after a failure of the new one", p, "a 1/3 cooling")
		second.Release(nil)
		expectWorkers(t, "after a success of the old one", p, "a 0/3 cooling")
		third := mustAcquire(t, p, nil)
		src.set(Static{})
		expectWorkers(t, "gone again", p, "a 1/3 cooling draining")
		src.set(endpoints(1, 3))
		expectWorkers(t, "back again", p, "a 1/3")
		third.Release(nil)
		again = mustAcquire(t, p, &tried)
		again.Release(nil)
		if _, err := p.Acquire(t.Context(), 0, &tried); err != ErrTried {
			t.Errorf("Acquire = %v, want ErrTried: both have been tried", err)
		}
	})
}

// When nothing is left that a waiter has not tried, it is told.
func TestWaiterHasTriedAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, src := watched(t, Config{})
		src.set(endpoints(2, 1))
		var tried Tried
		a := mustAcquire(t, p, &tried)
		b := mustAcquire(t, p, nil)
		r := start(t.Context(), p, &tried)
		src.set(Static{})
		expect(t, "when no worker is there", r, "waits")
		src.set(endpoints(1, 1))
		expect(t, "when a has been restarted", r, "waits") // it is new, but still busy with what came before
		a.Release(nil)
		expect(t, "when it is free", r, "a")
		r.lease.Release(errBroken)

		c := mustAcquire(t, p, nil)
		r = start(t.Context(), p, &tried)
		expect(t, "with nothing but a, which may be gone", r, "waits")
		time.Sleep(newsTime)
		expect(t, "when nobody said so", r, "pool: every worker was tried")
		src.set(Static{{"unix", "a", 1}, {"unix", "c", 1}})
		d := mustAcquire(t, p, &tried)
		if got := d.Worker().String(); got != "unix:c" {
			t.Errorf("worker = %s, want unix:c", got)
		}
		src.set(Static{{"unix", "a", 1}, {"unix", "c", 1}, {"unix", "d", 1}})
		e := mustAcquire(t, p, nil)
		r = start(t.Context(), p, &tried)
		expect(t, "with d busy", r, "waits")
		src.set(Static{{"unix", "a", 1}, {"unix", "c", 1}})
		expect(t, "with d gone", r, "waits")
		time.Sleep(newsTime)
		expect(t, "when the others are still there", r, "pool: every worker was tried")
		for _, l := range []Lease{b, c, d, e} {
			l.Release(nil)
		}
	})
}

// A worker fails because it has died, and that is known a moment later than its
// requests know.
func TestTriedWaitsForNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, src := watched(t, Config{})
		src.set(endpoints(1, 1))
		attempt := func() *request {
			var tried Tried
			mustAcquire(t, p, &tried).Release(errBroken)
			return start(t.Context(), p, &tried)
		}
		r := attempt()
		time.Sleep(newsTime - 1)
		expect(t, "before the news", r, "waits")
		src.set(Static{})
		time.Sleep(time.Second)
		expect(t, "before there is another one", r, "waits")
		src.set(endpoints(1, 1))
		expect(t, "then", r, "a")
		r.lease.Release(nil)

		r, begin := attempt(), time.Now()
		<-r.ended
		if d := time.Since(begin); r.err != ErrTried || d != newsTime {
			t.Errorf("without news: %v after %v, want ErrTried after %v", r.err, d, newsTime)
		}
		var tried Tried
		mustAcquire(t, p, &tried).Release(nil)
		tried.Again()
		again := mustAcquire(t, p, &tried) // the worker is well, and there is no other
		r = start(t.Context(), p, &tried)
		again.Release(nil)
		expect(t, "once more", r, "waits")
		p.Close()
		expect(t, "at the end", r, "pool: closed")
	})
}

// That is so each time, also for who has waited for news before.
func TestTriedWaitsForNewsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, src := watched(t, Config{})
		src.set(endpoints(2, 1))
		var tried Tried
		mustAcquire(t, p, &tried).Release(nil)
		busy := mustAcquire(t, p, nil)
		src.set(endpoints(1, 1)) // b drains
		r := start(t.Context(), p, &tried)
		time.Sleep(newsTime / 2)
		src.set(endpoints(2, 1))
		time.Sleep(time.Second)
		expect(t, "with b there again, and busy", r, "waits")
		src.set(endpoints(1, 1))
		expect(t, "with b gone again", r, "waits")
		time.Sleep(newsTime)
		expect(t, "without news", r, "pool: every worker was tried")
		busy.Release(nil)
	})
}

// A list that does not change has no news.
func TestTriedOfAStaticList(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, endpoints(1, 1))
		var tried Tried
		mustAcquire(t, p, &tried).Release(errBroken)
		if _, err := p.Acquire(done, 0, &tried); err != ErrTried {
			t.Errorf("Acquire = %v, want ErrTried at once", err)
		}
	})
}

func TestMaxLoad(t *testing.T) {
	tests := []struct {
		name           string
		pool, endpoint int
		want           int
	}{
		{"default", 0, 0, DefaultMaxLoad},
		{"of the pool", 7, 0, 7},
		{"of the endpoint", 7, 3, 3},
		{"pool without limit", -1, 0, -1},
		{"endpoint without limit", 7, -1, -1},
		{"pool without limit, endpoint with one", -1, 3, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPool(t, Config{MaxLoad: tt.pool}, endpoints(1, tt.endpoint))
			l := mustAcquire(t, p, nil)
			if got := l.Worker().Endpoint(); got != (Endpoint{"unix", "a", tt.want}) {
				t.Errorf("Endpoint = %+v, want MaxLoad %d", got, tt.want)
			}
			l.Release(nil)
		})
	}
}

func TestRaisedMaxLoadEndsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, src := watched(t, Config{})
		src.set(endpoints(1, 1))
		a := mustAcquire(t, p, nil)
		r := start(t.Context(), p, nil)
		src.set(endpoints(1, 2))
		expect(t, "a waiter when there is more room", r, "a")
		src.set(endpoints(1, 1))
		later := start(t.Context(), p, nil)
		a.Release(nil)
		expect(t, "a waiter when the load is at the lower limit", later, "waits")
		r.lease.Release(nil)
		expect(t, "a waiter when it is below", later, "a")
		later.lease.Release(nil)
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, src := watched(t, Config{})
		src.set(endpoints(1, 1))
		a := mustAcquire(t, p, nil)
		r := start(t.Context(), p, nil)
		p.Close()
		expect(t, "a waiter", r, "pool: closed")
		if _, err := p.Acquire(t.Context(), 0, nil); err != ErrClosed {
			t.Errorf("Acquire = %v, want ErrClosed", err)
		}
		p.set(endpoints(3, 1))
		expectWorkers(t, "a list after the end", p, "a 1/1 draining")
		a.Release(errBroken)
		p.Close()
		p.Watch(src) // starts nothing: the bubble would not end
	})
}

// Close waits until the source has returned.
func TestCloseWaitsForSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New(Config{})
		p.Watch(slow{})
		begin := time.Now()
		p.Close()
		if got := time.Since(begin); got != time.Second {
			t.Errorf("Close took %v, want 1s", got)
		}
	})
}

// slow is a Source that takes its time to end.
type slow struct{}

func (slow) Watch(ctx context.Context, _ func([]Endpoint)) error {
	<-ctx.Done()
	time.Sleep(time.Second)
	return nil
}

// The workers stay when the source has failed, and the log says so.
func TestSourceEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		p, src := watched(t, Config{Name: "php", Log: slog.New(slog.NewTextHandler(&out, nil))})
		src.set(endpoints(1, 1))
		src.set(nil)
		expectWorkers(t, "afterwards", p, "a 0/1")
		if !strings.Contains(out.String(), `level=ERROR msg="source of workers ended" backend=php err="the directory is gone"`) {
			t.Errorf("log = %s", out.String())
		}
	})
}

func TestReleaseTwice(t *testing.T) {
	p := newPool(t, Config{}, endpoints(1, 1))
	l := mustAcquire(t, p, nil)
	l.Release(nil)
	defer func() {
		if recover() == nil {
			t.Error("the second Release did not panic")
		}
		expectWorkers(t, "afterwards", p, "a 0/1") // the slot is not lost, the mutex is free
	}()
	l.Release(nil)
}

func TestWatchTwice(t *testing.T) {
	p, _ := watched(t, Config{})
	defer func() {
		if recover() == nil {
			t.Error("the second Watch did not panic")
		}
		p.Status() // the mutex is free
	}()
	p.Watch(slow{})
}
