package sluice

import (
	"context"
	"fmt"
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
	before      map[int]uint64 // by PID, what its address had served when it came
	told        map[int]bool   // processes about which something has been said

	mu      sync.Mutex
	members []process.Member
	end     context.CancelFunc
	runs    sync.WaitGroup
}

// recycleEvery is how often a recycler looks.
const recycleEvery = time.Second

// needed reports whether there is anything to look after.
func (r *recycler) needed() bool { return r.maxRequests > 0 || r.hung > 0 }

// start begins to look; close ends it, and waits.
func (r *recycler) start(p *pool.Pool, g *process.Group) {
	ctx, cancel := context.WithCancel(context.Background())
	r.end = cancel
	r.runs.Go(func() {
		tick := time.NewTicker(recycleEvery)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
			for _, o := range r.look(time.Now(), p.Status().Workers) {
				if o.hangs {
					g.Abort(o.pid, o.why)
				} else {
					g.Replace(o.pid, o.why)
				}
			}
		}
	})
}

func (r *recycler) close() {
	if r.end != nil {
		r.end()
	}
	r.runs.Wait()
}

// set takes the processes that take requests.
func (r *recycler) set(members []process.Member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members = members
}

// An order is what a process has to be told.
type order struct {
	pid   int
	hangs bool
	why   string
}

// look decides.
func (r *recycler) look(now time.Time, workers []pool.WorkerStatus) (orders []order) {
	r.mu.Lock()
	members := r.members
	r.mu.Unlock()
	at := make(map[pool.Endpoint]process.Member, len(members))
	for _, w := range workers {
		for _, m := range members {
			if m.Network == w.Network && m.Address == w.Address {
				at[w.Endpoint] = m
			}
		}
	}
	orders = append(r.hanging(now, workers, at), r.worn(workers, at)...)
	return r.unsaid(orders)
}

// hanging finds processes that end no request.
func (r *recycler) hanging(now time.Time, workers []pool.WorkerStatus, at map[pool.Endpoint]process.Member) (orders []order) {
	if r.hung == 0 {
		return nil
	}
	for _, s := range r.stalls.look(now, workers) {
		if m, ok := at[s.worker]; ok && now.Sub(s.since) >= r.hung {
			why := fmt.Sprintf("it has requests, and has ended none for %v", now.Sub(s.since).Round(time.Second))
			orders = append(orders, order{m.PID, true, why})
		}
	}
	return orders
}

// worn finds processes that have served enough.
func (r *recycler) worn(workers []pool.WorkerStatus, at map[pool.Endpoint]process.Member) (orders []order) {
	if r.maxRequests == 0 {
		return nil
	}
	before := make(map[int]uint64, len(at))
	for _, w := range workers {
		m, ok := at[w.Endpoint]
		if !ok {
			continue
		}
		had, known := r.before[m.PID]
		if !known {
			had = w.Served
		}
		before[m.PID] = had
		if served := w.Served - had; served >= r.share(m.PID) {
			orders = append(orders, order{m.PID, false, fmt.Sprintf("it has served %d requests", served)})
		}
	}
	r.before = before
	return orders
}

// unsaid leaves out what has been said before.
func (r *recycler) unsaid(orders []order) (fresh []order) {
	told := make(map[int]bool, len(orders))
	for _, o := range orders {
		if told[o.pid] = true; !r.told[o.pid] {
			fresh = append(fresh, o)
		}
	}
	r.told = told
	return fresh
}

// share is how many requests a process serves: up to a tenth fewer than the
// most, so that not all are replaced at once.
func (r *recycler) share(pid int) uint64 {
	return r.maxRequests - r.maxRequests/10*uint64(pid%10)/10
}
