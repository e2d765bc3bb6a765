package pool

import (
	"slices"
	"time"
)

// A Status is how a Pool was at one moment.
type Status struct {
	Backend string
	Workers []WorkerStatus // in the order of the list, then those that drain
	Queued  int            // requests that wait now
	Longest time.Duration  // how long the first of them has waited
	Counts  Counts
}

// A WorkerStatus is how a worker was at one moment.
type WorkerStatus struct {
	Endpoint            // MaxLoad is -1 if there is no limit
	Load      int       // requests it serves now
	Served    uint64    // requests that have ended there
	Failed    uint64    // those of them that the worker failed
	GivenUp   uint64    // those of them whose answer nobody waited for: the worker may not know
	Failures  int       // in a row, up to now
	Cooling   time.Time // cooling down until then; zero if it is not
	LastError error     // of the last failure, however long ago
	Draining  bool      // it has left the list and finishes its requests
	Came      uint64    // leases that the Pool had given when the address came into the list: tells a process from its successor there
	Signs     uint64    // of life: another number if there have been any since the Status before
	AtClient  int       // of Load, requests at which it is the client's turn
	Taken     uint64    // requests that it was given since it came, if they are counted (Wear)
	Worn      bool      // that is its share
}

// Counts are totals since the Pool was made.
type Counts struct {
	Leases   uint64 // given
	Queued   uint64 // requests that had to wait
	Refused  uint64 // because the queue was full
	TimedOut uint64 // in the queue
	Down     uint64 // because there was no worker, and none was to come in time
	Left     uint64 // requests whose context ended in the queue

	// Of the requests that waited and do so no more, however that ended.
	Waits  Waits         // how many of them waited how long
	Waited time.Duration // all of them together
	Most   time.Duration // the longest of all
}

// Status returns how the pool is now.
func (p *Pool) Status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	s := Status{Backend: p.config.Name, Queued: p.queue.n, Counts: p.counts}
	s.Counts.Leases = p.turn
	if p.queue.n > 0 {
		s.Longest = now.Sub(p.queue.longest())
	}
	for _, w := range slices.Concat(p.workers, p.drained) {
		s.Workers = append(s.Workers, w.status(now))
	}
	return s
}

func (w *Worker) status(now time.Time) WorkerStatus {
	counted := w.counter.since(w.born)
	s := WorkerStatus{
		Endpoint:  w.Endpoint(),
		Load:      w.Load(),
		Served:    w.served,
		Failed:    w.failed,
		GivenUp:   w.givenUp,
		Failures:  w.health.failures,
		LastError: w.cause,
		Draining:  w.gone,
		Came:      w.born,
		Signs:     w.signs.count() + w.well,
		AtClient:  int(w.atClient.Load()),
		Taken:     counted.taken,
		Worn:      counted.worn(),
	}
	if w.health.cooling(now) {
		s.Cooling = w.health.until
	}
	return s
}

// queueError says why a request does not get a worker. The mutex is held.
func (p *Pool) queueError(why error, waited time.Duration) *QueueError {
	e := &QueueError{
		Err: why, Backend: p.config.Name, Waited: waited,
		Queued: p.queue.n, Workers: len(p.workers),
	}
	now := p.now()
	for _, w := range p.workers {
		e.Load += w.Load()
		if w.health.cooling(now) {
			e.Cooling++
		}
		switch max := w.Endpoint().MaxLoad; {
		case max < 0 || e.Slots < 0:
			e.Slots = -1
		default:
			e.Slots += max
		}
	}
	return e
}
