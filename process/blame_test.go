package process

import (
	"context"
	"syscall"
	"testing"
	"time"
)

// It is known of a process whether somebody has killed it, or how it ended
// otherwise; and what was before does not count.
func TestKilledSince(t *testing.T) {
	for _, tt := range []struct {
		signal syscall.Signal
		want   bool
	}{{syscall.SIGKILL, true}, {syscall.SIGSEGV, false}} {
		spec := self("serve")
		spec.Backoff.Min = time.Hour
		g, _ := startGroup(t, spec, 1)
		st := untilState(t, g, Ready)
		m := taking(g)
		since := time.Now()
		told := make(chan bool, 1)
		go func() { told <- g.Killed(t.Context(), m[0].Network, m[0].Address, since) }()
		syscall.Kill(st.PID, tt.signal)
		if got := <-told; got != tt.want {
			t.Errorf("%v: killed %v, want %v", tt.signal, got, tt.want)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if g.Killed(ctx, m[0].Network, m[0].Address, time.Now()) {
			t.Errorf("%v: killed again", tt.signal)
		}
		if g.Killed(ctx, m[0].Network, "elsewhere", since) {
			t.Error("killed at an address that there is not")
		}
		g.Want(0) // its slot goes, and it is known still
		eventually(t, "no slot", func() bool { return len(g.Status()) == 0 })
		if got := g.Killed(ctx, m[0].Network, m[0].Address, since); got != tt.want {
			t.Errorf("%v, without a slot: killed %v, want %v", tt.signal, got, tt.want)
		}
		stop(t, g)
	}
}
