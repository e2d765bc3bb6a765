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

func TestCooldownPause(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name     string
		c        Cooldown
		failures int
		want     time.Duration
	}{
		{"first", Cooldown{}, 1, s},
		{"second", Cooldown{}, 2, 2 * s},
		{"fifth", Cooldown{}, 5, 16 * s},
		{"sixth reaches the end", Cooldown{}, 6, 30 * s},
		{"a million", Cooldown{}, 1e6, 30 * s},
		{"own bounds", Cooldown{3 * s, 7 * s}, 2, 6 * s},
		{"own bounds, third", Cooldown{3 * s, 7 * s}, 3, 7 * s},
		{"exactly the end", Cooldown{2 * s, 8 * s}, 3, 8 * s},
		{"min above max", Cooldown{60 * s, 0}, 9, 60 * s},
		{"no limit", Cooldown{s, -1}, 7, 64 * s},
		{"no limit, a million", Cooldown{s, -1}, 1e6, forever},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.c.orDefault().pause(tt.failures); got != tt.want {
				t.Errorf("pause(%d) = %v, want %v", tt.failures, got, tt.want)
			}
		})
	}
}

// Each step is a failure some time after the one before.
func TestHealthFailed(t *testing.T) {
	const s = time.Second
	steps := []struct {
		name     string
		after    time.Duration
		failures int
		pause    time.Duration
	}{
		{"first", 0, 1, s},
		{"with the same crash", 0, 1, s},
		{"while it cools down", s / 2, 1, s},
		{"at the end of the time", s, 2, 2 * s},
		{"just before the end", 2*s - 1, 2, 2 * s},
		{"long after", time.Hour, 3, 4 * s},
	}
	c, now := Cooldown{}.orDefault(), noon
	var h health
	for _, st := range steps {
		now = now.Add(st.after)
		h = h.failed(c, now)
		if h.failures != st.failures || h.until.Sub(now) != st.pause {
			t.Errorf("%s: failures = %d, pause = %v, want %d, %v", st.name, h.failures, h.until.Sub(now), st.failures, st.pause)
		}
	}
	never := Cooldown{Min: -1}.orDefault()
	if h := h.failed(never, now); h != (health{}) {
		t.Errorf("failed with cooling down switched off = %v, want none", h)
	}
}

// use takes a lease, gives it back with err, and returns the worker's address.
func use(t *testing.T, p *Pool, err error) string {
	t.Helper()
	l := mustAcquire(t, p, nil)
	l.Release(err)
	return l.Worker().address
}

func TestCoolingDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, endpoints(2, 1))
		got := use(t, p, errBroken)                                   // a fails: 1 s
		got += use(t, p, nil) + use(t, p, nil)                        // so b alone
		time.Sleep(time.Second)                                       // a returns
		got += use(t, p, errBroken)                                   // and fails: 2 s
		time.Sleep(time.Second)                                       //
		got += use(t, p, nil)                                         // still b
		time.Sleep(time.Second)                                       // a returns
		got += use(t, p, nil) + use(t, p, nil) + use(t, p, errBroken) // a is well, and fails anew: 1 s
		got += use(t, p, nil)
		time.Sleep(time.Second)
		got += use(t, p, nil)
		if want := "abb" + "a" + "b" + "aba" + "b" + "a"; got != want {
			t.Errorf("workers used = %s, want %s", got, want)
		}
	})
}

// A request is never refused, and never waits, because workers cool down.
func TestAllCoolingDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, endpoints(3, 1))
		var got string
		for range 7 { // each is used once, then the one whose time is up first
			got += use(t, p, errBroken)
			time.Sleep(time.Millisecond)
		}
		got += use(t, p, nil) // b is well again
		got += use(t, p, nil)
		if want := "abcabca" + "bb"; got != want {
			t.Errorf("workers used = %s, want %s", got, want)
		}
		for _, w := range p.Status().Workers[1:] {
			if w.Failures > 1 {
				t.Errorf("%s has %d failures in a row, want those within one cool-down to count once", w.Address, w.Failures)
			}
		}
	})
}

func TestCancelledSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, endpoints(1, 2))
		use(t, p, fmt.Errorf("fastcgi: receive: %w", context.Canceled))
		if w := p.Status().Workers[0]; w.Failures != 0 || w.Failed != 0 || w.Served != 1 {
			t.Errorf("after a client went away: %+v, want no failure", w)
		}
		use(t, p, errBroken)
		use(t, p, context.Canceled)
		if w := p.Status().Workers[0]; w.Failures != 1 || w.LastError != errBroken {
			t.Errorf("after a failure and a client that went away: %+v, want the failure to stay", w)
		}
	})
}

// The worker that cools down has room, the better one is busy: the request
// waits for whichever is there first, and nothing else would wake it.
func TestWaiterWokenByCooledWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, endpoints(2, 1))
		use(t, p, errBroken)           // a: 1 s
		held := mustAcquire(t, p, nil) // b
		time.Sleep(time.Second - 2)
		r := start(t.Context(), p, nil)
		time.Sleep(time.Nanosecond)
		expect(t, "before a returns", r, "waits")
		time.Sleep(time.Nanosecond)
		expect(t, "when a returns", r, "a")
		r.lease.Release(nil)
		held.Release(nil)
	})
}

