package process

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// obedient returns a play of processes that are ready after a while and end
// at the first signal.
func obedient(startUp time.Duration) func(int, *fake) string {
	return func(_ int, f *fake) string {
		time.Sleep(startUp)
		close(f.ready)
		return f.obey()
	}
}

// obey waits for a signal; it is there until the end of the bubble's time.
func (f *fake) obey() string {
	select {
	case <-f.signals:
	case <-time.After(never):
	}
	return "exit status 0"
}

// A census is what Watch has told, one line for each time.
type census struct {
	lines []string
	end   func()
}

// watch notes the processes of a group that take requests, until the end of the
// test.
func watch(t *testing.T, g *Group) *census {
	ctx, cancel := context.WithCancel(t.Context())
	begin := time.Now()
	c := new(census)
	done := make(chan struct{})
	go func() {
		defer close(done)
		g.Watch(ctx, func(ms []Member, _ Outlook) {
			line := fmt.Sprint(time.Since(begin), ":")
			for _, m := range ms {
				line += fmt.Sprint(" ", m.Slot)
			}
			c.lines = append(c.lines, line)
		})
	}()
	c.end = func() { cancel(); <-done }
	return c
}

func (c *census) want(t *testing.T, want ...string) {
	t.Helper()
	c.end()
	if !slices.Equal(c.lines, want) {
		t.Errorf("slots that took requests\n%q, want\n%q", c.lines, want)
	}
}

// inBubble runs a test with a group of fakes that is started, and stops it.
func inBubble(t *testing.T, spec Spec, slots int, play func(int, *fake) string, test func(t *testing.T, g *Group, st *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		g, st, _ := manyFakes(t, spec, slots, play)
		if err := g.Start(); err != nil {
			t.Fatal(err)
		}
		test(t, g, st)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		g.Stop(ctx)
		time.Sleep(never)
	})
}

func TestWant(t *testing.T) {
	inBubble(t, Spec{}, 0, obedient(time.Second), func(t *testing.T, g *Group, st *stage) {
		c := watch(t, g)
		time.Sleep(10 * time.Second)
		for _, n := range []int{1, 2, 1, 0, 1} {
			g.Want(n)
			time.Sleep(10 * time.Second)
		}
		g.Want(2)
		g.Want(1) // before it was ready
		time.Sleep(10 * time.Second)
		c.want(t, "0s:", "11s: 0", "21s: 0 1", "30s: 0", "40s:", "51s: 0")
		if n := len(g.Status()); n != 1 {
			t.Errorf("%d slots are left, want 1", n)
		}
	})
}

// A process that is not wanted any more gets its stop signal when nobody talks
// to it, and not before.
func TestDrain(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name string
		idle time.Duration // until nobody talks to it
		spec Spec
		stop time.Duration // the group is stopped after this; 0: later
		want string        // what it is told
	}{
		{"at once", 0, Spec{}, 0, "SIGTERM 10s"},
		{"later", 20 * s, Spec{}, 0, "SIGTERM 30s"},
		{"never", never, Spec{DrainTimeout: 40 * s}, 0, "SIGTERM 50s"},
		{"never, with the default", never, Spec{}, 0, "SIGTERM 1m10s"},
		{"never, without a limit", never, Spec{DrainTimeout: -1}, 2000 * s, "SIGTERM 33m20s"},
		{"the group ends", never, Spec{}, 30 * s, "SIGTERM 30s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var left Member
			tt.spec.Idle = func(ctx context.Context, m Member) {
				left = m
				select {
				case <-time.After(tt.idle):
				case <-ctx.Done():
				}
			}
			synctest.Test(t, func(t *testing.T) {
				g, st, _ := manyFakes(t, tt.spec, 1, obedient(0))
				if err := g.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(10 * s)
				g.Want(0)
				if tt.stop == 0 {
					tt.stop = 200 * s
				}
				time.Sleep(tt.stop - 10*s)
				if err := g.Stop(t.Context()); err != nil {
					t.Error(err)
				}
				if told := st.told(0); told != tt.want {
					t.Errorf("the process was told %q, want %q", told, tt.want)
				}
				if left.PID != 100 || left.Network != "unix" {
					t.Errorf("Idle was asked about %+v", left)
				}
				time.Sleep(never)
			})
		})
	}
}

