package spawn

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/process"
)

func TestScale(t *testing.T) {
	s := scale{min: 1, max: 12, n: 1}
	see := func(wait time.Duration, times int) int {
		for range times {
			s = s.see(wait)
		}
		return s.n
	}
	for _, tt := range []struct {
		wait        time.Duration
		times, want int
	}{
		{busyAfter, 1, 2}, {busyAfter, 1, 3}, // a little too few
		{longWait, 1, 6}, {longWait, 1, 12}, {longWait, 3, 12}, // far too few: as many again
		{busyAfter - 1, quietLooks - 1, 12}, {0, 1, 11},
		{0, quietLooks - 1, 11}, {busyAfter, 1, 12}, {0, 50 * quietLooks, 1},
	} {
		if got := see(tt.wait, tt.times); got != tt.want {
			t.Fatalf("after %d times %v: %d processes, want %d", tt.times, tt.wait, got, tt.want)
		}
	}
}

// A wait says that there are too few processes only if they all work.
func TestMeasurementSays(t *testing.T) {
	now := time.Now()
	ago := func(d time.Duration, s process.Status) process.Status {
		s.Started = now.Add(-d)
		return s
	}
	const start = 100 * time.Millisecond
	works := ago(time.Minute, process.Status{State: process.Ready})
	for _, tt := range []struct {
		name  string
		other process.Status
		want  bool
	}{
		{"works", works, true},
		{"works again after deaths", ago(time.Minute, process.Status{State: process.Ready, Deaths: 3, Restarts: 3}), true},
		{"is in a pause after a death", ago(0, process.Status{State: process.Down, Deaths: 1}), false},
		{"keeps dying", ago(0, process.Status{State: process.CrashLoop, Deaths: 5}), false},
		{"has died and is tried again", ago(2*start, process.Status{State: process.Starting, Deaths: 1, Restarts: 1}), false},
		{"has done its share", ago(0, process.Status{State: process.Down, Restarts: 5}), true},
		{"follows one that has", ago(0, process.Status{State: process.Starting, Restarts: 5}), true},
		{"has just been started", ago(start/2, process.Status{State: process.Starting}), false},
		{"was started a while ago", ago(2*start, process.Status{State: process.Starting}), true},
	} {
		views := []process.Status{works, tt.other}
		if got := (measurement{busyAfter, start}).says(views, now); got != tt.want {
			t.Errorf("a wait while one of them %s says something: %v, want %v", tt.name, got, tt.want)
		}
		if !(measurement{0, start}).says(views, now) {
			t.Errorf("no wait while one of them %s says nothing", tt.name)
		}
	}
}
