package process

import (
	"context"
	"time"
)

// Killed waits until the process at an address, or the one before it, has ended
// after since, and reports whether somebody has killed it: then nothing that it
// was doing is to blame. It is not known if ctx is done first.
func (g *Group) Killed(ctx context.Context, network, address string, since time.Time) bool {
	for {
		last, changed := g.lastAt(network, address)
		if last != nil && last.At.After(since) {
			return last.forced
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
}

// lastAt returns how the last process at an address ended, nil if none did, and
// what is closed when something has changed.
func (g *Group) lastAt(network, address string) (last *Exit, changed <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.ends[where{network, address}], g.changed
}

// where is an address as for net.Dial.
type where struct{ network, address string }

// note remembers how the last process of a slot ended, also when the slot has:
// somebody may still wait for an answer of it. Its address is that of another
// slot some time. g.mu is held.
func (g *Group) note(p *place, last *Exit) {
	if last == nil {
		return
	}
	if g.ends == nil {
		g.ends = make(map[where]*Exit)
	}
	m := p.slot.member(0)
	g.ends[where{m.Network, m.Address}] = last
}
