package pool

import (
	"strings"
	"testing"
	"time"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// A state describes a worker in a test: its load of 2, and for how many
// seconds it cools down.
type state struct{ load, cooling int }

const atThisMoment = -1000

func workers(states []state) []*Worker {
	var ws []*Worker
	for i, s := range states {
		w := &Worker{address: string(rune('a' + i))}
		w.load.Store(int64(s.load))
		w.max.Store(2)
		switch s.cooling {
		case 0:
		case atThisMoment:
			w.health = health{1, noon}
		default:
			w.health = health{1, noon.Add(time.Duration(s.cooling) * time.Second)}
		}
		ws = append(ws, w)
	}
	return ws
}

func TestChoose(t *testing.T) {
	tests := []struct {
		name    string
		workers []state
		tried   string
		ready   string
		last    string
		better  bool
		all     bool // tried
		returns int  // seconds; 0: never
	}{
		{"no workers", nil, "", "", "", false, false, 0},
		{"all free", []state{{0, 0}, {1, 0}}, "", "ab", "", true, false, 0},
		{"one full", []state{{2, 0}, {1, 0}}, "", "b", "", true, false, 0},
		{"over full, after its limit was lowered", []state{{3, 0}, {1, 0}}, "", "b", "", true, false, 0},
		{"all full", []state{{2, 0}, {2, 0}}, "", "", "", true, false, 0},
		{"one cooling down", []state{{0, 5}, {1, 0}}, "", "b", "a", true, false, 5},
		{"cooled down", []state{{0, -5}, {1, 0}}, "", "ab", "", true, false, 0},
		{"cooled down at this moment", []state{{0, atThisMoment}, {1, 0}}, "", "ab", "", true, false, 0},
		{"all cooling down: the first to return", []state{{0, 5}, {1, 3}, {0, 4}}, "", "", "b", false, false, 3},
		{"all cooling down, the first to return is full", []state{{0, 5}, {2, 3}, {0, 4}}, "", "", "c", false, false, 4},
		{"a better one is busy", []state{{0, 5}, {2, 0}}, "", "", "a", true, false, 5},
		{"all cooling down and full", []state{{2, 5}, {2, 3}}, "", "", "", false, false, 0},
		{"one tried", []state{{0, 0}, {1, 0}}, "a", "b", "", true, false, 0},
		{"one tried, the other full", []state{{0, 0}, {2, 0}}, "a", "", "", true, false, 0},
		{"one tried, the other cooling down", []state{{0, 0}, {0, 5}}, "a", "", "b", false, false, 5},
		{"all tried", []state{{0, 0}, {0, 0}, {0, 5}}, "abc", "", "", false, true, 5},
		{"none, one tried", nil, "a", "", "", false, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ws := workers(tt.workers)
			var tried Tried
			for _, c := range tt.tried {
				w := &Worker{}
				if i := int(c - 'a'); i < len(ws) {
					w = ws[i]
				}
				tried.add(Lease{w: w, turn: 1})
			}
			c := choose(make([]*Worker, 0, len(ws)), ws, &tried, noon)
			if got := names(c.ready); got != tt.ready {
				t.Errorf("ready = %q, want %q", got, tt.ready)
			}
			if got := names([]*Worker{c.last}); got != tt.last {
				t.Errorf("last = %q, want %q", got, tt.last)
			}
			if c.tried != tt.all || c.better != tt.better {
				t.Errorf("tried = %v, better = %v, want %v, %v", c.tried, c.better, tt.all, tt.better)
			}
			seconds := 0
			if at := next(ws, new(queue), Cooldown{Min: time.Hour, Max: time.Hour}, noon); !at.IsZero() {
				seconds = int(at.Sub(noon) / time.Second)
			}
			if seconds != tt.returns {
				t.Errorf("returns in %d s, want %d", seconds, tt.returns)
			}
		})
	}
}

// Without a time no worker is cooling down, whatever is left in it.
func TestChooseWithoutTime(t *testing.T) {
	ws := workers([]state{{0, 5}, {0, 0}})
	if got := names(choose(nil, ws, nil, time.Time{}).ready); got != "ab" {
		t.Errorf("ready = %q, want %q", got, "ab")
	}
}

func names(ws []*Worker) string {
	var b strings.Builder
	for _, w := range ws {
		if w != nil {
			b.WriteString(w.address)
		}
	}
	return b.String()
}

func TestFair(t *testing.T) {
	tests := []struct {
		name string
		load []int64
		used []uint64
		want int
	}{
		{"least load", []int64{3, 1, 2}, []uint64{1, 9, 2}, 1},
		{"equal load: unused the longest", []int64{1, 1, 1}, []uint64{7, 9, 4}, 2},
		{"new before used", []int64{0, 0}, []uint64{5, 0}, 1},
		{"load counts before use", []int64{0, 1}, []uint64{9, 0}, 0},
		{"all alike: the first", []int64{0, 0}, []uint64{0, 0}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var ws []*Worker
			for i := range tt.load {
				w := &Worker{used: tt.used[i]}
				w.load.Store(tt.load[i])
				ws = append(ws, w)
			}
			if got := (Fair{}).Pick(0, ws); got != tt.want {
				t.Errorf("Pick = %d, want %d", got, tt.want)
			}
		})
	}
}

func TestTried(t *testing.T) {
	ws := workers(make([]state, 5))
	var tried Tried
	for i, w := range ws {
		if tried.has(w) {
			t.Errorf("has(%s) before it was added", w.address)
		}
		tried.add(Lease{w: w, turn: uint64(10 + i)})
		if !tried.has(w) {
			t.Errorf("has(%s) = false after it was added", w.address)
		}
	}
	for _, w := range []*Worker{ws[0], ws[4]} {
		w.born = 20 // it left and came back after the attempt
		if tried.has(w) {
			t.Errorf("has(%s) of a worker that is new, want false", w.address)
		}
	}
}
