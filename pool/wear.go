package pool

// Wear makes the Pool count the requests that each worker is given from when it
// came into the list. When one has had most of them, less up to a tenth so that
// not all have at once, its Status says Worn and something comes on the channel,
// which nobody need wait at. Zero counts nothing. It is called before Watch, at
// the most once.
func (p *Pool) Wear(most uint64) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	worn := make(chan struct{}, 1)
	p.gauge.wear = wearing{most: most, worn: worn}
	return worn
}

// A wearing counts for all workers.
type wearing struct {
	most     uint64 // 0: nothing is counted
	counters uint64 // how many have begun
	worn     chan struct{}
}

// A counter is that of one worker.
type counter struct {
	born  uint64 // the worker's, when it began
	taken uint64
	share uint64 // so many wear it out; 0 before the first
}

// note counts a request. The pool's mutex is held.
func (r *wearing) note(w *Worker) {
	c := &w.counter
	if c.share == 0 || c.born != w.born {
		*c = counter{born: w.born, share: r.share()}
	}
	if c.taken++; c.taken == c.share {
		select {
		case r.worn <- struct{}{}:
		default: // whoever is to come has not come yet
		}
	}
}

// share is how many requests the next one may have.
func (r *wearing) share() uint64 {
	n := r.counters % 10
	r.counters++
	return r.most - r.most/10*n/10
}

// since returns the counter of a worker that came in turn born.
func (c counter) since(born uint64) counter {
	if c.born != born {
		return counter{}
	}
	return c
}

// worn reports whether the worker has had its share.
func (c counter) worn() bool { return c.share > 0 && c.taken >= c.share }
