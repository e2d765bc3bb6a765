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

// An urge is how much a request needs a worker.
type urge int

const (
	fresh     urge = iota // it has just come, or waits for less than others do
	impatient             // it has waited for reluctance
	desperate             // or else it is refused
)

// resort returns the worker for a request when none is ready; nil if it is
// better to wait.
//
// Workers that are full keep a request waiting. Those that are cooling down
// do so as long as there is a better one, which is busy, and only if the
// request need not be refused instead.
func (c choice) resort(u urge, cool Cooldown, now time.Time) *Worker {
	switch {
	case c.last == nil, !c.better, u == desperate:
		return c.last
	case u == impatient && !now.Before(c.last.health.again(cool)):
		return c.last
	}
	return nil
}

// A moment is the first point in time after another one.
type moment struct{ now, at time.Time }

func (m *moment) note(t time.Time) {
	if t.After(m.now) && (m.at.IsZero() || t.Before(m.at)) {
		m.at = t
	}
}

// next returns when the workers look different to somebody who waits, although
// nothing has happened; the zero time if never.
func next(ws []*Worker, q *queue, cool Cooldown, now time.Time) time.Time {
	m := moment{now: now}
	cooling := false
	for _, w := range ws {
		if w.health.cooling(now) && !w.full() {
			cooling = true
			m.note(w.health.until)
			m.note(w.health.again(cool))
		}
	}
	plain := !cooling // the first that has tried no worker speaks for all of its kind
	for wt := q.first; wt != nil && (!plain || q.choosy > 0); wt = wt.next {
		if cooling {
			m.note(wt.since.Add(reluctance))
		}
		m.note(wt.hope)
		plain = plain || wt.tried.n == 0
	}
	return m.at
}
