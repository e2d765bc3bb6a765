package sluice

import (
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// silentGrace is how long a connection that has not sent anything yet may hold
// up the drain: time for a request that is on its way. Browsers open
// connections for later, and net/http would wait 5 seconds for those.
const silentGrace = 500 * time.Millisecond

// silent are the connections that have not sent anything yet.
type silent struct {
	n atomic.Int64 // so that most requests need not take the mutex

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	none  chan struct{} // closed, during the drain, when there is none any more
}

// watch is an http.Server's ConnState.
func (s *silent) watch(nc net.Conn, state http.ConnState) {
	if state != http.StateNew && s.n.Load() == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if state == http.StateNew {
		if s.conns == nil {
			s.conns = make(map[net.Conn]struct{})
		}
		s.conns[nc] = struct{}{}
	} else {
		delete(s.conns, nc)
	}
	s.settle()
}

// settle brings n and none up to date.
func (s *silent) settle() {
	s.n.Store(int64(len(s.conns)))
	if len(s.conns) == 0 && s.none != nil {
		close(s.none)
		s.none = nil
	}
}

// drain waits until there is none any more, or for silentGrace, or until done,
// and closes those that are left. The listeners must be closed.
func (s *silent) drain(done <-chan struct{}) {
	none := make(chan struct{})
	s.mu.Lock()
	s.none = none
	s.settle()
	s.mu.Unlock()
	grace := time.NewTimer(silentGrace)
	defer grace.Stop()
	select {
	case <-none:
	case <-grace.C:
	case <-done:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for nc := range s.conns {
		nc.Close()
	}
}
