package pool

import "sync/atomic"

// signs are signs of life. Those between two counts are one: that there were any
// is what a look wants to know, and so whoever gives many of them seldom writes
// to what others read.
type signs struct {
	since atomic.Bool // the last count there has been one
	n     atomic.Uint64
}

func (s *signs) add() {
	if !s.since.Load() {
		s.since.Store(true)
	}
}

func (s *signs) count() uint64 {
	if s.since.Swap(false) {
		s.n.Add(1)
	}
	return s.n.Load()
}

// Alive takes note of a sign of life: the worker has sent a piece of an answer,
// or taken one of a request. Requests that it ends well are signs, too, and
// counted anyway.
func (w *Worker) Alive() { w.signs.add() }

// AtClient changes the number of requests at which it is the client's turn, to
// send or to take a piece. A worker that has no others owes nobody a sign of
// life.
func (w *Worker) AtClient(by int64) { w.atClient.Add(by) }

// Hangs takes note that the worker at an address hangs, and with it the requests
// among the first leases (Counts.Leases of a Status) that have not ended.
func (p *Pool) Hangs(network, address string, leases uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w := p.at(where{network, address}); w != nil {
		w.hung.Store(max(w.hung.Load(), leases))
	}
}

// Hung reports whether the worker was taken for hung with this request: another
// one that is asked for the same may hang, too. It may be called after Release.
func (l Lease) Hung() bool { return l.turn <= l.w.hung.Load() }

// at returns the worker at an address, in the list or draining; nil if there is
// none. The mutex is held.
func (p *Pool) at(at where) *Worker {
	for _, list := range [][]*Worker{p.workers, p.drained} {
		for _, w := range list {
			if w.where() == at {
				return w
			}
		}
	}
	return nil
}
