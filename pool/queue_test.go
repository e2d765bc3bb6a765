package pool

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A freed slot goes to the first waiter, not to whoever asks at that moment.
func TestQueueIsFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, endpoints(1, 1))
		held := mustAcquire(t, p, nil)
		var rs []*request
		for range 5 {
			rs = append(rs, start(t.Context(), p, nil))
		}
		for i, r := range rs {
			time.Sleep(time.Second)
			expect(t, "before its turn", r, "waits")
			held.Release(nil)
			// The slot must have changed hands within Release.
			if s := p.Status(); s.Queued != len(rs)-i-1 || s.Workers[0].Load != 1 {
				t.Fatalf("after Release: %d wait, load %d; want %d, 1", s.Queued, s.Workers[0].Load, len(rs)-i-1)
			}
			if l, err := p.Acquire(done, 0, nil); err == nil {
				l.Release(nil)
				t.Fatal("a newcomer got the slot of a waiter")
			}
			expect(t, "in its turn", r, "a")
			held = r.lease
			if want := time.Duration(i+1) * time.Second; held.Waited() != want {
				t.Errorf("Waited = %v, want %v", held.Waited(), want)
			}
		}
		held.Release(nil)
		if l := mustAcquire(t, p, nil); l.Waited() != 0 {
			t.Errorf("Waited = %v without a wait", l.Waited())
		} else {
			l.Release(nil)
		}
	})
}

func TestQueueFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Name: "php", MaxQueue: 2}, endpoints(2, 2))
		var held []Lease
		for range 4 {
			held = append(held, mustAcquire(t, p, nil))
		}
		first, second := start(t.Context(), p, nil), start(t.Context(), p, nil)
		_, err := p.Acquire(t.Context(), 0, nil)
		if !errors.Is(err, ErrQueueFull) || errors.Is(err, ErrQueueTimeout) {
			t.Errorf("Acquire = %v, want ErrQueueFull", err)
		}
		e, ok := errors.AsType[*QueueError](err)
		if !ok || e.Queued != 2 || e.Load != 4 || e.Slots != 4 || e.Workers != 2 {
			t.Errorf("Acquire = %#v", err)
		}
		for _, l := range held {
			l.Release(nil)
		}
		expect(t, "first", first, "a")
		expect(t, "second", second, "b")
		first.lease.Release(nil)
		second.lease.Release(nil)
		c := p.Status().Counts
		if want := (Counts{Leases: 6, Queued: 2, Refused: 1, Waits: Waits{2}}); c != want {
			t.Errorf("Counts = %+v, want %+v", c, want)
		}
	})
}

func TestQueueTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Name: "php"}, endpoints(1, 1))
		held := mustAcquire(t, p, nil)
		first := start(t.Context(), p, nil)
		time.Sleep(4 * time.Second)
		second := start(t.Context(), p, nil)
		if s := p.Status(); s.Longest != 4*time.Second || s.Queued != 2 {
			t.Errorf("%d wait, the first for %v; want 2, 4s", s.Queued, s.Longest)
		}
		time.Sleep(6*time.Second - 1)
		expect(t, "before its time is up", first, "waits")
		time.Sleep(time.Nanosecond)
		expect(t, "when its time is up", first, `pool: queue of backend "php": no worker in 10s: 1 requests wait, `+
			`1 of 1 slots busy (more workers or a larger max_load would take them)`)
		if e, ok := errors.AsType[*QueueError](first.err); !ok || e.Waited != 10*time.Second ||
			!errors.Is(first.err, ErrQueueTimeout) {
			t.Errorf("Acquire = %#v", first.err)
		}
		held.Release(nil)
		expect(t, "the next", second, "a")
		second.lease.Release(nil)
		if c := p.Status().Counts; c.TimedOut != 1 || c.Queued != 2 {
			t.Errorf("Counts = %+v", c)
		}
	})
}

