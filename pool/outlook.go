package pool

import "time"

// An Outlook is what is known of the workers to come while there is none.
type Outlook struct {
	// Next is when the next attempt is made to have one: none comes before.
	// Zero: one may come at any moment.
	Next time.Time

	// Hopeless: attempts have failed so often that nobody is to wait for
	// the next one, even if it is soon.
	Hopeless bool

	// Err is why there is none.
	Err error
}

// Expect is told what to expect while the list of workers is empty, whenever
// that changes. A request that can have no worker before its time in the queue
// is up fails at once then, with a *QueueError that says why and for how long.
// Of an Outlook whose Next has passed nothing is expected any more.
func (p *Pool) Expect(o Outlook) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outlook = o
	p.giveIn()
}

// giveIn dismisses those who wait in vain. The mutex is held.
func (p *Pool) giveIn() {
	for wt := p.queue.first; wt != nil; {
		next := wt.next
		if p.inVain(wt) {
			err := p.noWorkers(wt)
			err.Queued--
			p.dismiss(wt, Lease{}, err)
		}
		wt = next
	}
}

// inVain reports whether a waiter will have no worker.
func (p *Pool) inVain(wt *waiter) bool {
	if len(p.workers) > 0 || p.outlook.Next.IsZero() {
		return false
	}
	rest := time.Until(p.outlook.Next)
	return rest > 0 && (p.outlook.Hopeless || rest > wt.patience-time.Since(wt.since))
}

// noWorkers is what one is told who waits in vain.
func (p *Pool) noWorkers(wt *waiter) *QueueError {
	p.counts.Down++
	err := p.queueError(ErrDown, time.Since(wt.since))
	err.After, err.Why = time.Until(p.outlook.Next), p.outlook.Err
	return err
}
