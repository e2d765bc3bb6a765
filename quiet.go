package sluice

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// quietGrace is how long connections without a request may hold up the drain:
// time for a request that is on its way. Browsers open connections for later,
// and net/http would wait 5 seconds for those; clients use kept ones again,
// and net/http would cut them at once.
const quietGrace = 500 * time.Millisecond

// handedGrace is the same when a successor serves: nobody waits for our end, so
// more clients have the time to be told that their connection is about to end.
const handedGrace = 5 * time.Second

// quiet are the open connections, as far as they can be quiet during the drain.
type quiet struct {
	silent atomic.Int64 // connections that have not sent anything yet; so that most requests need not take the mutex

	mu    sync.Mutex
	open  int // connections
	fresh map[net.Conn]struct{}
	none  chan struct{} // closed, during the drain, when none is open any more
}

// watch is an http.Server's ConnState.
func (q *quiet) watch(nc net.Conn, state http.ConnState) {
	switch state {
	case http.StateActive, http.StateIdle:
		if q.silent.Load() == 0 {
			return
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch state {
	case http.StateNew:
		if q.fresh == nil {
			q.fresh = make(map[net.Conn]struct{})
		}
		q.fresh[nc] = struct{}{}
		q.open++
	case http.StateClosed, http.StateHijacked:
		q.open--
		fallthrough
	default:
		delete(q.fresh, nc)
	}
	q.settle()
}

// settle brings silent and none up to date.
func (q *quiet) settle() {
	q.silent.Store(int64(len(q.fresh)))
	if q.open == 0 && q.none != nil {
		close(q.none)
		q.none = nil
	}
}

// drain waits until none is open any more, or for the time of grace, or until
// done, and closes those that have not sent anything. The listeners must be
// closed, and connections end with their next response.
func (q *quiet) drain(grace time.Duration, done <-chan struct{}) {
	none := make(chan struct{})
	q.mu.Lock()
	q.none = none
	q.settle()
	q.mu.Unlock()
	over := time.NewTimer(grace)
	defer over.Stop()
	select {
	case <-none:
	case <-over.C:
	case <-done:
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for nc := range q.fresh {
		nc.Close()
	}
}
