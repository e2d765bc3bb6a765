package pool

import "time"

// A Load is how much a Pool has to do at one moment: what whoever starts and
// ends processes goes by.
type Load struct {
	Workers int           // in the list
	Busy    int           // requests that those serve
	Peak    int           // the most that Busy has been since Mark
	Queued  int           // requests that wait
	Longest time.Duration // how long the first of them has waited
	Ended   uint64        // requests that have ended, since the Pool was made
}

// Load returns how much there is to do now. It costs as little as a request
// does, however many workers there are, except while some drain.
func (p *Pool) Load() Load {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := Load{
		Workers: len(p.workers), Busy: p.gauge.busy, Peak: p.gauge.peak,
		Queued: p.queue.n, Ended: p.turn - uint64(p.gauge.busy),
	}
	for _, w := range p.drained {
		l.Ended -= uint64(w.Load())
	}
	if p.queue.n > 0 {
		l.Longest = time.Since(p.queue.longest())
	}
	return l
}

// LoadAt returns how many requests the worker at an address serves now, 0 if
// there is none.
func (p *Pool) LoadAt(network, address string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.at(where{network, address}); w != nil {
		return w.Load()
	}
	return 0
}

// Mark begins a new measurement of Load's Peak, and makes the pool call
// Config.Waiting, once, when more than busy requests are being served. If that
// is so already, it is called now.
func (p *Pool) Mark(busy int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gauge.peak, p.gauge.alarm = 0, busy
	p.rise()
}

// rise notes that more requests may be served than ever since Mark. Nothing
// else can ring, so that most requests compare one number.
func (p *Pool) rise() {
	p.gauge.peak = max(p.gauge.peak, p.gauge.busy)
	if p.gauge.busy <= p.gauge.alarm || p.closed {
		return
	}
	p.gauge.alarm = noLimit
	// Without the mutex, which our caller holds. The goroutine blocks nowhere,
	// as Waiting may not, and Close waits for it.
	p.running.Go(p.config.Waiting)
}

// A gauge counts the requests that the workers of the list serve, so that
// nobody has to ask each of them.
type gauge struct {
	busy, peak int
	alarm      int // more than this rings, once
	wear       wearing
}

// recount is for another list of workers.
func (g *gauge) recount(ws []*Worker) {
	g.busy = 0
	for _, w := range ws {
		g.busy += w.Load()
	}
	g.peak = max(g.peak, g.busy)
}
