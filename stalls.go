package sluice

import (
	"time"

	"github.com/sluice-gateway/sluice/pool"
)

// stalls finds workers that have stopped: those that serve something, while no
// request ends there. It is fed the pool's Status every now and then, and
// counts from the first of them in which nothing had changed any more: a
// stall is never said to be longer than it is, and up to one interval shorter.
//
// A request that the client gave up does not count as ended, because the worker
// may not know of that; or else a process that hangs would look well for as long
// as its visitors are impatient. The zero stalls is ready to use.
type stalls struct {
	seen map[pool.Endpoint]standing
}

// A standing is how far a worker had come.
type standing struct {
	came, ended uint64
	since       time.Time
}

// A stall is a worker that has stopped.
type stall struct {
	worker pool.Endpoint
	since  time.Time
}

// look returns the workers at which nothing has ended since before now.
func (s *stalls) look(now time.Time, ws []pool.WorkerStatus) (found []stall) {
	seen := make(map[pool.Endpoint]standing, len(ws))
	for _, w := range ws {
		if w.Load == 0 {
			continue
		}
		at := standing{w.Came, w.Served - w.GivenUp, now}
		if was, ok := s.seen[w.Endpoint]; ok && was.came == at.came && was.ended == at.ended {
			at.since = was.since
			found = append(found, stall{w.Endpoint, at.since})
		}
		seen[w.Endpoint] = at
	}
	s.seen = seen
	return found
}
