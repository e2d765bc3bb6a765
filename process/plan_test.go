package process

import (
	"fmt"
	"strings"
	"testing"
)

// places makes slots of a drawing: R ready, S starting, D down, C in a crash
// loop; a small letter is an old one, and - one that has been retired.
func places(drawing string) []*place {
	states := map[rune]State{'R': Ready, 'S': Starting, 'D': Down, 'C': CrashLoop, '-': Draining}
	var all []*place
	for i, r := range drawing {
		upper := []rune(strings.ToUpper(string(r)))[0]
		p := &place{slot: &slot{n: i}, old: r != upper, gone: r == '-'}
		p.view.State = states[upper]
		all = append(all, p)
	}
	return all
}

func TestPlan(t *testing.T) {
	tests := []struct {
		name, there string
		want        int
		add         int
		retire      []int
	}{
		{"nothing", "", 0, 0, nil},
		{"the first", "", 3, 3, nil},
		{"enough", "RSD", 3, 0, nil},
		{"more are wanted", "R", 3, 2, nil},
		{"retired ones do not count", "R--", 2, 1, nil},
		{"fewer: the youngest goes", "RRRR", 2, 0, []int{3, 2}},
		{"fewer: those of no use go first", "CRSRD", 2, 0, []int{4, 0, 2}},
		{"none", "RSD", 0, 0, []int{2, 1, 0}},

		{"a restart: as many new ones", "rrr", 3, 3, nil},
		{"new ones start, the old ones stay", "rrrSSS", 3, 0, nil},
		{"one is ready, an old one goes", "rrrRSS", 3, 0, []int{2}},
		{"and stays gone", "rr-RSS", 3, 0, nil},
		{"two more", "rr-RRR", 3, 0, []int{1, 0}},
		{"an old one of no use goes first", "drrRSS", 3, 0, []int{0}},
		{"the new ones crash", "rrCC", 2, 0, nil},
		{"more are wanted during a restart", "rrRS", 4, 2, nil},
		{"fewer are", "rrrRSS", 1, 0, []int{5, 4, 2, 1, 0}},
		{"none are", "rS", 0, 0, []int{1, 0}},

		{"one is replaced", "RrR", 3, 1, nil},
		{"its successor is ready", "RrRR", 3, 0, []int{1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			add, retire := plan(places(tt.there), tt.want)
			var got []int
			for _, p := range retire {
				got = append(got, p.slot.n)
			}
			if add != tt.add || fmt.Sprint(got) != fmt.Sprint(tt.retire) {
				t.Errorf("plan(%s, %d) = add %d, retire %v; want add %d, retire %v", tt.there, tt.want, add, got, tt.add, tt.retire)
			}
		})
	}
}

// Of those that are ready the one with the least to do goes first.
func TestPlanGoesByLoad(t *testing.T) {
	tests := []struct {
		name, there string
		loads       []int
		want        int
		retire      []int
	}{
		{"the idle one, though it is the oldest", "RRR", []int{0, 1, 1}, 2, []int{0}},
		{"the one with less to do", "RRR", []int{7, 3, 9}, 2, []int{1}},
		{"among equals the youngest", "RRR", []int{2, 2, 2}, 2, []int{2}},
		{"what is not ready first, whatever it had to do", "RSR", []int{0, 5, 1}, 1, []int{1, 0}},
		{"the same among old ones", "rrR", []int{0, 4, 0}, 2, []int{0}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			all := places(tt.there)
			for i, p := range all {
				p.load = tt.loads[i]
			}
			var got []int
			_, retire := plan(all, tt.want)
			for _, p := range retire {
				got = append(got, p.slot.n)
			}
			if fmt.Sprint(got) != fmt.Sprint(tt.retire) {
				t.Errorf("plan(%s with loads %v, %d) retires %v, want %v", tt.there, tt.loads, tt.want, got, tt.retire)
			}
		})
	}
}

// However a restart goes, as many processes take requests as before, or as are
// wanted.
func TestPlanLosesNothing(t *testing.T) {
	for _, there := range []string{"rrrr", "rrrrSSSS", "rrrrRSSS", "rrrRSSD", "rrRRCC", "rRRRS", "RRRR", "rrdd", "RRrrrr"} {
		for want := range 6 {
			all := places(there)
			ready := func() (n int) {
				for _, p := range all {
					if p.view.State == Ready && !p.gone {
						n++
					}
				}
				return n
			}
			before := ready()
			_, retire := plan(all, want)
			for _, p := range retire {
				p.gone = true
			}
			if got := ready(); got < min(before, want) {
				t.Errorf("plan(%s, %d): %d take requests, before there were %d", there, want, got, before)
			}
			if add, again := plan(all, want); len(again) > 0 && add == 0 {
				t.Errorf("plan(%s, %d): not all was retired at once: %d more", there, want, len(again))
			}
		}
	}
}
