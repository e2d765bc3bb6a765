package process

import (
	"context"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// inWork is a pre-forking application whose child has something to finish when it
// gets the signal. Its parent ends at the first one.
const inWork = `(trap 'sleep 0.3; echo finished; exit' TERM; echo pid $$; for i in $(seq 3000); do sleep 0.01; done) & trap 'exit 0' TERM; wait; wait`

// deaf is one whose child does not listen to SIGTERM or SIGUSR1.
const deaf = `sh -c 'trap "" TERM USR1; echo pid $$; exec sleep 60' & trap 'exit 0' TERM USR1; wait; wait`

// startForked starts a pre-forking application, and returns the numbers of its
// two processes.
func startForked(t *testing.T, spec Spec) (g *Group, parent int, has func(line string) []string) {
	t.Helper()
	spec.Backoff.Min = time.Hour
	g, log := startGroup(t, spec, 1)
	untilOutput(t, g, "pid ")
	return g, g.Status()[0].PID, func(line string) []string { return log.With(line) }
}

// What is left of a process that ends as it was asked to may finish what it has;
// what is left of one that has crashed may not, for it could go on for ever.
func TestRestFinishes(t *testing.T) {
	for _, tt := range []struct {
		name     string
		end      func(t *testing.T, g *Group, pid int)
		finishes bool
	}{
		{"stop", func(t *testing.T, g *Group, _ int) { stop(t, g) }, true},
		{"retired", func(t *testing.T, g *Group, _ int) { g.Want(0) }, true},
		{"restart", func(t *testing.T, g *Group, _ int) {
			if err := g.Restart(t.Context()); err != nil {
				t.Error(err)
			}
		}, true},
		{"asked by others", func(_ *testing.T, _ *Group, pid int) { syscall.Kill(pid, syscall.SIGTERM) }, true},
		{"all asked by others", func(_ *testing.T, _ *Group, pid int) { syscall.Kill(-pid, syscall.SIGTERM) }, true},
		{"crash", func(_ *testing.T, _ *Group, pid int) { syscall.Kill(pid, syscall.SIGKILL) }, false},
		{"no time", func(_ *testing.T, g *Group, _ int) {
			ctx, cancel := context.WithCancel(context.Background())
			cancel()
			g.Stop(ctx)
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, pid, said := startForked(t, script(inWork))
			tt.end(t, g, pid)
			eventually(t, "the end", func() bool { return !groupLives(pid) })
			stop(t, g)
			if finished := len(said("text=finished")) > 0; finished != tt.finishes {
				t.Errorf("its child has finished: %v, want %v", finished, tt.finishes)
			}
		})
	}
}

// Nothing outlives a process for long: not what is deaf, and not when there is
// no time, or a second signal comes.
func TestRestEnds(t *testing.T) {
	const short = 300 * time.Millisecond
	for _, tt := range []struct {
		name     string
		timeout  time.Duration
		end      func(t *testing.T, g *Group, pid int)
		min, max time.Duration
		killed   int // said so
	}{
		{"stop", short, func(t *testing.T, g *Group, _ int) { stop(t, g) }, short, 5 * time.Second, 1},
		{"asked by others", short, func(t *testing.T, g *Group, pid int) {
			syscall.Kill(pid, syscall.SIGTERM)
			untilState(t, g, Down)
		}, short, 5 * time.Second, 1},
		{"crash", time.Hour, func(t *testing.T, g *Group, pid int) {
			syscall.Kill(pid, syscall.SIGKILL)
			untilState(t, g, Down)
		}, 0, 5 * time.Second, 0},
		{"the time is up", time.Hour, func(t *testing.T, g *Group, pid int) {
			ctx, cancel := context.WithTimeout(t.Context(), short)
			defer cancel()
			g.Stop(ctx)
		}, short, 5 * time.Second, 0},
		{"a second signal", -1, func(t *testing.T, g *Group, pid int) {
			done := make(chan error)
			go func() { done <- g.StopWith(t.Context(), syscall.SIGUSR1, -1) }()
			eventually(t, "the end of the parent", func() bool { return gone(pid) })
			g.Signal(syscall.SIGHUP)
			<-done
		}, 0, 5 * time.Second, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spec := script(deaf)
			spec.StopTimeout = tt.timeout
			g, pid, said := startForked(t, spec)
			begin := time.Now()
			tt.end(t, g, pid)
			if took := time.Since(begin); took < tt.min || took > tt.max {
				t.Errorf("it took %v, want %v to %v", took, tt.min, tt.max)
			}
			if groupLives(pid) {
				t.Error("its child is still there")
			}
			if got := append(said(`msg="process group killed"`), said(`msg="process killed"`)...); len(got) != tt.killed {
				t.Errorf("said %q, want %d lines", got, tt.killed)
			}
		})
	}
}

