package scale

import (
	"math/rand/v2"
	"testing"
	"time"
)

const ms = time.Millisecond

func TestWanted(t *testing.T) {
	upTo16 := Rule{Min: 1, Max: 16, Per: 1}
	demand := Rule{Min: 0, Max: 16, Per: 1}
	spare := Rule{Min: 1, Max: 16, Spare: 2, Per: 1}
	unsaid := Rule{Min: 1, Max: 16}
	unsaidDemand := Rule{Max: 16}
	unsaidSpare := Rule{Min: 1, Max: 16, Spare: 2}
	tests := []struct {
		name string
		r    Rule
		s    Sight
		want int
	}{
		{"nothing to do", upTo16, Sight{Wanted: 1, Ready: 1}, 1},
		{"nothing to do, on demand", demand, Sight{}, 0},
		{"fewer than min", Rule{Min: 4, Max: 16, Per: 1}, Sight{Wanted: 1, Ready: 1}, 4},
		{"max below min", Rule{Min: 4, Max: 2, Per: 1}, Sight{Wanted: 2, Ready: 2}, 2},
		{"more than max", upTo16, Sight{Busy: 16, Queued: 500, Longest: time.Second, Wanted: 16, Ready: 16}, 16},
		{"more were wanted than max is now", upTo16, Sight{Busy: 20, Wanted: 20, Ready: 20}, 16},

		{"as many as serve", upTo16, Sight{Busy: 3, Wanted: 3, Ready: 3, Fall: 3}, 3},
		{"several at once", upTo16, Sight{Busy: 3, Queued: 5, Longest: 20 * ms, Wanted: 3, Ready: 3}, 8},
		{"a wait that is just long enough", upTo16, Sight{Busy: 1, Queued: 5, Longest: Patience, Wanted: 1, Ready: 1}, 6},
		{"a wait that is too short", upTo16, Sight{Busy: 1, Queued: 5, Longest: Patience - 1, Wanted: 1, Ready: 1}, 1},
		{"those that start are counted", upTo16, Sight{Busy: 1, Queued: 5, Longest: 50 * ms, Wanted: 6, Ready: 1}, 6},

		{"on demand, one waits", demand, Sight{Queued: 1}, 1},
		{"on demand, two hundred wait", demand, Sight{Queued: 200}, 1},
		{"on demand, and for long", demand, Sight{Queued: 200, Longest: 5 * time.Second, Wanted: 1}, 1},
		{"on demand, the first is ready", demand, Sight{Busy: 1, Queued: 199, Longest: 150 * ms, Wanted: 1, Ready: 1}, 16},
		{"none of several is ready", upTo16, Sight{Queued: 200, Longest: time.Second, Wanted: 5}, 5},

		{"the first spare", Rule{Max: 16, Spare: 1, Per: 1}, Sight{}, 1},
		{"spare while nothing is to do", spare, Sight{Wanted: 5, Ready: 5, Fall: 5}, 2},
		{"spare beside those that serve", spare, Sight{Busy: 2, Wanted: 2, Ready: 2}, 4},
		{"spare beside those that are asked for", spare, Sight{Busy: 2, Queued: 2, Longest: 20 * ms, Wanted: 4, Ready: 2}, 6},
		{"spare and max", spare, Sight{Busy: 15, Wanted: 15, Ready: 15}, 16},

		{"four requests each, four", Rule{Min: 1, Max: 16, Per: 4}, Sight{Busy: 4, Wanted: 1, Ready: 1}, 1},
		{"four requests each, five", Rule{Min: 1, Max: 16, Per: 4}, Sight{Busy: 5, Wanted: 1, Ready: 1}, 2},
		{"as many as come, nothing to do", Rule{Max: 16, Per: -1}, Sight{Wanted: 1, Ready: 1, Fall: 1}, 0},
		{"as many as come", Rule{Max: 16, Per: -1}, Sight{Busy: 500, Wanted: 1, Ready: 1}, 1},

		{"quick requests", upTo16, Sight{Busy: 1, Queued: 49, Longest: 20 * ms, Service: ms, Wanted: 1, Ready: 1}, 1},
		{"too many quick requests", upTo16, Sight{Busy: 1, Queued: 50, Longest: 20 * ms, Service: ms, Wanted: 1, Ready: 1}, 2},
		{"they are quicker than a process starts", upTo16, Sight{Busy: 1, Queued: 50, Longest: 20 * ms, Service: ms, Start: 100 * ms, Wanted: 1, Ready: 1}, 1},
		{"it starts slowly", upTo16, Sight{Busy: 1, Queued: 400, Longest: 20 * ms, Service: ms, Start: time.Minute, Wanted: 1, Ready: 1}, 3},
		{"requests as slow as a start", upTo16, Sight{Busy: 1, Queued: 4, Longest: 20 * ms, Service: minHorizon, Wanted: 1, Ready: 1}, 5},
		{"quick requests do not end what serves", upTo16, Sight{Busy: 3, Queued: 1, Longest: 20 * ms, Service: ms, Wanted: 3, Ready: 3, Fall: 3}, 3},

		{"many, but not all at a time", Rule{Min: 1, Max: 500, Per: 1}, Sight{Busy: 1, Queued: 499, Longest: 20 * ms, Wanted: 1, Ready: 1}, 17},
		{"as many more as are ready", Rule{Min: 1, Max: 500, Per: 1}, Sight{Busy: 40, Queued: 460, Longest: 20 * ms, Wanted: 40, Ready: 40}, 80},
		{"while those start, no more", Rule{Min: 1, Max: 500, Per: 1}, Sight{Busy: 40, Queued: 460, Longest: 20 * ms, Wanted: 80, Ready: 40}, 80},

		{"nobody said how many, two hundred", unsaid, Sight{Busy: 200, Wanted: 1, Ready: 1}, 1},
		{"and they wait, too", unsaid, Sight{Busy: 128, Queued: 72, Longest: time.Second, Wanted: 1, Ready: 1}, 1},
		{"they are quick", unsaid, Sight{Busy: 200, Service: ms / 4, Wanted: 1, Ready: 1}, 1},
		{"quick, but too many", unsaid, Sight{Busy: 128, Queued: 100, Service: ms, Start: 100 * ms, Wanted: 1, Ready: 1}, 3},
		{"they are slow", unsaid, Sight{Busy: 9, Service: 50 * ms, Wanted: 1, Ready: 1}, 9},
		{"slow, and one each", unsaid, Sight{Busy: 9, Service: 50 * ms, Wanted: 9, Ready: 9, Fall: 2}, 9},
		{"what is in use stays", unsaid, Sight{Busy: 9, Wanted: 9, Ready: 9, Fall: 2}, 9},
		{"what is not goes", unsaid, Sight{Busy: 5, Wanted: 9, Ready: 9, Fall: 2}, 7},
		{"the last one is needed", unsaidDemand, Sight{Busy: 1, Ready: 1}, 1},
		{"nobody said how many, on demand", unsaidDemand, Sight{Queued: 200}, 1},
		{"spare, one serves", unsaidSpare, Sight{Busy: 1, Wanted: 2, Ready: 2}, 3},
		{"spare, many are served", unsaidSpare, Sight{Busy: 100, Wanted: 3, Ready: 3}, 3},
		{"spare beside the slow ones", unsaidSpare, Sight{Busy: 8, Service: 50 * ms, Wanted: 3, Ready: 3}, 10},

		{"needed a moment ago", upTo16, Sight{Wanted: 8, Ready: 8, Past: 8, Fall: 8}, 8},
		{"not needed for long", upTo16, Sight{Wanted: 8, Ready: 8, Past: 3, Fall: 8}, 3},
		{"a few at a time", upTo16, Sight{Wanted: 8, Ready: 8, Past: 3, Fall: 2}, 6},
		{"not yet", upTo16, Sight{Wanted: 8, Ready: 8, Past: 3}, 8},
		{"the last one, on demand", demand, Sight{Wanted: 1, Ready: 1, Fall: 1}, 0},
		{"it is needed", demand, Sight{Busy: 1, Wanted: 1, Ready: 1, Fall: 1}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Wanted(tt.r, tt.s); got != tt.want {
				t.Errorf("Wanted(%+v, %+v) = %d, want %d", tt.r, tt.s, got, tt.want)
			}
		})
	}
}

