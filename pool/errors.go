package pool

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// The reasons why Acquire has no worker for a request. The first three come as
// a *QueueError.
var (
	// ErrQueueFull: as many requests wait as may.
	ErrQueueFull = errors.New("pool: queue is full")

	// ErrQueueTimeout: the request has waited as long as it may.
	ErrQueueTimeout = errors.New("pool: no worker in time")

	// ErrDown: there is no worker, and none will come in time.
	ErrDown = errors.New("pool: no worker, and none to come in time")

	// ErrTried: the request has been to every worker there is. What they
	// said is the answer.
	ErrTried = errors.New("pool: every worker was tried")

	// ErrClosed: the pool has been closed.
	ErrClosed = errors.New("pool: closed")
)

// A QueueError says why a request has waited in vain, or could not wait, and
// how the workers were at that moment.
type QueueError struct {
	Err     error         // ErrQueueFull, ErrQueueTimeout or ErrDown
	Backend string        // the pool's name
	Waited  time.Duration // how long the request has waited
	After   time.Duration // of an ErrDown: there may be a worker again after that
	Why     error         // of an ErrDown: why there is none; may be nil
	Queued  int           // requests that wait, without this one
	Workers int
	Cooling int // of Workers, those that are cooling down
	Load    int // requests being served
	Slots   int // requests that the workers take together; -1: no limit
}

func (e *QueueError) Error() string {
	var b strings.Builder
	if e.Err == ErrDown {
		fmt.Fprintf(&b, "pool: backend %q has no worker, and will not for %v", e.Backend, e.After.Round(time.Millisecond))
		if e.Why != nil {
			fmt.Fprintf(&b, ": %v", e.Why)
		}
		return b.String()
	}
	if e.Err == ErrQueueFull {
		fmt.Fprintf(&b, "pool: queue of backend %q is full: ", e.Backend)
	} else {
		fmt.Fprintf(&b, "pool: queue of backend %q: no worker in %v: ", e.Backend, e.Waited.Round(time.Millisecond))
	}
	fmt.Fprintf(&b, "%d requests wait, ", e.Queued)
	switch {
	case e.Workers == 0:
		b.WriteString("no worker is ready (if it should be, its log says more)")
	case e.Slots < 0:
		fmt.Fprintf(&b, "%d are being served", e.Load)
	default:
		fmt.Fprintf(&b, "%d of %d slots busy", e.Load, e.Slots)
	}
	if e.Cooling > 0 {
		fmt.Fprintf(&b, ", %d of %d workers cooling down", e.Cooling, e.Workers)
	}
	if e.Slots >= 0 && e.Load >= e.Slots && e.Workers > 0 {
		b.WriteString(" (more workers or a larger max_load would take them)")
	}
	return b.String()
}

func (e *QueueError) Unwrap() error { return e.Err }
