package process

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/sluice-gateway/sluice/internal/address"
)

// A Member is a process that takes requests.
type Member struct {
	Slot, PID        int
	Network, Address string // as for net.Dial
}

// String returns the member's address.
func (m Member) String() string {
	return address.Address{Network: m.Network, Address: m.Address}.String()
}

// A Status says how it is with one slot.
type Status struct {
	Slot     int
	PID      int // 0 if there is no process
	State    State
	Dead     bool      // it has died, and what it left has something to finish
	Since    time.Time // when it came into State
	Started  time.Time // when the process was started, or the last one
	Restarts int
	Deaths   int      // in a row
	Last     *Exit    // how the last process ended; nil if none did
	Output   []string // the last lines of the process that runs
}

// Watch calls set with the processes that take requests, in the order of their
// slots, and the Outlook: at once, and whenever one of them has changed, until ctx
// is done. It returns ctx's error. set must not wait for the group.
func (g *Group) Watch(ctx context.Context, set func([]Member, Outlook)) error {
	var last []Member
	var outlook Outlook
	for first := true; ; first = false {
		g.telling <- struct{}{}
		members, o, changed := g.news()
		if first || !slices.Equal(members, last) || o != outlook {
			set(members, o)
			last, outlook = members, o
		}
		<-g.telling
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// news returns what Watch tells, and what is closed when something has changed.
func (g *Group) news() ([]Member, Outlook, <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.members(), g.outlook(), g.changed
}

// members returns the processes that take requests. g.mu is held.
func (g *Group) members() []Member {
	var ready []Member
	for _, p := range g.places {
		if p.takes() {
			ready = append(ready, p.slot.member(p.view.PID))
		}
	}
	slices.SortFunc(ready, func(a, b Member) int { return cmp.Compare(a.Slot, b.Slot) })
	return ready
}

// Status says how it is with each slot.
func (g *Group) Status() []Status {
	g.mu.Lock()
	views := make([]view, len(g.places))
	for i, p := range g.places {
		views[i] = p.view
	}
	g.mu.Unlock()
	all := make([]Status, len(views))
	for i, v := range views {
		if all[i] = v.Status; v.output != nil {
			all[i].Output = v.output()
		}
	}
	slices.SortFunc(all, func(a, b Status) int { return cmp.Compare(a.Slot, b.Slot) })
	return all
}

// publish takes note of what a slot has become.
func (g *Group) publish(p *place, v view) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p.view = v
	g.note(p, v.Last)
	p.proved = p.proved || v.State == Ready
	g.settle()
	g.notify()
}

// notify wakes up those who wait for a change. g.mu is held.
func (g *Group) notify() {
	close(g.changed)
	g.changed = make(chan struct{})
}