func TestReleases(t *testing.T) {
	exit := func(code int) syscall.WaitStatus { return syscall.WaitStatus(code << 8) }
	by := func(sig syscall.Signal) syscall.WaitStatus { return syscall.WaitStatus(sig) }
	const s = time.Second
	quit := Spec{StopSignal: syscall.SIGQUIT, StopTimeout: 3 * s}
	for _, tt := range []struct {
		name      string
		spec      Spec
		status    syscall.WaitStatus
		asked     syscall.Signal
		wantSig   syscall.Signal
		wantLimit time.Duration
		want      bool
	}{
		{"asked", Spec{}, exit(0), syscall.SIGTERM, syscall.SIGTERM, 0, true},
		{"asked, and crashed", Spec{}, by(syscall.SIGSEGV), syscall.SIGTERM, syscall.SIGTERM, 0, true},
		{"asked with another signal", quit, exit(1), syscall.SIGUSR1, syscall.SIGUSR1, 0, true},
		{"by itself", Spec{}, exit(0), 0, syscall.SIGTERM, 10 * s, true},
		{"by itself, own signal", quit, exit(0), 0, syscall.SIGQUIT, 3 * s, true},
		{"by itself, no limit", Spec{StopTimeout: -1}, exit(0), 0, syscall.SIGTERM, 10 * s, true},
		{"by the stop signal", Spec{}, by(syscall.SIGTERM), 0, syscall.SIGTERM, 10 * s, true},
		{"by another", quit, by(syscall.SIGTERM), 0, 0, 0, false},
		{"with a complaint", Spec{}, exit(1), 0, 0, 0, false},
		{"crashed", Spec{}, by(syscall.SIGSEGV), 0, 0, 0, false},
	} {
		sig, limit, ok := tt.spec.releases(tt.status, tt.asked)
		if sig != tt.wantSig || limit != tt.wantLimit || ok != tt.want {
			t.Errorf("%s: releases(%#x, %v) = %v, %v, %v, want %v, %v, %v", tt.name, uint32(tt.status), tt.asked, sig, limit, ok, tt.wantSig, tt.wantLimit, tt.want)
		}
	}
}

// A process that is dead takes no requests, whatever it has left; and while that
// has something to finish, nobody waits in the queue of its socket.
func TestDeadIsNotReady(t *testing.T) {
	spec := script(deaf)
	spec.StopTimeout, spec.Refusal = time.Minute, []byte("not now")
	g, pid, _ := startForked(t, spec)
	at := untilState(t, g, Ready) // else the list is without it already
	m := taking(g)
	syscall.Kill(pid, syscall.SIGTERM) // from somebody else
	eventually(t, "the list without it", func() bool { members := taking(g); return len(members) == 0 })
	if st := g.Status()[0]; !st.Dead || st.PID != at.PID {
		t.Errorf("Status = %+v, want process %d, dead", st, at.PID)
	}
	eventually(t, "a refusal", func() bool {
		c, err := net.Dial("unix", m[0].Address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		c.SetDeadline(time.Now().Add(50 * time.Millisecond))
		b, _ := io.ReadAll(c)
		return string(b) == "not now"
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := g.Stop(ctx); err != nil { // which ends what is left
		t.Error(err)
	}
}

// The pause after the budget of kills is used up is in the outlook.
func TestOutlookOfKilled(t *testing.T) {
	var o Outlook
	spec := Spec{Backoff: Backoff{Min: 2 * time.Second}}
	inBubble(t, spec, 1, func(n int, f *fake) string {
		close(f.ready)
		time.Sleep(2 * killedReady)
		return killedWord
	}, func(t *testing.T, g *Group, st *stage) {
		for range 10000 {
			time.Sleep(killedReady / 10)
			if o = expecting(g); !o.Next.IsZero() && time.Until(o.Next) > 0 {
				return
			}
		}
		t.Errorf("Outlook = %+v, want that the next process is due", o)
	})
}
