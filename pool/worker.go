package pool

import (
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/internal/address"
)

// An Endpoint says where a worker is and how much it takes.
type Endpoint struct {
	Network string // as for net.Dial: "unix" or "tcp"
	Address string // "/run/x.sock", "127.0.0.1:9000"

	// MaxLoad bounds the requests it serves at the same time. Zero means the
	// Pool's MaxLoad; negative, no limit.
	MaxLoad int
}

// A Worker is one address that takes requests. The Pool makes it when the
// address appears in its list, and it stays the same Worker for as long as the
// address is there. It is safe for concurrent use.
type Worker struct {
	pool             *Pool
	network, address string
	name             string

	load atomic.Int64 // changed under pool.mu only; read by anybody
	max  atomic.Int64 // as load

	// Guarded by pool.mu.
	born    uint64 // the pool's turn when the address appeared
	used    uint64 // the turn in which it was chosen last
	gone    bool   // not in the list any more
	doubt   bool   // it may still be busy with a request that was given up
	health  health
	served  uint64 // requests that have ended here
	failed  uint64 // those of them that the worker failed
	well    uint64 // those that it ended well, without those of its predecessor at the address
	cause   error  // of the last failure
	logged  time.Time
	silent  int           // failures since then that were not logged
	givenUp uint64        // of served, those whose answer nobody waited for
	idle    chan struct{} // closed when it has left the list and ended its last request; nil if nobody waits for that
	counter counter

	signs    signs         // of life
	atClient atomic.Int64  // requests at which it is the client's turn
	hung     atomic.Uint64 // the leases up to this turn hang, if they have not ended; changed under pool.mu only
}

// Endpoint returns where the worker is. MaxLoad is the one in force, -1 if
// there is no limit.
func (w *Worker) Endpoint() Endpoint {
	e := Endpoint{Network: w.network, Address: w.address, MaxLoad: int(w.max.Load())}
	if e.MaxLoad == noLimit {
		e.MaxLoad = -1
	}
	return e
}

// String returns the address as it stands in configurations:
// "unix:/run/x.sock", "127.0.0.1:9000".
func (w *Worker) String() string { return w.name }

// Load returns the number of requests that the worker serves now.
func (w *Worker) Load() int { return int(w.load.Load()) }

// newWorker makes a worker that is not in the list yet.
func newWorker(p *Pool, e Endpoint) *Worker {
	return &Worker{
		pool:    p,
		network: e.Network,
		address: e.Address,
		name:    address.Address{Network: e.Network, Address: e.Address}.String(),
		gone:    true,
	}
}

// where is what makes two endpoints the same worker.
type where struct{ network, address string }

func (w *Worker) where() where { return where{w.network, w.address} }

// full reports whether the worker takes no further request.
func (w *Worker) full() bool { return w.load.Load() >= w.max.Load() }