// The group asks what its processes have to do when it has to choose among
// them, and not before.
func TestWantGoesByLoad(t *testing.T) {
	load := map[int]int{0: 1, 1: 0, 2: 1} // by slot
	asked := 0
	spec := Spec{Load: func(m Member) int {
		if asked++; m.PID == 0 || m.Address == "" {
			t.Errorf("asked about %+v", m)
		}
		return load[m.Slot]
	}}
	inBubble(t, spec, 3, obedient(time.Second), func(t *testing.T, g *Group, st *stage) {
		time.Sleep(10 * time.Second)
		g.Want(3)
		if asked != 0 {
			t.Errorf("asked %d times while there was nothing to choose", asked)
		}
		g.Want(2)
		time.Sleep(10 * time.Second)
		if ready := taking(g); len(ready) != 2 || ready[0].Slot != 0 || ready[1].Slot != 2 {
			t.Errorf("%v take requests, want slots 0 and 2, which have some", ready)
		}
	})
}

// A process that drains and dies is not replaced, and nobody waits for it.
func TestDiesWhileDraining(t *testing.T) {
	idle := func(ctx context.Context, _ Member) { <-ctx.Done() }
	play := func(_ int, f *fake) string { close(f.ready); time.Sleep(time.Minute); return "exit status 1" }
	inBubble(t, Spec{Idle: idle, DrainTimeout: -1}, 1, play, func(t *testing.T, g *Group, st *stage) {
		time.Sleep(time.Second)
		g.Want(0)
		time.Sleep(time.Hour)
		if st.count() != 1 || len(g.Status()) != 0 {
			t.Errorf("%d processes, %+v", st.count(), g.Status())
		}
	})
}

func TestRestart(t *testing.T) {
	inBubble(t, Spec{}, 2, func(n int, f *fake) string { return obedient(time.Duration(1+f.slot%2)*time.Second)(n, f) }, func(t *testing.T, g *Group, st *stage) {
		c := watch(t, g)
		time.Sleep(10 * time.Second)
		begin := time.Now()
		if err := g.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("it took %v, want 2s", took)
		}
		time.Sleep(time.Minute)
		c.want(t, "0s:", "1s: 0", "2s: 0 1", "11s: 0 2", "12s: 2 3")
	})
}

// Whatever is wrong with a new generation, the old one goes on.
func TestRestartFails(t *testing.T) {
	dead := func(f *fake) string { time.Sleep(time.Second); return "exit status 7" }
	tests := []struct {
		name string
		new  func(n int, f *fake) string // of the processes after the first two
		ctx  time.Duration
		want string
	}{
		{"they die", func(_ int, f *fake) string { return dead(f) }, never,
			"process: start app: restart: a new process ended before it was ready, the old ones stay: exit status 7: "},
		{"one does", func(n int, f *fake) string {
			if n%2 == 0 {
				return dead(f)
			}
			return obedient(0)(n, f)
		}, never, "process: start app: restart: a new process ended before it was ready, the old ones stay: exit status 7: "},
		{"they are not ready in time", func(_ int, f *fake) string { return f.obey() }, 20 * time.Second,
			"process: start app: restart: context deadline exceeded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			play := func(n int, f *fake) string {
				if n < 2 {
					return obedient(0)(n, f)
				}
				return tt.new(n, f)
			}
			inBubble(t, Spec{}, 2, play, func(t *testing.T, g *Group, st *stage) {
				time.Sleep(time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), tt.ctx)
				defer cancel()
				if err := g.Restart(ctx); err == nil || err.Error() != tt.want {
					t.Errorf("Restart = %v, want %s", err, tt.want)
				}
				time.Sleep(time.Minute)
				ready := taking(g)
				if len(ready) != 2 || len(g.Status()) != 2 {
					t.Errorf("take requests: %v, slots: %+v; want two", ready, g.Status())
				}
				if n := st.count(); n > 4 {
					t.Errorf("%d processes were started, want 2 and 2 more at the most", n)
				}
			})
		})
	}
}