// Who waits keeps his time and his place when the queue's bounds change.
func TestSetQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Name: "php"}, endpoints(1, 1))
		held := mustAcquire(t, p, nil)
		first, second := start(t.Context(), p, nil), start(t.Context(), p, nil)
		p.SetQueue(1, 2*time.Second)
		if _, err := p.Acquire(t.Context(), 0, nil); !errors.Is(err, ErrQueueFull) {
			t.Errorf("with more waiting than may: %v, want ErrQueueFull", err)
		}
		p.SetQueue(3, 2*time.Second)
		third := start(t.Context(), p, nil)
		time.Sleep(2 * time.Second)
		expect(t, "the later one", third, `pool: queue of backend "php": no worker in 2s: 2 requests wait, `+
			`1 of 1 slots busy (more workers or a larger max_load would take them)`)
		expect(t, "one of before", first, "waits")
		held.Release(nil)
		expect(t, "the first", first, "a")
		first.lease.Release(nil)
		expect(t, "the second", second, "a")
		second.lease.Release(nil)
		p.SetQueue(0, 0)
		if got, want := p.config.MaxQueue, DefaultMaxQueue; got != want || p.config.QueueTimeout != DefaultQueueTimeout {
			t.Errorf("defaults: %d and %v", got, p.config.QueueTimeout)
		}
	})
}

func TestQueueWithoutLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{MaxQueue: -1, QueueTimeout: -1}, endpoints(1, 1))
		held := mustAcquire(t, p, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var rs []*request
		for range DefaultMaxQueue + 1 {
			rs = append(rs, start(ctx, p, nil))
		}
		time.Sleep(1000 * time.Hour)
		if s := p.Status(); s.Queued != len(rs) {
			t.Errorf("%d wait, want %d", s.Queued, len(rs))
		}
		cancel()
		synctest.Wait()
		if s := p.Status(); s.Queued != 0 || s.Counts.Left != uint64(len(rs)) {
			t.Errorf("%d wait, %d left; want 0, %d", s.Queued, s.Counts.Left, len(rs))
		}
		held.Release(nil)
	})
}

// A waiter may leave from any place of the queue.
func TestWaiterLeaves(t *testing.T) {
	tests := []struct {
		name   string
		leaver int
	}{
		{"first", 0}, {"middle", 1}, {"last", 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, Config{Name: "php"}, endpoints(1, 1))
				held := mustAcquire(t, p, nil)
				var rs []*request
				var cancels []context.CancelCauseFunc
				for range 3 {
					ctx, cancel := context.WithCancelCause(t.Context())
					defer cancel(nil)
					rs, cancels = append(rs, start(ctx, p, nil)), append(cancels, cancel)
				}
				gone := errors.New("the client is gone")
				cancels[tt.leaver](gone)
				expect(t, "the one that left", rs[tt.leaver], `pool: wait for a worker of backend "php": the client is gone`)
				if !errors.Is(rs[tt.leaver].err, gone) {
					t.Errorf("Acquire = %v, want it to wrap the context's cause", rs[tt.leaver].err)
				}
				for i, r := range rs {
					if i == tt.leaver {
						continue
					}
					held.Release(nil)
					expect(t, "one that stayed", r, "a")
					held = r.lease
				}
				held.Release(nil)
				if s := p.Status(); s.Queued != 0 || s.Workers[0].Load != 0 || s.Counts.Left != 1 {
					t.Errorf("at the end: %+v", s)
				}
			})
		})
	}
}

