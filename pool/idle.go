package pool

import "context"

// Idle waits until the worker at that address has left the list and ended its
// last request: whoever runs it may end it then. If it is in the list, Idle
// waits for it to leave as well; if it leaves and comes back before its last request
// has ended, for the next time. An address that the pool does not know is idle.
// The error is the cause of ctx's end. Waiting costs nothing but a channel.
func (p *Pool) Idle(ctx context.Context, network, address string) error {
	idle := p.idle(where{network, address})
	if idle == nil {
		return nil
	}
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// idle returns what is closed when the worker has ended its last request; nil
// if it has.
func (p *Pool) idle(at where) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := p.at(at)
	if w == nil {
		return nil
	}
	if w.idle == nil {
		w.idle = make(chan struct{})
	}
	return w.idle
}

// ended tells those who wait in Idle. The pool's mutex is held.
func (w *Worker) ended() {
	if w.idle != nil {
		close(w.idle)
		w.idle = nil
	}
}
