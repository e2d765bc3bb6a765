package pool

import "time"

// Tried remembers the workers that a request has been to, so that its next
// attempt is made elsewhere, and when it came, so that its next attempt does
// not begin to wait anew. The zero Tried is empty and ready to use; it belongs
// to one request.
type Tried struct {
	few   [2]trial // enough for an attempt and its retry without an allocation
	more  []trial
	n     int
	again bool // those may be chosen again

	place  uint64        // among all requests, from 1; 0 if it has not come yet
	waited time.Duration // in the queue, all attempts together
}

// A trial is a lease that was used up.
type trial struct {
	w    *Worker
	turn uint64
}

// Again says that the workers of the attempts up to now are well: the next
// attempt may go to one of them, if there is no other.
func (t *Tried) Again() { t.again = true }

func (t *Tried) add(l Lease) {
	t.again, t.waited = false, max(t.waited, l.waited)
	if t.n < len(t.few) {
		t.few[t.n] = trial{l.w, l.turn}
	} else {
		t.more = append(t.more, trial{l.w, l.turn})
	}
	t.n++
}

// has reports whether the request has been to w. A worker that left the list
// since and came back is another one to the request: a process was restarted.
func (t *Tried) has(w *Worker) bool {
	for _, at := range t.few[:min(t.n, len(t.few))] {
		if at.w == w && at.turn > w.born {
			return true
		}
	}
	for _, at := range t.more {
		if at.w == w && at.turn > w.born {
			return true
		}
	}
	return false
}