// The slot and the end of the wait come in the same moment: nothing is lost,
// whichever wins.
func TestLeaseMeetsEnd(t *testing.T) {
	for _, end := range []string{"context", "timeout"} {
		t.Run(end, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPool(t, Config{QueueTimeout: time.Second}, endpoints(1, 1))
				for range 100 {
					held := mustAcquire(t, p, nil)
					ctx, cancel := context.WithCancel(t.Context())
					r := start(ctx, p, nil)
					if end == "context" {
						cancel()
						held.Release(nil)
					} else {
						time.AfterFunc(time.Second, func() { held.Release(nil) })
						time.Sleep(time.Second)
					}
					if r.String() == "a" {
						r.lease.Release(nil)
					}
					cancel()
					synctest.Wait()
					if s := p.Status(); s.Workers[0].Load != 0 || s.Queued != 0 {
						t.Fatalf("load %d, %d wait; want 0, 0", s.Workers[0].Load, s.Queued)
					}
				}
			})
		})
	}
}

func TestTriedGoesElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, endpoints(2, 2))
		var tried Tried
		a := mustAcquire(t, p, &tried)
		b := mustAcquire(t, p, &tried)
		if got := a.Worker().address + b.Worker().address; got != "ab" {
			t.Errorf("workers = %s, want ab", got)
		}
		if _, err := p.Acquire(t.Context(), 0, &tried); err != ErrTried {
			t.Errorf("third Acquire = %v, want ErrTried", err)
		}
		a.Release(nil)
		b.Release(nil)
	})
}

// A request that has been to a waits for b. A later one may pass it to a, but
// not to b.
func TestTriedInQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, endpoints(2, 1))
		var tried Tried
		a := mustAcquire(t, p, &tried)
		b := mustAcquire(t, p, nil)
		second := start(t.Context(), p, &tried) // the second attempt of the same request
		later := start(t.Context(), p, nil)
		a.Release(errBroken)
		// b is healthy and busy, so nobody gets a yet.
		expect(t, "second attempt", second, "waits")
		expect(t, "later request", later, "waits")
		b.Release(nil)
		expect(t, "second attempt", second, "b")
		time.Sleep(time.Second)
		expect(t, "later request when a has cooled down", later, "a")
		second.lease.Release(nil)
		later.lease.Release(nil)
	})
}

// A request whose worker failed stands before all that came after it, as if it
// had waited all the time.
func TestRetryKeepsItsPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Cooldown: Cooldown{Min: -1}}, endpoints(2, 1))
		var tried, others Tried
		a, b := mustAcquire(t, p, &tried), mustAcquire(t, p, &others)
		var later []*request
		for range 3 {
			later = append(later, start(t.Context(), p, nil))
		}
		a.Release(errBroken)
		expect(t, "the first of the later ones", later[0], "a")
		retry := start(t.Context(), p, &tried)
		b.Release(errBroken)
		expect(t, "the one that came first", retry, "b")
		second := start(t.Context(), p, &others)
		if got := p.queue.first.tried.n; got != 1 || p.queue.n != 3 {
			t.Errorf("%d wait, the first has had %d leases, want 3 and 1", p.queue.n, got)
		}
		later[0].lease.Release(nil)
		expect(t, "the one that came second", second, "a")
		retry.lease.Release(nil)
		expect(t, "the second of the later ones", later[1], "b")
		later[1].lease.Release(nil)
		expect(t, "the third", later[2], "b")
		second.lease.Release(nil)
		later[2].lease.Release(nil)
	})
}

// QueueTimeout is for the request, however many workers it is sent to.
func TestTimeoutIsForAllAttempts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{QueueTimeout: 10 * time.Second, Cooldown: Cooldown{Min: -1}}, endpoints(2, 1))
		a, b := mustAcquire(t, p, nil), mustAcquire(t, p, nil)
		var tried Tried
		first := start(t.Context(), p, &tried)
		time.Sleep(7 * time.Second)
		a.Release(nil)
		expect(t, "the first attempt", first, "a")
		time.Sleep(time.Minute) // in which it does not wait
		first.lease.Release(errBroken)
		second := start(t.Context(), p, &tried)
		if l := p.Load().Longest; l != 7*time.Second {
			t.Errorf("Longest = %v, want what it had waited before, 7s", l)
		}
		time.Sleep(3*time.Second - 1)
		expect(t, "before its time is up", second, "waits")
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if e, ok := errors.AsType[*QueueError](second.err); !ok || !errors.Is(e, ErrQueueTimeout) || e.Waited != 10*time.Second {
			t.Errorf("then: %v, want ErrQueueTimeout after 10s", second)
		}
		if c := p.Status().Counts; c.Waited != 10*time.Second || c.Waits != (Waits{12: 1, 13: 1}) {
			t.Errorf("Counts = %+v, want waits of 7s and 3s", c)
		}
		b.Release(nil)
	})
}

