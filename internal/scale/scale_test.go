package scale

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

var noon = time.Date(2000, 1, 1, 12, 0, 0, 0, time.UTC)

// A walk shows a Scale one load after the other.
type walk struct {
	t   *testing.T
	s   *Scale
	now time.Time
}

func begin(t *testing.T, r Rule) *walk { return &walk{t, New(r, r.Floor(), noon), noon} }

func (w *walk) look(after time.Duration, l Load) Advice {
	w.now = w.now.Add(after)
	return w.s.Look(w.now, l)
}

func (w *walk) want(what string, after time.Duration, l Load, want Advice) {
	w.t.Helper()
	if got := w.look(after, l); got != want {
		w.t.Fatalf("%s: %+v, want %+v", what, got, want)
	}
}

const never = time.Duration(0)

// Two hundred come at once and find nobody. One process is started; when it
// is ready it may show what it does, and what remains decides.
func TestOnDemand(t *testing.T) {
	rule := Rule{Max: 16, Per: 1, Idle: 16 * time.Second}
	first := func(t *testing.T) *walk {
		w := begin(t, rule)
		w.want("nobody", 0, Load{}, Advice{0, 0, never})
		w.want("the first", time.Hour, Load{Queued: 1}, Advice{1, 1, time.Second})
		w.want("all of them", 20*ms, Load{Queued: 200, Longest: 20 * ms}, Advice{1, 1, 980 * ms})
		w.want("it is ready", 40*ms, Load{Busy: 1, Peak: 1, Queued: 199, Longest: 60 * ms, Ready: 1}, Advice{1, 1, 60 * ms})
		return w
	}
	t.Run("quick", func(t *testing.T) {
		w := first(t)
		w.want("a part is done", 60*ms, Load{Busy: 1, Peak: 1, Queued: 19, Longest: 120 * ms, Ended: 180, Ready: 1}, Advice{1, 1, Patience})
		w.want("all is done", 10*ms, Load{Peak: 1, Ended: 200, Ready: 1}, Advice{1, 1, 870 * ms})
	})
	t.Run("slow", func(t *testing.T) {
		w := first(t)
		w.want("one is done", 60*ms, Load{Busy: 1, Peak: 1, Queued: 198, Longest: 120 * ms, Ended: 1, Ready: 1}, Advice{16, math.MaxInt, 880 * ms})
	})
	t.Run("never ready", func(t *testing.T) {
		w := begin(t, rule)
		for range 1000 {
			if a := w.look(100*ms, Load{Queued: 200, Longest: time.Second}); a.Want != 1 {
				t.Fatalf("%+v while the first does not come up, want 1", a)
			}
		}
	})
}

// What is needed now and then within Idle stays; what is not goes, the first
// ones after Idle and the others a few at a time.
func TestDown(t *testing.T) {
	const idle = 16 * time.Second
	w := begin(t, Rule{Min: 1, Max: 16, Per: 1, Idle: idle})
	w.look(0, Load{Ready: 1})
	w.look(time.Second, Load{Busy: 1, Peak: 1, Queued: 15, Longest: 20 * ms, Ready: 1})
	if w.s.wanted != 16 {
		t.Fatalf("%d wanted, want 16", w.s.wanted)
	}
	for range 10 {
		if a := w.look(idle-time.Second, Load{Peak: 16, Ready: 16}); a.Want != 16 {
			t.Fatalf("%+v, though 16 served once in %v, want 16", a, idle)
		}
	}
	last := w.now
	var steps []int
	for a := (Advice{Want: 16, Again: time.Second}); a.Again > 0; {
		before := a.Want
		a = w.look(a.Again, Load{Busy: 1, Peak: 2, Ready: a.Want})
		if a.Want != before {
			if len(steps) == 0 && w.now.Sub(last) < idle {
				t.Errorf("the first are ended after %v, want %v or more", w.now.Sub(last), idle)
			}
			steps = append(steps, a.Want)
		}
		if a.Want == 2 {
			break
		}
		if w.now.Sub(last) > 2*idle {
			t.Fatalf("after %v there are %d", w.now.Sub(last), a.Want)
		}
	}
	if want := []int{12, 9, 7, 6, 5, 4, 3, 2}; !slices.Equal(steps, want) {
		t.Errorf("%v remain step by step, want %v", steps, want)
	}
}

