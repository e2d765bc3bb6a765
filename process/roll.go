package process

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
)

// Restart replaces all processes: a new one is started for each, and for every
// one that is ready an old one gets no further requests, finishes those that it
// has, and ends. It returns when none of the old ones takes requests any more.
//
// If one of the new processes ends before it was ready, or ctx is done, the new
// ones are ended, those of the old that are there stay, and the error says why.
// A restart that is under way already is waited for.
func (g *Group) Restart(ctx context.Context) error {
	over, err := g.beginRoll(ctx)
	if err != nil {
		return err
	}
	defer over()
	for {
		done, changed, err := g.rolled()
		if done {
			return err
		}
		select {
		case <-changed:
		case <-g.stop:
			return g.spec.failed(errors.New("restart: the group has been stopped"))
		case <-ctx.Done():
			g.rollBack()
			return g.spec.failed(fmt.Errorf("restart: %w", context.Cause(ctx)))
		}
	}
}

// Ready waits until as many processes as are wanted take requests. If one ends
// before it did, the error says why.
func (g *Group) Ready(ctx context.Context) error {
	for {
		ready, failed, changed := g.countReady()
		switch {
		case ready:
			return nil
		case failed != nil:
			return g.spec.failed(fmt.Errorf("it ended before it took requests: %s: %s", failed.Reason, failed.Advice))
		}
		select {
		case <-changed:
		case <-g.stop:
			return g.spec.failed(errors.New("the group has been stopped"))
		case <-ctx.Done():
			return g.spec.failed(fmt.Errorf("it takes no requests yet: %w", context.Cause(ctx)))
		}
	}
}

// countReady reports whether as many are ready as are wanted, and of one that
// never was how it ended.
func (g *Group) countReady() (ready bool, failed *Exit, changed <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := 0
	for _, p := range g.places {
		switch {
		case p.gone:
		case p.takes():
			n++
		case !p.proved && p.view.Last != nil:
			failed = p.view.Last
		}
	}
	return n >= g.want, failed, g.changed
}

// beginRoll marks all slots as old, when no other restart is under way.
func (g *Group) beginRoll(ctx context.Context) (over func(), err error) {
	for {
		g.mu.Lock()
		if g.rolling == nil {
			break
		}
		other := g.rolling
		g.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, g.spec.failed(fmt.Errorf("restart: %w", context.Cause(ctx)))
		}
	}
	defer g.mu.Unlock()
	if g.ended || !g.started {
		return nil, g.spec.failed(errors.New("restart: the group does not run"))
	}
	mine := make(chan struct{})
	g.rolling = mine
	for _, p := range g.places {
		p.old = true
	}
	g.settle()
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.rolling = nil
		close(mine)
	}, nil
}

// rolled reports whether a restart is over.
func (g *Group) rolled() (done bool, changed <-chan struct{}, _ error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	left := false
	for _, p := range g.places {
		if p.old && !p.gone {
			left = true
		}
	}
	if !left {
		return true, nil, nil
	}
	for _, p := range g.places {
		if exit := p.view.Last; !p.old && !p.gone && !p.proved && exit != nil && !exit.Finished {
			g.undoRoll()
			return true, nil, g.spec.failed(fmt.Errorf("restart: a new process ended before it was ready, the old ones stay: %s: %s", exit.Reason, exit.Advice))
		}
	}
	return false, g.changed, nil
}

func (g *Group) rollBack() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.undoRoll()
}

// undoRoll keeps the old processes that are left, and retires as many new ones
// as they are too many then. g.mu is held.
func (g *Group) undoRoll() {
	for _, p := range g.places {
		p.old = false
	}
	g.settle()
}

// Replace replaces one process as Restart does all of them; why is for the log.
// It does not wait. It does nothing if the process takes no requests.
func (g *Group) Replace(pid int, why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.ready(pid); p != nil && !p.old {
		p.slot.log.Info("process replaced", slog.Int("pid", pid), slog.String("why", why))
		p.old = true
		g.settle()
	}
}

// Abort ends a process that hangs: it gets the abort signal, so that it may say
// where, and SIGKILL after the abort timeout. Another one is started in its
// slot. why is for the log. It does nothing if the process takes no requests.
func (g *Group) Abort(pid int, why string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := g.holder(pid); p != nil && (p.view.State == Ready || p.view.State == Draining) {
		select {
		case p.slot.hangs <- hang{pid, why}:
		default: // that has been said
		}
	}
}

// ready returns the place whose process takes requests, nil if it does not.
func (g *Group) ready(pid int) *place {
	if p := g.holder(pid); p != nil && p.takes() {
		return p
	}
	return nil
}

// holder returns the place of a process, nil if there is none. g.mu is held.
func (g *Group) holder(pid int) *place {
	for _, p := range g.places {
		if pid > 0 && p.view.PID == pid {
			return p
		}
	}
	return nil
}