func TestFloor(t *testing.T) {
	tests := []struct {
		name  string
		r     Rule
		want  int
		fixed bool
	}{
		{"static", Rule{Min: 4, Max: 4}, 4, true},
		{"dynamic", Rule{Min: 1, Max: 4}, 1, false},
		{"on demand", Rule{Min: 0, Max: 4}, 0, false},
		{"spare", Rule{Min: 1, Max: 4, Spare: 2}, 2, false},
		{"all spare", Rule{Min: 1, Max: 4, Spare: 9}, 4, true},
		{"max wins", Rule{Min: 8, Max: 4}, 4, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, fixed := tt.r.Floor(), tt.r.Fixed(); got != tt.want || fixed != tt.fixed {
				t.Errorf("Floor, Fixed = %d, %v, want %d, %v", got, fixed, tt.want, tt.fixed)
			}
		})
	}
}

// anything returns a rule and a sight that can be, and many that cannot.
func anything(r *rand.Rand) (Rule, Sight) {
	rule := Rule{Min: r.IntN(6), Max: 1 + r.IntN(40), Spare: r.IntN(4), Per: 1 + r.IntN(5)}
	switch r.IntN(10) {
	case 0:
		rule.Per = -1
	case 1, 2, 3:
		rule.Per = 0
	}
	s := Sight{Busy: r.IntN(60), Queued: r.IntN(200), Longest: time.Duration(r.IntN(40)) * ms,
		Service: time.Duration(r.IntN(80)) * ms, Start: time.Duration(r.IntN(400)) * ms,
		Wanted: r.IntN(50), Past: r.IntN(50), Fall: r.IntN(6)}
	s.Ready = r.IntN(s.Wanted + 1)
	return rule, s
}