// Nobody has said how many requests a process takes: it is given as many as come,
// and what it makes of them decides.
func TestUnsaid(t *testing.T) {
	rule := Rule{Min: 1, Max: 16, Idle: 16 * time.Second}
	crowd := func(t *testing.T) *walk {
		w := begin(t, rule)
		w.want("it is ready", 100*ms, Load{Ready: 1}, Advice{1, 1, never})
		w.look(time.Second, Load{Ready: 1}) // it has shown what it does
		w.want("one", 0, Load{Busy: 1, Peak: 1, Ready: 1}, Advice{1, 1, never})
		w.want("two hundred", 0, Load{Busy: 200, Peak: 200, Ready: 1}, Advice{1, math.MaxInt, Patience})
		return w
	}
	t.Run("together", func(t *testing.T) {
		w := crowd(t)
		for range 9 {
			w.want("none has ended", 10*ms, Load{Busy: 200, Peak: 200, Ready: 1}, Advice{1, math.MaxInt, Patience})
		}
		w.want("all have", 10*ms, Load{Peak: 200, Ended: 200, Ready: 1}, Advice{1, math.MaxInt, Patience})
		w.want("it is over", 10*ms, Load{Ended: 200, Ready: 1}, Advice{1, 1, never})
	})
	t.Run("one after the other, quick", func(t *testing.T) {
		w := crowd(t)
		for ended := 20; ended < 200; ended += 20 {
			w.want("twenty more have ended", 10*ms, Load{Busy: 200 - ended, Peak: 220 - ended, Ended: uint64(ended), Ready: 1}, Advice{1, math.MaxInt, Patience})
		}
	})
	t.Run("one after the other, slow", func(t *testing.T) {
		w := crowd(t)
		for range 9 {
			w.look(10*ms, Load{Busy: 200, Peak: 200, Ready: 1})
		}
		if a := w.look(10*ms, Load{Busy: 199, Peak: 200, Ended: 1, Ready: 1}); a.Want != 16 {
			t.Errorf("one of two hundred ended in %v: %+v, want 16", 100*ms, a)
		}
		if a := w.look(time.Second, Load{Busy: 16, Peak: 20, Ended: 184, Ready: 16}); a.Want != 16 {
			t.Errorf("one each: %+v, want 16 as before", a)
		}
	})
	t.Run("none ends", func(t *testing.T) {
		w := crowd(t)
		for d := 10 * ms; d < 100*ms; d += 10 * ms {
			if a := w.look(10*ms, Load{Busy: 3, Peak: 3, Ready: 1}); a.Want != 1 {
				t.Errorf("%v: %+v, want 1", d, a)
			}
		}
		w.want("for as long as a process takes to start", 10*ms, Load{Busy: 3, Peak: 3, Ready: 1}, Advice{3, math.MaxInt, Patience})
		w.want("when they are there", 100*ms, Load{Busy: 3, Peak: 3, Ready: 3}, Advice{3, 3, 700 * ms})
	})
}

func TestProcessesStay(t *testing.T) {
	w := begin(t, Rule{Max: 4, Per: 1, Idle: -1})
	w.look(0, Load{Queued: 1})
	w.want("after a day", 24*time.Hour, Load{Ready: 1}, Advice{1, 1, never})
}

func TestAlarm(t *testing.T) {
	tests := []struct {
		name string
		r    Rule
		l    Load
		want int
	}{
		{"on demand", Rule{Max: 4, Per: 1}, Load{}, 0},
		{"one", Rule{Min: 1, Max: 4, Per: 1}, Load{Ready: 1}, 1},
		{"spare", Rule{Min: 3, Max: 9, Spare: 2, Per: 4}, Load{Ready: 3}, 4},
		{"all spare", Rule{Min: 2, Max: 9, Spare: 2, Per: 4}, Load{Ready: 2}, 0},
		{"max", Rule{Min: 2, Max: 2, Per: 1}, Load{Ready: 2}, math.MaxInt},
		{"as many as come", Rule{Min: 1, Max: 2, Per: -1}, Load{Ready: 1}, math.MaxInt},
		{"as many as come, none there", Rule{Max: 2, Per: -1}, Load{}, 0},
		{"more already", Rule{Min: 1, Max: 99, Per: 1}, Load{Busy: 70, Ready: 1}, 70},
		{"nobody said how many", Rule{Min: 2, Max: 99}, Load{Busy: 1, Ready: 2}, 2},
		{"none there", Rule{Max: 99}, Load{}, 0},
		{"one more than processes", Rule{Min: 2, Max: 99}, Load{Busy: 3, Ready: 2}, math.MaxInt},
		{"a moment ago", Rule{Min: 2, Max: 99}, Load{Peak: 3, Ready: 2}, math.MaxInt},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := begin(t, tt.r).look(0, tt.l).Alarm; got != tt.want {
				t.Errorf("Alarm = %d, want %d", got, tt.want)
			}
		})
	}
}

// Where there is nothing to do, nobody looks.
func TestSleeps(t *testing.T) {
	for _, r := range []Rule{
		{Max: 4, Idle: time.Minute}, {Min: 1, Max: 4, Spare: 1, Idle: time.Minute},
		{Max: 4, Per: 1, Idle: time.Minute}, {Min: 2, Max: 4, Per: 1, Idle: time.Minute}, {Min: 1, Max: 4, Spare: 1, Per: 1, Idle: time.Minute},
	} {
		w := begin(t, r)
		a := w.look(0, Load{Ready: r.Floor()})
		if a.Again != 0 || a.Want != r.Floor() {
			t.Errorf("%+v: %+v, want to sleep", r, a)
		}
		a = w.look(time.Hour, Load{Busy: 3, Peak: 3, Ready: r.Floor()})
		for n := 0; a.Again > 0; n++ {
			if n > 100 {
				t.Fatalf("%+v: %+v after %d looks, want to sleep", r, a, n)
			}
			a = w.look(a.Again, Load{Ready: a.Want})
		}
		if a.Want != r.Floor() {
			t.Errorf("%+v: sleeps with %d processes, want %d", r, a.Want, r.Floor())
		}
	}
}

