package pool

// A Balancer chooses among the workers of one pool.
type Balancer interface {
	// Pick returns the index of the chosen worker. It is never called with
	// less than two, and every worker in ws may take the request: those that
	// are full, cooling down, or were tried before have been left out. key is
	// the same for requests that should meet the same worker. Calls for one
	// pool come one after the other; a Balancer that several pools share must
	// be safe for concurrent use. Pick must not keep or change ws, nor call the pool.
	Pick(key uint64, ws []*Worker) int
}

// Fair chooses the worker with the least load; among equals, the one that has
// not been chosen for the longest time.
type Fair struct{}

var _ Balancer = Fair{}

// Pick implements Balancer.
func (Fair) Pick(_ uint64, ws []*Worker) int {
	best, load := 0, ws[0].load.Load()
	for i, w := range ws[1:] {
		if l := w.load.Load(); l < load || l == load && w.used < ws[best].used {
			best, load = i+1, l
		}
	}
	return best
}
