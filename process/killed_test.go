package process

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestTally(t *testing.T) {
	const s, least = time.Second, 7 * time.Second
	every := func(d time.Duration, n int) []time.Duration { return slices.Repeat([]time.Duration{d}, n) }
	tests := []struct {
		name  string
		after []time.Duration // of the kill before
		paced int             // how many of them are followed by a pause
		last  time.Duration   // the pause after the last one
	}{
		{"the first", every(time.Hour, 1), 0, 0},
		{"as many as are free, at once", every(0, killedFree), 0, 0},
		{"one more", every(0, killedFree+1), 1, least},
		{"one more, when one is nearly forgotten", append(every(0, killedFree), killedForget-1), 1, least},
		{"one more, when one is forgotten", append(every(0, killedFree), killedForget), 0, 0},
		{"two more, when one is forgotten", append(every(0, killedFree), killedForget, 0), 1, least},
		{"two more, when two are forgotten", append(every(0, killedFree), 2*killedForget, 0), 0, 0},
		{"after a time in which all are forgotten, as many again", append(every(0, killedFree), append([]time.Duration{time.Hour}, every(0, killedFree-1)...)...), 0, 0},
		{"one now and then, for ever", every(killedForget, 1000), 0, 0},
		{"one a second, for ever", every(s, 1000), 1000 - killedFree - 999/10, least}, // those that are forgotten are free again
		{"out of memory after 1.1 s, for ever", every(11*s/10, 1000), 1000 - killedFree - 1098/10, least},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var k tally
			now := time.Date(2000, 1, 1, 12, 0, 0, 0, time.UTC)
			paced, last := 0, time.Duration(0)
			for _, d := range tt.after {
				now = now.Add(d)
				if k, last = k.another(now, least); last > 0 {
					paced++
				}
			}
			if paced != tt.paced || last != tt.last {
				t.Errorf("%d of %d kills are followed by a pause, the last by %v, want %d, %v", paced, len(tt.after), last, tt.paced, tt.last)
			}
		})
	}
}

// A process that is killed from outside is followed by another one at once, if it
// had been ready for a moment: not for ever, but it is never given up.
func TestKilled(t *testing.T) {
	tests := []struct {
		name   string
		ready  time.Duration // how long each is
		starts int           // in 100 seconds
		loop   bool
	}{
		{"after a moment", killedReady, 129, false},
		{"after 1.1 seconds", 1100 * time.Millisecond, 68, false},
		{"young", killedReady - 1, 6, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, st, log := withFakes(t, Spec{}, func(_ int, f *fake) string {
					close(f.ready)
					time.Sleep(tt.ready)
					return killedWord
				})
				if err := g.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(100 * time.Second)
				starts := st.starts()
				if len(starts) != tt.starts {
					t.Errorf("%d starts, want %d", len(starts), tt.starts)
				}
				if at := time.Duration(killedFree) * tt.ready; !tt.loop && !slices.Contains(starts, at) {
					t.Errorf("no start at %v: there was a pause before that", at)
				}
				if loop := len(log.With("keeps dying")) > 0; loop != tt.loop {
					t.Errorf("a crash loop: %v, want %v", loop, tt.loop)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				g.Stop(ctx)
				time.Sleep(never)
			})
		})
	}
}