// Advice can always be followed: it does not ask to look again at once.
func TestAgain(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		rule, _ := anything(r)
		rule.Idle = time.Duration(1+r.IntN(1000)) * time.Second
		w := begin(t, rule)
		var l Load
		for range 200 {
			a := w.look(time.Duration(r.IntN(1e9)), l)
			if a.Again < 0 || a.Again > rule.Idle {
				t.Fatalf("%+v, %+v: look again after %v", rule, l, a.Again)
			}
			if a.Alarm < l.Busy {
				t.Fatalf("%+v, %+v: an alarm at %d rings at once", rule, l, a.Alarm)
			}
			l = Load{Busy: r.IntN(20), Queued: max(0, r.IntN(40)-20), Longest: time.Duration(r.IntN(1e8)), Ended: l.Ended + uint64(r.IntN(50)), Ready: r.IntN(a.Want + 1)}
			l.Peak = l.Busy + r.IntN(3)
		}
	}
}

func TestMeter(t *testing.T) {
	var m meter
	now := noon
	look := func(what string, after time.Duration, l Load, want time.Duration) {
		t.Helper()
		now = now.Add(after)
		if got := m.look(now, l, 50*ms); got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	look("nobody waits", 0, Load{Busy: 4, Ended: 100}, 0)
	look("the queue begins", 10*ms, Load{Busy: 4, Queued: 1, Ended: 110}, 0)
	look("20 have ended", 10*ms, Load{Busy: 4, Queued: 9, Ended: 130}, 2*ms)
	look("too soon to tell", ms, Load{Busy: 4, Queued: 9, Ended: 130}, 2*ms)
	look("none have ended", 9*ms, Load{Busy: 4, Queued: 9, Ended: 130}, 10*ms)
	look("nor later", 10*ms, Load{Busy: 4, Queued: 9, Ended: 130}, 20*ms)
	look("8 have", 20*ms, Load{Busy: 4, Queued: 9, Ended: 138}, 20*ms)
	look("long ago", time.Minute, Load{Busy: 4, Queued: 9, Ended: 9999}, 0)
	look("and now", 10*ms, Load{Busy: 4, Queued: 9, Ended: 10039}, ms)
	look("nobody serves", 10*ms, Load{Queued: 9, Ended: 10040}, 0)
}

// A process that has more than one request is taken to serve one after the
// other, and is measured only for as long as it may need to end some together.
func TestMeterOfMany(t *testing.T) {
	m := meter{shared: true}
	now := noon
	look := func(what string, after time.Duration, l Load, want time.Duration) {
		t.Helper()
		now = now.Add(after)
		if got := m.look(now, l, 50*ms); got != want {
			t.Errorf("%s: %v, want %v", what, got, want)
		}
	}
	look("one each", 0, Load{Busy: 2, Ready: 2, Ended: 100}, 0)
	look("more", 10*ms, Load{Busy: 8, Ready: 2, Ended: 110}, 0)
	look("too soon to tell", 40*ms, Load{Busy: 8, Ready: 2, Ended: 111}, 0)
	look("20 have ended", 10*ms, Load{Busy: 8, Ready: 2, Ended: 130}, 5*ms)
	look("none, for a moment", 40*ms, Load{Busy: 8, Ready: 2, Ended: 130}, 5*ms)
	look("none, for long", 20*ms, Load{Busy: 8, Ready: 2, Ended: 130}, 60*ms)
	look("one, after long", 190*ms, Load{Busy: 8, Ready: 2, Ended: 131}, 500*ms)
	look("what has just come has served nothing", 50*ms, Load{Busy: 9, Ready: 8, Ended: 141}, 10*ms)
	look("long ago", time.Minute, Load{Busy: 9, Ready: 8, Ended: 9999}, 0)
	look("one each again", 50*ms, Load{Busy: 8, Ready: 8, Ended: 10039}, 0)
	look("in the queue", 10*ms, Load{Busy: 8, Queued: 1, Ready: 8, Ended: 10039}, 0)
	look("the same", 100*ms, Load{Busy: 8, Queued: 1, Ready: 8, Ended: 10139}, 8*ms)
}

func TestPast(t *testing.T) {
	p := past{part: time.Second, turn: noon}
	at := func(d time.Duration) { p.advance(noon.Add(d)) }
	p.note(5)
	at(500 * ms)
	p.note(3)
	at(buckets * time.Second)
	if got := p.max(); got != 5 {
		t.Errorf("max = %d after %d parts, want 5", got, buckets)
	}
	p.note(2)
	at((buckets + 1) * time.Second)
	if got := p.max(); got != 2 {
		t.Errorf("max = %d after one more, want 2", got)
	}
	at(time.Hour)
	if got := p.max(); got != 0 {
		t.Errorf("max = %d after an hour, want 0", got)
	}
}
