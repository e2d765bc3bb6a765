package pool

import "time"

// A waiter is a request in the queue.
type waiter struct {
	prev, next *waiter
	key        uint64
	tried      Tried         // a copy, so that the caller's can stay on its stack
	place      uint64        // among all requests
	first      bool          // nobody waited before it
	since      time.Time     // it has waited; earlier waits of the same request count
	patience   time.Duration // so long it waits, earlier waits included
	hope       time.Time     // until then a worker that it has tried may still turn out to be gone; zero if there was always another

	// done is closed, under the pool's mutex, once the waiter has left the
	// queue with a lease or an error.
	done  chan struct{}
	lease Lease
	err   error
}

// newWaiter makes one that begins to wait now; tried is as in Acquire.
func newWaiter(key, place uint64, tried *Tried, patience time.Duration) *waiter {
	wt := &waiter{key: key, place: place, since: time.Now(), patience: patience, done: make(chan struct{})}
	if tried != nil {
		wt.tried, wt.place, wt.since = *tried, tried.place, wt.since.Add(-tried.waited)
	}
	return wt
}

// leave ends the wait. The pool's mutex is held.
func (wt *waiter) leave(l Lease, err error) {
	wt.lease, wt.err = l, err
	close(wt.done)
}

// left reports whether the wait has ended.
func (wt *waiter) left() bool {
	select {
	case <-wt.done:
		return true
	default:
		return false
	}
}

// urge returns how much the waiter needs a worker. A zero now is one when no
// worker is cooling down.
func (wt *waiter) urge(now time.Time) urge {
	if now.Sub(wt.since) >= reluctance {
		return impatient
	}
	return fresh
}

// A queue is a list of waiters, first come first served; a waiter can leave
// it from any place.
type queue struct {
	first, last *waiter
	n           int
	choosy      int // those that have tried a worker
}

// push lets a waiter in: at the end, or, if its request came before others and
// had a worker in the meantime, before those.
func (q *queue) push(wt *waiter) {
	wt.prev = q.last
	for wt.prev != nil && wt.prev.place > wt.place {
		wt.next, wt.prev = wt.prev, wt.prev.prev
	}
	if wt.prev == nil {
		q.first = wt
	} else {
		wt.prev.next = wt
	}
	if wt.next == nil {
		q.last = wt
	} else {
		wt.next.prev = wt
	}
	q.n++
	if wt.tried.n > 0 {
		q.choosy++
	}
}

func (q *queue) remove(wt *waiter) {
	if wt.prev == nil {
		q.first = wt.next
	} else {
		wt.prev.next = wt.next
	}
	if wt.next == nil {
		q.last = wt.prev
	} else {
		wt.next.prev = wt.prev
	}
	wt.prev, wt.next = nil, nil
	q.n--
	if wt.tried.n > 0 {
		q.choosy--
	}
}

// longest returns since when somebody has waited, at the most. Those that have
// tried no worker stand in the order in which they began to wait.
func (q *queue) longest() (since time.Time) {
	for wt := q.first; wt != nil; wt = wt.next {
		if since.IsZero() || wt.since.Before(since) {
			since = wt.since
		}
		if wt.tried.n == 0 {
			break
		}
	}
	return since
}