// Two restarts at once come one after the other.
func TestRestartTwice(t *testing.T) {
	inBubble(t, Spec{}, 1, obedient(time.Second), func(t *testing.T, g *Group, st *stage) {
		time.Sleep(10 * time.Second)
		first := make(chan error)
		go func() { first <- g.Restart(t.Context()) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := g.Restart(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the second = %v, want that its time is up", err)
		}
		if err := g.Restart(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-first; err != nil {
			t.Error(err)
		}
		if n := st.count(); n != 3 {
			t.Errorf("%d processes, want 3", n)
		}
	})
}

func TestRestartOfAGroupThatEnds(t *testing.T) {
	inBubble(t, Spec{}, 1, obedient(time.Second), func(t *testing.T, g *Group, st *stage) {
		time.Sleep(10 * time.Second)
		done := make(chan error)
		go func() { done <- g.Restart(t.Context()) }()
		synctest.Wait()
		if err := g.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-done; err == nil {
			t.Error("no error")
		}
		if err := g.Restart(t.Context()); err == nil {
			t.Error("no error after the end")
		}
		g.Want(3)
		if n := st.count(); n != 2 {
			t.Errorf("%d processes were started, want 2", n)
		}
	})
}

func TestReplace(t *testing.T) {
	inBubble(t, Spec{}, 2, obedient(time.Second), func(t *testing.T, g *Group, st *stage) {
		time.Sleep(10 * time.Second)
		c := watch(t, g)
		pid := g.Status()[0].PID
		g.Replace(pid, "a test")
		g.Replace(pid, "it again")
		g.Replace(7, "not ours")
		time.Sleep(10 * time.Second)
		c.want(t, "0s: 0 1", "1s: 1 2")
		if n := st.count(); n != 3 || g.Status()[1].PID != 102 {
			t.Errorf("%d processes, want 3; %+v", n, g.Status())
		}
	})
}

func TestAbort(t *testing.T) {
	deaf := func(_ int, f *fake) string { close(f.ready); time.Sleep(never); return "" }
	inBubble(t, Spec{AbortTimeout: 3 * time.Second}, 1, deaf, func(t *testing.T, g *Group, st *stage) {
		time.Sleep(10 * time.Second)
		g.Abort(99, "another one")
		g.Abort(100, "no answer for 5s")
		g.Abort(100, "no answer for 5s")
		time.Sleep(10 * time.Second)
		if told := st.told(0); told != "SIGABRT 10s, kill 13s" {
			t.Errorf("told %q", told)
		}
		s := g.Status()[0]
		if s.State != Ready || s.PID != 101 || s.Last.Reason != "no answer for 5s (killed by SIGKILL (killed))" {
			t.Errorf("Status = %+v, %+v", s, s.Last)
		}
	})
}

// A process that hangs while it drains is ended in the same way, and no other
// follows.
func TestAbortWhileDraining(t *testing.T) {
	idle := func(ctx context.Context, _ Member) { <-ctx.Done() }
	deaf := func(_ int, f *fake) string { close(f.ready); time.Sleep(never); return "" }
	inBubble(t, Spec{Idle: idle, DrainTimeout: -1, AbortTimeout: 3 * time.Second}, 1, deaf, func(t *testing.T, g *Group, st *stage) {
		time.Sleep(10 * time.Second)
		g.Want(0)
		time.Sleep(10 * time.Second)
		g.Abort(100, "no answer for 5s")
		time.Sleep(10 * time.Second)
		if told := st.told(0); told != "SIGABRT 20s, kill 23s" {
			t.Errorf("told %q", told)
		}
		if n := len(g.Status()); n != 0 || st.count() != 1 {
			t.Errorf("%d slots are left, %d processes were started, want 0, 1", n, st.count())
		}
	})
}

// A process that hangs, and is not wanted any more before it has ended, is killed
// when its time is up all the same, however long others may take to stop.
func TestAbortAndNotWanted(t *testing.T) {
	deaf := func(_ int, f *fake) string { close(f.ready); time.Sleep(never); return "" }
	for name, end := range map[string]func(g *Group){
		"retired": func(g *Group) { g.Want(0) },
		"stopped": func(g *Group) { go g.Stop(context.Background()) }, // inBubble waits for the end
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Spec{StopTimeout: -1, AbortTimeout: 3 * time.Second}, 1, deaf, func(t *testing.T, g *Group, st *stage) {
				time.Sleep(10 * time.Second)
				g.Abort(100, "no answer for 5s")
				time.Sleep(time.Second)
				end(g)
				time.Sleep(time.Hour)
				if told := st.told(0); told != "SIGABRT 10s, kill 13s" {
					t.Errorf("told %q, want SIGABRT, and kill 3 s later", told)
				}
				if n := st.count(); n != 1 {
					t.Errorf("%d processes were started, want 1", n)
				}
			})
		})
	}
}

