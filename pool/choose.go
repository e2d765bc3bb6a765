package pool

import (
	"slices"
	"time"
)

// A choice is what the workers look like to one request.
type choice struct {
	ready []*Worker // that may be chosen

	// last is, of the workers that are cooling down and have room, the one
	// whose time is up first.
	last *Worker

	// better tells that there are workers which are not cooling down.
	better bool

	// tried tells that there are workers, and the request has been to all.
	tried bool
}

// choose sorts the workers for a request that has been to those in tried (nil:
// to none). A zero now tells that no worker is cooling down. The slice of ready
// is dst.
func choose(dst, ws []*Worker, tried *Tried, now time.Time) choice {
	c := choice{ready: dst[:0], tried: len(ws) > 0}
	doubtful := 0
	skip := tried != nil && tried.n > 0
	for _, w := range ws {
		if skip && tried.has(w) {
			continue
		}
		c.tried = false
		cooling := w.health.cooling(now)
		c.better = c.better || !cooling
		switch {
		case w.full():
		case !cooling:
			c.ready = append(c.ready, w)
			if w.doubt {
				doubtful++
			}
		case c.last == nil || w.health.until.Before(c.last.health.until):
			c.last = w
		}
	}
	if doubtful > 0 && doubtful < len(c.ready) {
		c.ready = slices.DeleteFunc(c.ready, func(w *Worker) bool { return w.doubt })
	}
	return c
}

// returns says when the first worker with room has cooled down; the zero time
// if there is none. Waiters must be woken up then: nothing else happens.
func returns(ws []*Worker, now time.Time) (at time.Time) {
	for _, w := range ws {
		if w.health.cooling(now) && !w.full() && (at.IsZero() || w.health.until.Before(at)) {
			at = w.health.until
		}
	}
	return at
}
