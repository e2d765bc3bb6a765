package pool

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

var errExit = errors.New("exit status 1")

// While there is no worker, and none will come in time, nobody waits.
func TestOutlook(t *testing.T) {
	tests := []struct {
		name string
		o    func(now time.Time) Outlook
		down bool
	}{
		{"nothing is known", func(time.Time) Outlook { return Outlook{Err: errExit} }, false},
		{"the next attempt is soon", func(now time.Time) Outlook { return Outlook{Next: now.Add(6 * time.Second), Err: errExit} }, false},
		{"just in time", func(now time.Time) Outlook { return Outlook{Next: now.Add(7 * time.Second), Err: errExit} }, false},
		{"too late", func(now time.Time) Outlook { return Outlook{Next: now.Add(7*time.Second + 1), Err: errExit} }, true},
		{"soon, but in vain", func(now time.Time) Outlook {
			return Outlook{Next: now.Add(time.Second), Hopeless: true, Err: errExit}
		}, true},
		{"it is being made", func(now time.Time) Outlook { return Outlook{Next: now, Hopeless: true, Err: errExit} }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p, src := watched(t, Config{Name: "app", QueueTimeout: 10 * time.Second})
				src.set(endpoints(1, 1))
				held := mustAcquire(t, p, nil)
				first := start(t.Context(), p, nil)
				time.Sleep(3 * time.Second)
				o := tt.o(time.Now())
				p.Expect(o)
				expect(t, "while there is a worker", first, "waits")
				src.set(Static{})
				if !tt.down {
					expect(t, "afterwards", first, "waits")
					src.set(endpoints(1, 1))
					held.Release(nil)
					expect(t, "when there is one again", first, "a")
					first.lease.Release(nil)
					return
				}
				e, ok := errors.AsType[*QueueError](first.err)
				if !ok || e.Err != ErrDown || e.Why != errExit || e.After != time.Until(o.Next) || e.Waited != 3*time.Second || e.Queued != 0 {
					t.Errorf("afterwards: %v, %+v", first, e)
				}
				if c := p.Status().Counts; c.Down != 1 {
					t.Errorf("Counts = %+v", c)
				}
				held.Release(nil)
			})
		})
	}
}

// Who comes has more time than who has waited already.
func TestOutlookForNewcomers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, src := watched(t, Config{Name: "app", QueueTimeout: 10 * time.Second})
		early := start(t.Context(), p, nil)
		time.Sleep(5 * time.Second)
		p.Expect(Outlook{Next: time.Now().Add(8 * time.Second), Err: errExit})
		expect(t, "the one that has waited", early, `pool: backend "app" has no worker, and will not for 8s: exit status 1`)
		late := start(t.Context(), p, nil)
		expect(t, "a newcomer", late, "waits")
		p.Expect(Outlook{Next: time.Now().Add(time.Minute), Err: errExit})
		expect(t, "the same after one more death", late, `pool: backend "app" has no worker, and will not for 1m0s: exit status 1`)
		if _, err := p.Acquire(done, 0, nil); !errors.Is(err, ErrDown) {
			t.Errorf("Acquire = %v, want ErrDown at once", err)
		}
		time.Sleep(time.Minute)
		last := start(t.Context(), p, nil)
		expect(t, "when the next attempt is due", last, "waits")
		src.set(endpoints(1, 1))
		expect(t, "when it was good", last, "a")
		last.lease.Release(nil)
		if c := p.Status().Counts; c.Down != 3 || c.Refused != 0 || c.TimedOut != 0 {
			t.Errorf("Counts = %+v, want 3 to whom it was said", c)
		}
	})
}
