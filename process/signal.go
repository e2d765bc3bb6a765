package process

import (
	"context"
	"syscall"
	"time"
)

// A stopping says how processes are asked to end, if not as the Spec has it.
type stopping struct {
	signal  syscall.Signal
	timeout time.Duration // zero means DefaultStopTimeout; negative, no limit
}

// Signal sends a signal to every process that is there, but to what those have
// started themselves only if it is what is left of a process that has died, and
// has got time to finish.
func (g *Group) Signal(sig syscall.Signal) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, p := range g.places {
		if p.view.signal != nil {
			p.view.signal(sig)
		}
	}
}

// StopWith is Stop with another stop signal and stop timeout than the Spec's.
func (g *Group) StopWith(ctx context.Context, sig syscall.Signal, timeout time.Duration) error {
	g.spec.stopping.Store(&stopping{sig, timeout})
	return g.Stop(ctx)
}