// Processes that were started together are not replaced together, and one at a
// time.
func TestMaxAge(t *testing.T) {
	inBubble(t, Spec{MaxAge: 100 * time.Second}, 3, obedient(5*time.Second), func(t *testing.T, g *Group, st *stage) {
		time.Sleep(10 * time.Second)
		c := watch(t, g)
		time.Sleep(120 * time.Second)
		c.end()
		if st.count() != 6 {
			t.Fatalf("%d processes after 130s, want 6: %q", st.count(), c.lines)
		}
		for i, at := range st.starts()[3:] {
			if at < 90*time.Second || at > 112*time.Second {
				t.Errorf("successor %d was started after %v", i, at)
			}
		}
		for _, line := range c.lines {
			if n := strings.Count(line, " "); n < 3 {
				t.Errorf("%d take requests: %s", n, line)
			}
		}
	})
}

func TestReady(t *testing.T) {
	tests := []struct {
		name string
		play func(n int, f *fake) string
		want string
	}{
		{"all are", func(_ int, f *fake) string { return obedient(time.Duration(f.slot)*time.Second)(0, f) }, ""},
		{"one dies", func(_ int, f *fake) string {
			if f.slot == 1 {
				return "exit status 7"
			}
			return obedient(0)(0, f)
		}, "process: start app: it ended before it took requests: exit status 7: "},
		{"one is not", func(_ int, f *fake) string {
			if f.slot == 1 {
				return f.obey()
			}
			return obedient(0)(0, f)
		}, "process: start app: it takes no requests yet: context deadline exceeded"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, Spec{}, 2, tt.play, func(t *testing.T, g *Group, st *stage) {
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				got := ""
				if err := g.Ready(ctx); err != nil {
					got = err.Error()
				}
				if got != tt.want {
					t.Errorf("Ready = %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// Who has mended an application does not wait for the end of a pause; and what
// has no pause is not disturbed.
func TestRetry(t *testing.T) {
	broken := true
	inBubble(t, Spec{}, 2, func(n int, f *fake) string {
		close(f.ready)
		if broken && n > 0 {
			return "exit status 3"
		}
		return f.obey()
	}, func(t *testing.T, g *Group, st *stage) {
		time.Sleep(20 * time.Second)
		synctest.Wait()
		was := st.count()
		broken = false
		g.Retry()
		synctest.Wait()
		if got := st.count(); got != was+1 {
			t.Errorf("%d processes started, want one", got-was)
		}
		for _, s := range g.Status() {
			if s.State != Ready {
				t.Errorf("slot %d is %v, want ready", s.Slot, s.State)
			}
		}
	})
}
