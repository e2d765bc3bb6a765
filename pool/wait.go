package pool

import (
	"context"
	"fmt"
	"time"
)

// newsTime is how long it may take to be known that a worker is gone which has
// just failed: longer than a process takes to be buried, and short enough for
// whoever is told of the failure afterwards. A request that has been to every
// worker waits for that, if the list may change.
const newsTime = 100 * time.Millisecond

// enqueue lets a waiter into the queue, if there is room and a use in it. why is
// set if it has tried all workers there are. The mutex is held.
func (p *Pool) enqueue(wt *waiter, now time.Time, why error) (*waiter, error) {
	switch {
	case p.inVain(wt):
		return nil, p.noWorkers(wt)
	case p.queue.n < p.config.MaxQueue || p.relieve(now):
	case why != nil:
		return nil, why
	default:
		p.counts.Refused++
		return nil, p.queueError(ErrQueueFull, wt.tried.waited)
	}
	if why != nil {
		wt.hope = time.Now().Add(newsTime)
	}
	wt.first = p.queue.n == 0
	p.counts.Queued++
	p.queue.push(wt)
	p.arm(now)
	return wt, nil
}

// wait is the time in the queue.
func (p *Pool) wait(ctx context.Context, wt *waiter) (Lease, error) {
	timer := time.NewTimer(wt.patience - wt.tried.waited)
	defer timer.Stop()
	select {
	case <-wt.done:
	case <-timer.C:
		p.giveUp(wt, nil)
	case <-ctx.Done():
		p.giveUp(wt, context.Cause(ctx))
	}
	return wt.lease, wt.err
}

// giveUp takes a waiter out of the queue, if it is still there. Without a
// cause its time was up.
func (p *Pool) giveUp(wt *waiter, cause error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if wt.left() {
		return
	}
	if cause != nil {
		p.counts.Left++
		p.dismiss(wt, Lease{}, fmt.Errorf("pool: wait for a worker of backend %q: %w", p.config.Name, cause))
		return
	}
	if w, _ := p.pick(wt.key, &wt.tried, p.now(), desperate); w != nil {
		p.dismiss(wt, p.give(w), nil)
		return
	}
	p.counts.TimedOut++
	err := p.queueError(ErrQueueTimeout, time.Since(wt.since))
	err.Queued--
	p.dismiss(wt, Lease{}, err)
}

// relieve makes room in a full queue: the first who can takes a worker that
// is cooling down.
func (p *Pool) relieve(now time.Time) bool {
	for wt := p.queue.first; wt != nil && !now.IsZero(); wt = wt.next {
		if w, _ := p.pick(wt.key, &wt.tried, now, desperate); w != nil {
			p.dismiss(wt, p.give(w), nil)
			return true
		}
		if wt.tried.n == 0 {
			break // no worker has room
		}
	}
	return false
}

// dismiss takes a waiter out of the queue, with a lease or an error.
func (p *Pool) dismiss(wt *waiter, l Lease, err error) {
	p.queue.remove(wt)
	l.waited = time.Since(wt.since)
	p.counts.waited(l.waited - wt.tried.waited)
	p.rise()
	wt.leave(l, err)
}

// dispatch gives every waiter what it can have, in their order. It is called
// after everything that can end a wait. The mutex is held.
func (p *Pool) dispatch(now time.Time) {
	stuck := false // a waiter that may have any worker could have none: so it is for all of its kind
	for wt := p.queue.first; wt != nil && (!stuck || p.queue.choosy > 0); {
		next := wt.next
		if choosy := wt.tried.n > 0; choosy || !stuck {
			w, err := p.pick(wt.key, &wt.tried, now, wt.urge(now))
			if err == nil {
				wt.hope = time.Time{} // there is another one; should that go, too, the news of it take their time
			}
			switch {
			case err != nil && p.hopes(wt):
			case err != nil:
				p.dismiss(wt, Lease{}, err)
			case w != nil:
				p.dismiss(wt, p.give(w), nil)
			case !choosy:
				stuck = true
			}
		}
		wt = next
	}
	p.arm(now)
}

// now returns the time if a worker may be cooling down, or else the zero time,
// which costs nothing.
func (p *Pool) now() time.Time {
	if p.calm.IsZero() {
		return time.Time{}
	}
	now := time.Now()
	if !now.Before(p.calm) {
		p.calm = time.Time{}
	}
	return now
}

// changing reports whether the list of workers may be another one soon.
func (p *Pool) changing() bool { return p.stop != nil }

// hopes reports whether a waiter that has tried all workers there are waits on:
// its last one may be gone, and nobody has said so yet.
func (p *Pool) hopes(wt *waiter) bool {
	now := time.Now()
	if wt.hope.IsZero() && p.changing() {
		wt.hope = now.Add(newsTime)
	}
	return now.Before(wt.hope)
}

// arm sets the timer for the next time at which a waiter may have a worker, or
// none any more, although nothing happens.
func (p *Pool) arm(now time.Time) {
	if p.queue.n == 0 || p.closed || now.IsZero() && p.queue.choosy == 0 {
		return
	}
	if now.IsZero() {
		now = time.Now()
	}
	at := next(p.workers, &p.queue, p.config.Cooldown, now)
	switch {
	case at.IsZero():
	case p.timer == nil:
		p.running.Add(1)
		p.timer = time.AfterFunc(at.Sub(now), p.wake)
	case !p.timer.Reset(at.Sub(now)):
		p.running.Add(1)
	}
}

// wake runs in a goroutine of the timer. It blocks nowhere but at the mutex,
// and Close, which stops the timer, waits for it.
func (p *Pool) wake() {
	p.mu.Lock()
	p.dispatch(p.now())
	p.mu.Unlock()
	p.running.Done()
}
