package spawn

import (
	"context"
	"time"

	"github.com/sluice-gateway/sluice/process"
)

const (
	// scaleEvery is how often it is measured how long connections wait, and
	// scaleSoon how long after a wait it is measured again: what was started
	// then should help by now.
	scaleEvery = time.Second
	scaleSoon  = 200 * time.Millisecond

	// busyAfter is the wait that says that all processes are busy, and longWait
	// the one that says that they are far too few. More is not waited for.
	busyAfter = 50 * time.Millisecond
	longWait  = 500 * time.Millisecond

	// quietLooks is how many looks in a row must have found no wait before
	// there is one process less: a burst may come back, and to start costs
	// more than to wait.
	quietLooks = 60
)

// A scale is how many processes there shall be.
type scale struct {
	min, max int
	n        int
	quiet    int // looks in a row without a wait
}

// see takes note of how long a connection had to wait.
func (s scale) see(wait time.Duration) scale {
	switch {
	case wait >= longWait:
		s.quiet, s.n = 0, min(2*s.n, s.max)
	case wait >= busyAfter:
		s.quiet, s.n = 0, min(s.n+1, s.max)
	case s.quiet+1 >= quietLooks:
		s.quiet, s.n = 0, max(s.n-1, s.min)
	default:
		s.quiet++
	}
	return s
}

// A measurement is how long a connection had to wait.
type measurement struct {
	wait  time.Duration
	start time.Duration // how long a process takes to start
}

// says reports whether a measurement says how many processes are needed. That
// they are crashing, or just being started, is no sign that there are too few:
// more of them would only crash, or compete for the processor.
func (m measurement) says(views []process.Status, now time.Time) bool {
	if m.wait < busyAfter {
		return true
	}
	for _, v := range views {
		crashing := v.Deaths > 0 && v.State != process.Ready
		starting := v.Restarts == 0 && v.State == process.Starting && now.Sub(v.Started) < m.start
		if crashing || starting {
			return false
		}
	}
	return true
}

// measure measures, again and again, how long connections wait, until ctx is
// done.
func measure(ctx context.Context, ready *readiness, found chan<- measurement) {
	next := time.NewTimer(scaleEvery)
	defer next.Stop()
	for {
		select {
		case <-next.C:
		case <-ctx.Done():
			return
		}
		wait, ok := ready.waited(ctx)
		if !ok {
			next.Reset(scaleEvery)
			continue
		}
		select {
		case found <- measurement{wait, ready.start()}:
		case <-ctx.Done():
			return
		}
		next.Reset(pauseAfter(wait))
	}
}

// pauseAfter returns when it is to be measured again.
func pauseAfter(wait time.Duration) time.Duration {
	if wait >= busyAfter {
		return scaleSoon
	}
	return scaleEvery
}