// What holds whatever comes.
func TestWantedProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 200_000 {
		rule, s := anything(r)
		n := Wanted(rule, s)
		is := func(ok bool, what string) {
			if !ok {
				t.Fatalf("%s: Wanted(%+v, %+v) = %d", what, rule, s, n)
			}
		}
		is(n <= rule.Max, "more than max")
		is(n >= min(rule.Min, rule.Max), "less than min")
		is(n >= min(rule.Spare, rule.Max), "less than spare")
		is(n >= min(rule.take(s.Busy), rule.Max, s.Ready), "less than what serves")
		is(n >= min(s.Past, rule.Max), "less than was needed")
		is(n >= min(s.Wanted-s.Fall, rule.Max), "more ended than may be")
		is(s.Ready > 0 || n <= max(s.Wanted, 1, rule.Floor(), s.Past), "more than one started blindly")
		is(rule.Per != 0 || s.Service > 0 || n <= max(s.Wanted, 1+rule.Spare, rule.Floor(), s.Past), "more started unmeasured")

		more := s
		more.Busy += r.IntN(3)
		more.Queued += r.IntN(20)
		more.Longest += time.Duration(r.IntN(20)) * ms
		more.Service += time.Duration(r.IntN(20)) * ms
		if s.Service == 0 {
			more.Service = 0 // not known
		}
		if m := Wanted(rule, more); m < n {
			t.Fatalf("more to do, fewer processes:\n%+v %+v: %d\n%+v: %d", rule, s, n, more, m)
		}
	}
}

// To decide the same again changes nothing.
func TestWantedIsStable(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 100_000 {
		rule, s := anything(r)
		s.Fall = 0
		s.Wanted = Wanted(rule, s)
		if again := Wanted(rule, s); again != s.Wanted && s.Ready > 0 {
			t.Fatalf("Wanted(%+v, %+v) = %d, and before %d", rule, s, again, s.Wanted)
		}
	}
}