// Nobody waits for long beside a worker that is free, though it failed once;
// and one that fails always is not given all who wait.
func TestImpatientWaiters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Cooldown: Cooldown{Min: time.Hour}}, endpoints(2, 1))
		use(t, p, errBroken)           // a
		held := mustAcquire(t, p, nil) // b
		time.Sleep(time.Minute)
		var waits []*request
		for range 5 {
			waits = append(waits, start(t.Context(), p, nil))
		}
		for i, r := range waits {
			time.Sleep(reluctance - 1)
			expect(t, "before it has waited, or a has rested", r, "waits")
			time.Sleep(time.Nanosecond)
			expect(t, "afterwards", r, "a")
			if i < 3 {
				r.lease.Release(errBroken)
			} else if r.lease.Release(nil); i == 3 {
				expect(t, "when a is well", waits[4], "a")
				break
			}
		}
		waits[4].lease.Release(nil)
		held.Release(nil)
	})
}

// To one that has waited there is only a worker that it has tried; the next one
// is woken in its own time.
func TestImpatientBehindChoosy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{Cooldown: Cooldown{Min: time.Hour}}, endpoints(2, 1))
		var tried Tried
		mustAcquire(t, p, &tried).Release(errBroken) // a
		held := mustAcquire(t, p, nil)               // b
		time.Sleep(time.Minute)
		choosy := start(t.Context(), p, &tried)
		time.Sleep(reluctance / 2)
		plain := start(t.Context(), p, nil)
		time.Sleep(reluctance - 1)
		expect(t, "before it has waited", plain, "waits")
		time.Sleep(time.Nanosecond)
		expect(t, "afterwards", plain, "a")
		expect(t, "the one that has tried a", choosy, "waits")
		held.Release(nil)
		expect(t, "when b is free", choosy, "b")
		plain.lease.Release(nil)
		choosy.lease.Release(nil)
	})
}

// The better worker is busy for longer than a request may wait.
func TestCoolingIsNoReasonToRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const timeout = reluctance / 2
		p := newPool(t, Config{MaxQueue: 2, QueueTimeout: timeout, Cooldown: Cooldown{Min: time.Minute}}, endpoints(2, 1))
		use(t, p, errBroken)
		held := mustAcquire(t, p, nil)
		first := start(t.Context(), p, nil)
		time.Sleep(timeout - time.Nanosecond)
		expect(t, "before its time is up", first, "waits")
		time.Sleep(time.Nanosecond)
		expect(t, "when its time is up", first, "a")
		first.lease.Release(errBroken)

		first, second := start(t.Context(), p, nil), start(t.Context(), p, nil)
		third := start(t.Context(), p, nil)
		expect(t, "the first of a full queue", first, "a")
		expect(t, "its second", second, "waits")
		expect(t, "the newcomer", third, "waits")
		if _, err := p.Acquire(t.Context(), 0, nil); !errors.Is(err, ErrQueueFull) {
			t.Errorf("Acquire with every worker busy = %v, want ErrQueueFull", err)
		}
		held.Release(nil)
		expect(t, "the second", second, "b")
		first.lease.Release(nil)
		expect(t, "the third", third, "a")
		second.lease.Release(nil)
		third.lease.Release(nil)
		if c := p.Status().Counts; c.TimedOut != 0 || c.Refused != 1 {
			t.Errorf("Counts = %+v, want one refused", c)
		}
	})
}

// A newcomer that is faster than the timer does not pass the waiter.
func TestTimerIsLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, endpoints(2, 1))
		use(t, p, errBroken)
		held := mustAcquire(t, p, nil)
		r := start(t.Context(), p, nil)
		p.timer.Reset(time.Hour)
		time.Sleep(time.Second)
		if l, err := p.Acquire(done, 0, nil); err == nil {
			l.Release(nil)
			t.Error("a newcomer got the worker that a waiter has waited for")
		}
		expect(t, "the waiter", r, "a")
		held.Release(nil)
		r.lease.Release(nil)
	})
}

// Close stops the timer for a waiter that has gone.
func TestCloseWithTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPool(t, Config{}, endpoints(2, 1))
		use(t, p, errBroken)
		held := mustAcquire(t, p, nil)
		r := start(t.Context(), p, nil)
		begin := time.Now()
		p.Close()
		expect(t, "a waiter when the pool is closed", r, "pool: closed")
		held.Release(nil)
		p.Close()
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("Close took %v", waited)
		}
	})
}

func TestLogIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		drop := func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}
		log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: drop}))
		p := newPool(t, Config{Name: "php", Log: log}, endpoints(1, 1))
		for range 100 { // 20 seconds of a worker that fails every second request
			use(t, p, errBroken)
			use(t, p, nil)
			time.Sleep(200 * time.Millisecond)
		}
		const line = `level=WARN msg="worker cooling down" backend=php worker=unix:a load=0 for=1s failures=1 not_logged=%d err="connection reset by peer"` + "\n"
		want := "level=INFO msg=\"workers changed\" backend=php workers=1 added=[unix:a] gone=[]\n" +
			fmt.Sprintf(line, 0) + fmt.Sprintf(line, 49)
		if got := out.String(); got != want {
			t.Errorf("log =\n%s\nwant\n%s", got, want)
		}
		if strings.Contains(out.String(), "worker failed") {
			t.Error("a worker that cools down is logged as one that does not")
		}
	})
}