// Somebody has waited for longer than who stands first.
func TestLongestIsNotTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Cooldown: Cooldown{Min: -1}}, endpoints(2, 1))
		var tried Tried
		a, b := mustAcquire(t, p, &tried), mustAcquire(t, p, nil)
		plain := start(t.Context(), p, nil)
		time.Sleep(time.Second)
		retry := start(t.Context(), p, &tried)
		if s := p.Status(); s.Longest != time.Second || p.queue.first.tried.n == 0 {
			t.Errorf("Longest = %v, want 1s, behind the one that came first", s.Longest)
		}
		b.Release(nil)
		expect(t, "the first", retry, "b")
		a.Release(nil)
		expect(t, "the other", plain, "a")
		plain.lease.Release(nil)
		retry.lease.Release(nil)
	})
}

// The queue's first may be unable to use what its second needs.
func TestChoosyWaiterBehindStuckOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, endpoints(2, 1))
		var tried Tried
		a := mustAcquire(t, p, &tried)
		b := mustAcquire(t, p, nil)
		plain := start(t.Context(), p, nil)
		choosy := start(t.Context(), p, &tried)
		b.Release(errBroken)
		// a is healthy and busy: the first waits for it. To the second there is
		// only b, and all that there is cools down: it is used at once.
		expect(t, "the one that may wait for a", plain, "waits")
		expect(t, "the one that has been to a", choosy, "b")
		a.Release(nil)
		expect(t, "the one that waited for a", plain, "a")
		plain.lease.Release(nil)
		choosy.lease.Release(nil)
	})
}

func TestQueueErrorText(t *testing.T) {
	tests := []struct {
		name string
		e    QueueError
		want string
	}{
		{"full", QueueError{Err: ErrQueueFull, Queued: 1024, Workers: 1, Load: 5, Slots: 5},
			`queue of backend "php" is full: 1024 requests wait, 5 of 5 slots busy (more workers or a larger max_load would take them)`},
		{"no worker", QueueError{Err: ErrQueueTimeout, Waited: 10*time.Second + 312*time.Microsecond, Queued: 3},
			`queue of backend "php": no worker in 10s: 3 requests wait, no worker is ready (if it should be, its log says more)`},
		{"cooling down", QueueError{Err: ErrQueueTimeout, Waited: 1500 * time.Millisecond, Workers: 2, Cooling: 1, Load: 5, Slots: 10},
			`queue of backend "php": no worker in 1.5s: 0 requests wait, 5 of 10 slots busy, 1 of 2 workers cooling down`},
		{"none to come", QueueError{Err: ErrDown, After: 57300 * time.Millisecond, Why: errors.New("exit status 1: it wrote nothing")},
			`backend "php" has no worker, and will not for 57.3s: exit status 1: it wrote nothing`},
		{"none to come, for no reason", QueueError{Err: ErrDown, After: time.Second}, `backend "php" has no worker, and will not for 1s`},
		{"no limit", QueueError{Err: ErrQueueTimeout, Waited: time.Second, Workers: 2, Load: 7, Slots: -1},
			`queue of backend "php": no worker in 1s: 0 requests wait, 7 are being served`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.e.Backend = "php"
			if got, ok := strings.CutPrefix(tt.e.Error(), "pool: "); !ok || got != tt.want {
				t.Errorf("Error =\n%s\nwant\n%s", got, tt.want)
			}
		})
	}
}
