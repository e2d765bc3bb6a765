package process

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// That a process is ready is noticed soon, beside the time that its start took,
// and it is not asked all the time.
func TestProbe(t *testing.T) {
	const ms = time.Millisecond
	tests := []struct {
		start, late time.Duration
		most        int // questions
	}{
		{0, 0, 1}, {3 * ms, 5 * ms, 2}, {40 * ms, 5 * ms, 10}, {100 * ms, 13 * ms, 18}, {time.Second, 25 * ms, 60}, {30 * time.Second, 25 * ms, 1300},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			begin, asked := time.Now(), 0
			ready := probe(t.Context(), func() bool { asked++; return time.Since(begin) >= tt.start })
			if late := time.Since(begin) - tt.start; !ready || late > tt.late || asked > tt.most {
				t.Errorf("ready after %v: %v, %v late, asked %d times, want at most %v and %d", tt.start, ready, late, asked, tt.late, tt.most)
			}
		})
	}
}

func TestProbeIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		if probe(ctx, func() bool { return false }) || time.Since(begin) != time.Minute {
			t.Errorf("it has asked for %v, want a minute", time.Since(begin))
		}
	})
}
