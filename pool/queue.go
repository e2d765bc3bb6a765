package pool

import "time"

// A waiter is a request in the queue.
type waiter struct {
	prev, next *waiter
	key        uint64
	tried      Tried // a copy, so that the caller's can stay on its stack
	first      bool  // nobody waited before it
	since      time.Time

	// done is closed, under the pool's mutex, once the waiter has left the
	// queue with a lease or an error.
	done  chan struct{}
	lease Lease
	err   error
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

// A queue is a list of waiters, first come first served; a waiter can leave
// it from any place.
type queue struct {
	first, last *waiter
	n           int
	choosy      int // those that have tried a worker
}

func (q *queue) push(wt *waiter) {
	wt.prev = q.last
	if q.last == nil {
		q.first = wt
	} else {
		q.last.next = wt
	}
	q.last = wt
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
