package backend

import (
	"time"

	"github.com/sluice-gateway/sluice/pool"
)

// stalls finds workers that have stopped: those that owe somebody an answer and
// give no sign of life. It is fed the pool's Status every now and then.
//
// What counts is the time in which somebody waited for the worker, from one look
// to the next: a stall is never said to be longer than it is. It goes on
// when a client gives up and another comes soon, because the worker may not know
// of that; or else a process that hangs would look well for as long as its
// visitors are impatient. If nobody comes for a while, it is over: the worker may
// have finished what they left. A request at which it is the client's turn waits
// for nobody here.
//
// The zero stalls is ready to use.
type stalls struct {
	at   time.Time // of the last look
	seen map[pool.Endpoint]standing
}

// A standing is how a worker stood at a look.
type standing struct {
	came, signs uint64
	owes        bool          // somebody waits for it
	silent      time.Duration // so long somebody has, since its last sign of life
	alone       time.Duration // so long nobody has
	leases      uint64        // that the pool had given when that began
}

// A stall is a worker that has stopped.
type stall struct {
	worker pool.Endpoint
	silent time.Duration
	leases uint64 // requests up to this one have been there all the time, if they have not ended
}

// look returns the workers that have given no sign of life for a while.
func (s *stalls) look(now time.Time, p pool.Status) (found []stall) {
	took := counted(now.Sub(s.at))
	seen := make(map[pool.Endpoint]standing, len(p.Workers))
	for _, w := range p.Workers {
		is := standing{came: w.Came, signs: w.Signs, owes: w.Load > w.AtClient, leases: p.Counts.Leases}
		if was, ok := s.seen[w.Endpoint]; ok {
			is = is.after(was, took)
		}
		if is.silent > 0 {
			found = append(found, stall{w.Endpoint, is.silent, is.leases})
		}
		seen[w.Endpoint] = is
	}
	s.at, s.seen = now, seen
	return found
}

const (
	// maxAlone is how long nobody may wait for a worker that stays under
	// suspicion: one look may find nobody.
	maxAlone = recycleEvery * 3 / 2

	// maxLook is how long there may be from one look to the next.
	maxLook = 2 * recycleEvery
)

// counted is how much of the time between two looks counts. When a look is late,
// it was Sluice that stood still, and what has come meanwhile may not be read yet.
func counted(took time.Duration) time.Duration {
	if took > maxLook {
		return 0
	}
	return took
}

// after is a standing some time after another one of the same worker.
func (s standing) after(was standing, took time.Duration) standing {
	if s.came != was.came || s.signs != was.signs {
		return s // another process, or a sign of life
	}
	if !s.owes {
		s.alone = was.alone + took
	}
	if s.alone > maxAlone {
		return s
	}
	s.silent = was.silent
	if was.owes && s.owes {
		s.silent += took
	}
	if was.owes || was.silent > 0 {
		s.leases = was.leases
	}
	return s
}
