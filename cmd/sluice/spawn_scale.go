package main

import "time"

const (
	// scaleEvery is how often it is measured how long connections wait.
	scaleEvery = time.Second

	// busyAfter is the wait that says that all processes are busy.
	busyAfter = 50 * time.Millisecond

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
	case wait >= busyAfter:
		s.quiet = 0
		s.n = min(s.n+1, s.max)
	case s.quiet+1 >= quietLooks:
		s.quiet = 0
		s.n = max(s.n-1, s.min)
	default:
		s.quiet++
	}
	return s
}
