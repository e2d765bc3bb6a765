package process

import (
	"log/slog"
	"slices"
	"time"
)

// grow makes slots. To make sockets may take a second, for whoever can read
// their folder can lock it, so that it is done beside everything else. g.mu is
// held.
func (g *Group) grow(add int) {
	switch {
	case g.shared != nil:
		for _, n := range g.freeNumbers(add) {
			g.addPlace(n, g.shared)
		}
	case !g.growing && g.retry == nil: // or they come anyway
		g.growing = true
		g.runs.Go(func() {
			for g.growOnce() {
			}
		})
	}
}

// growOnce makes the slots that are missing, and reports whether to look again.
// Stop waits for it.
func (g *Group) growOnce() (again bool) {
	g.mu.Lock()
	missing := g.missing()
	g.growing = missing > 0
	numbers := g.freeNumbers(missing)
	g.mu.Unlock()
	if missing == 0 {
		return false
	}
	made, err := privateSockets(g.dir, g.spec.Name, numbers, g.spec.Credential, g.stop)

	g.mu.Lock()
	use := min(len(made), g.missing()) // not so many may be wanted any more
	for i, s := range made[:use] {
		g.addPlace(numbers[i], s)
	}
	if g.growing = err == nil && !g.ended; !g.growing && !g.ended {
		g.spec.log().Error("process not started", slog.String("backend", g.spec.Name), slog.Any("err", err), slog.Duration("again_in", retryAfter))
		g.retryLater()
	}
	again = g.growing
	g.mu.Unlock()
	for _, s := range made[use:] {
		if err := s.close(); err != nil {
			g.spec.log().Warn("socket left behind", slog.Any("err", err))
		}
	}
	return again
}

// missing returns how many slots there are too few. g.mu is held.
func (g *Group) missing() int {
	if g.ended {
		return 0
	}
	add, _ := plan(g.places, g.want)
	return add
}

// addPlaces makes the first slots of a group that nobody else knows yet.
func (g *Group) addPlaces(n int) error {
	numbers := g.freeNumbers(n)
	socks := slices.Repeat([]*socket{g.shared}, n)
	var err error
	if g.shared == nil && n > 0 {
		socks, err = privateSockets(g.dir, g.spec.Name, numbers, g.spec.Credential, nil)
	}
	for i, s := range socks {
		g.addPlace(numbers[i], s)
	}
	return err
}

// freeNumbers returns the n smallest numbers that no slot has.
func (g *Group) freeNumbers(n int) (free []int) {
	for i := 0; len(free) < n; i++ {
		if !slices.ContainsFunc(g.places, func(p *place) bool { return p.slot.n == i }) {
			free = append(free, i)
		}
	}
	return free
}

// retryLater makes slots that could not be made. The timer ends with Stop. g.mu
// is held.
func (g *Group) retryLater() {
	if g.retry == nil {
		g.retry = time.AfterFunc(retryAfter, func() {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.retry = nil
			g.settle()
		})
	}
}
