package pool

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// A Config says how a Pool behaves. It is not changed by it.
type Config struct {
	// Name is that of the backend, for errors and logs.
	Name string

	// MaxLoad bounds the requests that one worker serves at the same time, if
	// its Endpoint does not say. Zero means DefaultMaxLoad; negative, no limit.
	MaxLoad int

	// MaxQueue bounds the requests that wait for a worker. Zero means
	// DefaultMaxQueue; negative, no limit.
	MaxQueue int

	// QueueTimeout bounds how long one waits, all its attempts together. Zero
	// means DefaultQueueTimeout; negative, no limit.
	QueueTimeout time.Duration

	// Balancer chooses the worker. Nil means Fair.
	Balancer Balancer

	// Cooldown says how long workers that failed are left out.
	Cooldown Cooldown

	// Waiting, if it is set, is called when somebody should look at Load: when
	// a request begins to wait and nobody waited before, when the workers have
	// changed, and when more requests are served than Mark said. It is called
	// without the pool's mutex, by any goroutine, and must not block: it stands in
	// the way of a request.
	Waiting func()

	// Log is told of workers that come, go and fail. Nil discards.
	Log *slog.Logger
}

// A Pool hands each request a worker. It is safe for concurrent use.
//
// A request that finds every worker full, or none at all, waits in a queue;
// a slot that becomes free goes to the first of the queue that can use it. The
// order is that in which the requests came: one whose worker failed stands again
// before those that came after it. A later request passes an earlier one only to
// a worker which the earlier one has tried already.
type Pool struct {
	mu      sync.Mutex
	closed  bool
	workers []*Worker // in the order of the list
	ready   []*Worker // room for choose, as long as workers
	queue   queue
	gauge   gauge
	turn    uint64    // counts the leases given
	calm    time.Time // from then on no worker is cooling down; zero if that is past
	drained []*Worker // left the list with requests that have not ended
	counts  Counts
	outlook Outlook
	config  Config             // the defaults filled in
	stop    context.CancelFunc // ends the source; nil without one

	timer   *time.Timer    // calls wake
	running sync.WaitGroup // the source, each run of wake that is due, and calls of Waiting
}

// New returns a Pool without workers; Watch brings them. Close ends it.
func New(c Config) *Pool {
	c.MaxLoad = orDefault(c.MaxLoad, DefaultMaxLoad, noLimit)
	c.boundQueue(c.MaxQueue, c.QueueTimeout)
	c.Cooldown = c.Cooldown.orDefault()
	if c.Balancer == nil {
		c.Balancer = Fair{}
	}
	if c.Waiting == nil {
		c.Waiting = func() {}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return &Pool{config: c, gauge: gauge{alarm: noLimit}}
}

// SetQueue changes MaxQueue and QueueTimeout, which mean what they do in a
// Config. Requests that wait keep their time, and their place.
func (p *Pool) SetQueue(most int, timeout time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.config.boundQueue(most, timeout)
}

func (c *Config) boundQueue(most int, timeout time.Duration) {
	c.MaxQueue = orDefault(most, DefaultMaxQueue, noLimit)
	c.QueueTimeout = orDefault(timeout, DefaultQueueTimeout, forever)
}

// Acquire returns a lease, at once or after a wait in the queue. key goes to
// the Balancer.
//
// If tried is not nil, no worker that is in it is chosen, and the chosen one
// is added; what its request has waited before counts. Acquire does not keep it.
//
// The error is a *QueueError, ErrTried, ErrClosed, or wraps the cause of ctx's
// end. Only a wait looks at ctx, and a lease that came in the same moment wins:
// the caller will find out, and must release it.
func (p *Pool) Acquire(ctx context.Context, key uint64, tried *Tried) (Lease, error) {
	l, wt, err := p.take(key, tried)
	if wt != nil {
		if wt.first {
			p.config.Waiting()
		}
		l, err = p.wait(ctx, wt)
	}
	if err == nil && tried != nil {
		tried.add(l)
	}
	return l, err
}

// Close makes waiting and later requests fail with ErrClosed, ends the source
// and waits for it. All workers have left the list then. Leases may still be
// released. It may be called twice.
func (p *Pool) Close() {
	p.mu.Lock()
	p.closed = true
	for p.queue.n > 0 {
		p.dismiss(p.queue.first, Lease{}, ErrClosed)
	}
	p.replace(nil)
	if p.timer != nil && p.timer.Stop() {
		p.running.Done()
	}
	stop := p.stop
	p.mu.Unlock()
	if stop != nil {
		stop()
	}
	p.running.Wait()
}

// take returns a lease or, if the request has to wait, its place in the queue.
func (p *Pool) take(key uint64, tried *Tried) (Lease, *waiter, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return Lease{}, nil, ErrClosed
	}
	now := p.now()
	if p.queue.n > 0 && !now.IsZero() {
		p.dispatch(now) // a worker may have cooled down before the timer says so
	}
	place := p.turn + p.counts.Queued + 1 // each request that came before has added to one of them
	if tried != nil && tried.place == 0 {
		tried.place = place
	}
	w, err := p.pick(key, tried, now, fresh)
	switch {
	case w != nil:
		l := p.give(w)
		if p.gauge.busy > p.gauge.peak {
			p.rise()
		}
		return l, nil, nil
	case err != nil && !p.changing():
		return Lease{}, nil, err
	}
	wt, err := p.enqueue(newWaiter(key, place, tried, p.config.QueueTimeout), now, err)
	return Lease{}, wt, err
}

// pick returns the worker for a request; nil if it has to wait.
func (p *Pool) pick(key uint64, tried *Tried, now time.Time, u urge) (*Worker, error) {
	c := choose(p.ready, p.workers, tried, now)
	switch n := len(c.ready); {
	case c.tried && tried.again:
		return p.pick(key, nil, now, u)
	case c.tried:
		return nil, ErrTried
	case n > 1:
		return c.ready[p.config.Balancer.Pick(key, c.ready)], nil
	case n == 1:
		return c.ready[0], nil
	}
	return c.resort(u, p.config.Cooldown, now), nil
}
