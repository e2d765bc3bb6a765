package process

import (
	"cmp"
	"slices"
)

// plan decides which slots a group needs: how many more, and which of those
// that there are it does not need any more.
//
// A slot that is old counts until another one is ready in its place. So many
// of the old stay as are wanted and not ready yet among the others, and a new
// process that never gets ready costs nothing but its own attempts.
func plan(places []*place, want int) (add int, retire []*place) {
	var fresh, old []*place
	ready := 0
	for _, p := range places {
		switch {
		case p.gone:
		case p.old:
			old = append(old, p)
		default:
			fresh = append(fresh, p)
			if p.serves() {
				ready++
			}
		}
	}
	retire = worst(fresh, len(fresh)-want)
	retire = append(retire, worst(old, len(old)-max(want-ready, 0))...)
	return max(want-len(fresh), 0), retire
}

// surplus reports whether there are more slots than are wanted.
func surplus(places []*place, want int) bool {
	n := 0
	for _, p := range places {
		if !p.gone {
			n++
		}
	}
	return n > want
}

// worst returns the n slots that can be done without best: those that are not
// ready, and of the others those with the least to do, the youngest first.
func worst(places []*place, n int) []*place {
	if n <= 0 {
		return nil
	}
	order := slices.Clone(places)
	slices.Reverse(order)
	slices.SortStableFunc(order, func(a, b *place) int { return cmp.Or(rank(a)-rank(b), busy(a)-busy(b)) })
	return order[:n]
}

func rank(p *place) int {
	switch p.view.State {
	case Ready:
		return 2
	case Starting:
		return 1
	}
	return 0
}

// busy returns what a process has to do: one that takes no requests yet, nothing.
func busy(p *place) int {
	if !p.takes() {
		return 0
	}
	return p.load
}
