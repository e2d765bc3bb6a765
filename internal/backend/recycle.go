package backend

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/pool"
	"github.com/sluice-gateway/sluice/process"
)

// A recycler has processes replaced that have served enough, and ended that
// hang: the pool knows of requests, and the group of processes.
type recycler struct {
	maxRequests uint64        // 0: no limit
	hung        time.Duration // 0: no limit
	stalls      stalls

	mu      sync.Mutex
	members []process.Member
	left    map[pool.Endpoint]process.Member // out of the list, and perhaps not without requests yet
	end     context.CancelFunc
	runs    sync.WaitGroup
}

// recycled is what a recycler gives orders to. They may come again.
type recycled interface {
	Replace(pid int, why string)
	Abort(pid int, why string)
}

// recycleEvery is how often a recycler looks, besides when a process has served
// enough.
const recycleEvery = time.Second

// start begins to look, if there is anything to look after, before the pool has
// workers; close ends it, and waits.
func (r *recycler) start(p *pool.Pool, to recycled) {
	if r.maxRequests == 0 && r.hung == 0 {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.end = cancel
	worn := p.Wear(r.maxRequests)
	r.runs.Go(func() {
		tick := time.NewTicker(recycleEvery)
		defer tick.Stop()
		for {
			select {
			case <-worn:
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			r.look(time.Now(), p, to)
		}
	})
}

func (r *recycler) close() {
	if r.end != nil {
		r.end()
	}
	r.runs.Wait()
}

// set takes the processes that take requests. Of those that do so no more it
// remembers where they were: they have to finish what they have.
func (r *recycler) set(members []process.Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.hung > 0 { // or else nobody would forget them
		r.left = leaving(r.left, r.members, members)
	}
	r.members = members
}

// current returns the processes that take requests.
func (r *recycler) current() []process.Member {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.members)
}

// leaving adds to those that have left the members that are not there any more,
// and takes away those in whose place another one is.
func leaving(left map[pool.Endpoint]process.Member, before, now []process.Member) map[pool.Endpoint]process.Member {
	all := maps.Clone(left)
	if all == nil {
		all = make(map[pool.Endpoint]process.Member)
	}
	for _, m := range before {
		all[whereIs(m)] = m
	}
	for _, m := range now {
		delete(all, whereIs(m))
	}
	return all
}

// processes returns which process each worker is, and forgets those that have
// left and that the pool does not know any more.
func (r *recycler) processes(workers []pool.WorkerStatus) map[pool.Endpoint]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := maps.Clone(r.left)
	if all == nil {
		all = make(map[pool.Endpoint]process.Member)
	}
	for _, m := range r.members {
		all[whereIs(m)] = m
	}
	found := make(map[pool.Endpoint]int, len(workers))
	known := make(map[pool.Endpoint]bool, len(workers))
	for _, w := range workers {
		at := pool.Endpoint{Network: w.Network, Address: w.Address}
		known[at] = true
		if m, ok := all[at]; ok {
			found[w.Endpoint] = m.PID
		}
	}
	maps.DeleteFunc(r.left, func(at pool.Endpoint, _ process.Member) bool { return !known[at] })
	return found
}

// look gives the orders that there are to give.
func (r *recycler) look(now time.Time, p *pool.Pool, to recycled) {
	status := p.Status()
	pids := r.processes(status.Workers)
	for _, s := range r.hanging(now, status) {
		if pid, ok := pids[s.worker]; ok {
			p.Hangs(s.worker.Network, s.worker.Address, s.leases)
			to.Abort(pid, fmt.Sprintf("it has requests, and has given no sign of life for %v", s.silent.Round(time.Second)))
		}
	}
	for _, w := range status.Workers {
		if pid, ok := pids[w.Endpoint]; ok && w.Worn && !w.Draining {
			to.Replace(pid, fmt.Sprintf("it has had %d requests", w.Taken))
		}
	}
}

// hanging finds workers that have been silent for too long.
func (r *recycler) hanging(now time.Time, p pool.Status) (long []stall) {
	if r.hung == 0 {
		return nil
	}
	for _, s := range r.stalls.look(now, p) {
		if s.silent >= r.hung {
			long = append(long, s)
		}
	}
	return long
}
