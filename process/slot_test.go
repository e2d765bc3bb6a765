package process

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/internal/testlog"
)

// A fake is a process that does what a test says.
type fake struct {
	slot    int
	started time.Duration // since the beginning of the test
	ready   chan struct{}
	exited  chan Exit
	signals chan syscall.Signal
	told    []string // the same, and kill, with the time since it started
}

// A stage starts fakes. Each is given to play, which runs as a goroutine for
// as long as the fake lives, and returns how it ends.
type stage struct {
	begin time.Time
	mu    sync.Mutex
	fakes []*fake
	play  func(n int, f *fake) (reason string)
}

// withFakes makes a group of one slot whose processes are fakes. It must be
// called in a synctest bubble.
func withFakes(t *testing.T, spec Spec, play func(n int, f *fake) string) (*Group, *stage, *testlog.Buffer) {
	t.Helper()
	return manyFakes(t, spec, 1, play)
}

// manyFakes makes a group of several slots. The numbers of its processes begin
// with 100.
func manyFakes(t *testing.T, spec Spec, slots int, play func(n int, f *fake) string) (*Group, *stage, *testlog.Buffer) {
	t.Helper()
	spec.Name, spec.Args = "app", []string{"/bin/true"}
	g, log := newGroup(t, spec, slots)
	st := &stage{begin: time.Now(), play: play}
	g.launch = func(s *slot) (*child, *startError) {
		st.mu.Lock()
		defer st.mu.Unlock()
		f := &fake{slot: s.n, started: time.Since(st.begin), ready: make(chan struct{}), exited: make(chan Exit, 1), signals: make(chan syscall.Signal, 10)}
		n := len(st.fakes)
		st.fakes = append(st.fakes, f)
		killed := make(chan string, 10)
		note := func(what string) {
			st.mu.Lock()
			defer st.mu.Unlock()
			f.told = append(f.told, fmt.Sprint(what, " ", time.Since(st.begin)-f.started))
		}
		played := make(chan string, 1)
		go func() { played <- st.play(n, f) }() // ends at the latest with the test's time
		go func() {
			var reason string
			select {
			case reason = <-played:
			case reason = <-killed:
			}
			f.exited <- Exit{PID: 100 + n, At: time.Now(), Ran: time.Since(st.begin) - f.started, Reason: reason, clean: reason == "exit status 0", forced: reason == killedWord}
		}()
		return &child{pid: 100 + n, ready: f.ready, exited: f.exited,
			signal: func(s syscall.Signal) { note(signalName(s)); f.signals <- s },
			ask:    func(s syscall.Signal) { note(signalName(s)); f.signals <- s },
			kill:   func() { note("kill"); killed <- killedWord },
			output: func() []string { return []string{"some output"} },
		}, nil
	}
	return g, st, log
}

// count returns how many processes have been started.
func (st *stage) count() int {
	st.mu.Lock()
	defer st.mu.Unlock()
	return len(st.fakes)
}

// told returns what a process was told.
func (st *stage) told(n int) string {
	st.mu.Lock()
	defer st.mu.Unlock()
	return strings.Join(st.fakes[n].told, ", ")
}

func (st *stage) starts() (all []time.Duration) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for _, f := range st.fakes {
		all = append(all, f.started)
	}
	return all
}

const killedWord = "killed by SIGKILL (killed)"

// never is how long a fake lives that does not end by itself; its goroutine is
// left to the end of the bubble's time.
const never = 1000 * time.Hour

func TestRestarts(t *testing.T) {
	const s = time.Second
	runs := func(ds ...time.Duration) func(int, *fake) string {
		return func(n int, f *fake) string {
			close(f.ready)
			time.Sleep(ds[min(n, len(ds)-1)])
			return "exit status 1"
		}
	}
	tests := []struct {
		name string
		spec Spec
		play func(int, *fake) string
		want []time.Duration // of the starts
	}{
		{"dies at once", Spec{}, runs(0),
			[]time.Duration{0, 1 * s, 3 * s, 7 * s, 15 * s, 75 * s, 135 * s}},
		{"the first restart of a healthy one is at once", Spec{}, runs(40*s, 0, never),
			[]time.Duration{0, 40 * s, 41 * s}},
		{"healthy in between", Spec{}, runs(0, 0, 30*s, 0, never),
			[]time.Duration{0, 1 * s, 3 * s, 33 * s, 34 * s}},
		{"never ready", Spec{StartTimeout: 40 * s}, func(int, *fake) string { time.Sleep(never); return "" },
			[]time.Duration{0, 41 * s, 83 * s, 127 * s, 175 * s, 275 * s}},
		{"ends by itself after its share", Spec{},
			func(n int, f *fake) string { close(f.ready); time.Sleep(2 * s); return "exit status 0" },
			[]time.Duration{0, 2 * s, 4 * s, 6 * s}},
		{"no limit", Spec{Backoff: Backoff{Limit: -1}}, runs(0),
			[]time.Duration{0, 1 * s, 3 * s, 7 * s, 15 * s, 31 * s, 63 * s, 123 * s}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, st, _ := withFakes(t, tt.spec, tt.play)
				if err := g.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(tt.want[len(tt.want)-1] + time.Millisecond)
				synctest.Wait()
				if got := st.starts(); !slices.Equal(got, tt.want) {
					t.Errorf("started at %v, want %v", got, tt.want)
				}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				g.Stop(ctx)
				time.Sleep(never)
			})
		})
	}
}

// A crash loop is said once, with everything that a person needs, and its end
// too.
func TestCrashLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _, log := withFakes(t, Spec{}, func(n int, f *fake) string {
			close(f.ready)
			if n == 7 {
				time.Sleep(never)
			}
			return "exit status 3"
		})
		if err := g.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(16 * time.Second)
		synctest.Wait()
		if st := g.Status()[0]; st.State != CrashLoop || st.Deaths != 5 || st.Restarts != 4 || st.Last.Reason != "exit status 3" || st.PID != 0 {
			t.Errorf("Status = %+v, want a crash loop with 5 deaths and 4 restarts", st)
		}
		if got := log.With(`"process died"`); len(got) != 4 {
			t.Errorf("%d deaths logged before the crash loop, want 4: %s", len(got), got)
		}
		time.Sleep(3 * time.Minute) // two more deaths, and the one that stays
		synctest.Wait()
		if st := g.Status()[0]; st.State != Ready || st.Deaths != 7 || st.Output == nil {
			t.Errorf("Status = %+v, want ready with 7 deaths before", st)
		}
		if got := log.With("level=ERROR"); len(got) != 1 || !strings.Contains(got[0], `msg="process keeps dying" backend=app slot=0 pid=104 exit="exit status 3"`) ||
			!strings.Contains(got[0], "deaths=5 again_in=1m0s") {
			t.Errorf("errors logged: %s, want the crash loop once", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := log.With("crash loop over"); len(got) != 1 {
			t.Errorf("end of the crash loop logged: %s, want once", got)
		}
		if st := g.Status()[0]; st.Deaths != 0 {
			t.Errorf("deaths after a healthy minute = %d, want 0", st.Deaths)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		g.Stop(ctx)
		time.Sleep(never)
	})
}

func TestStopEscalates(t *testing.T) {
	const s = time.Second
	deaf := func(_ int, f *fake) string { close(f.ready); time.Sleep(never); return "" }
	tests := []struct {
		name     string
		spec     Spec
		play     func(int, *fake) string
		after    time.Duration // Stop comes
		patience time.Duration // of its context
		want     []string      // what the last process is told
		wantTook time.Duration
	}{
		{"it obeys", Spec{}, func(_ int, f *fake) string { close(f.ready); time.Sleep(62 * s); return "exit status 0" },
			60 * s, never, []string{"SIGTERM 1m0s"}, 2 * s},
		{"it does not", Spec{}, deaf, 60 * s, never, []string{"SIGTERM 1m0s", "kill 1m10s"}, 10 * s},
		{"own signal and timeout", Spec{StopSignal: syscall.SIGQUIT, StopTimeout: 3 * s}, deaf,
			60 * s, never, []string{"SIGQUIT 1m0s", "kill 1m3s"}, 3 * s},
		{"no timeout", Spec{StopTimeout: -1}, deaf, 60 * s, 500 * s, []string{"SIGTERM 1m0s", "kill 9m20s"}, 500 * s},
		{"the context is done first", Spec{}, deaf, 60 * s, 4 * s, []string{"SIGTERM 1m0s", "kill 1m4s"}, 4 * s},
		{"no time at all", Spec{}, deaf, 60 * s, 0, []string{"kill 1m0s"}, 0},
		{"while it starts", Spec{}, func(int, *fake) string { time.Sleep(never); return "" },
			5 * s, never, []string{"SIGTERM 5s", "kill 15s"}, 10 * s},
		{"while it is down", Spec{}, func(int, *fake) string { return "exit status 1" }, 2 * s, never, nil, 0},
		{"in a crash loop", Spec{}, func(int, *fake) string { return "exit status 1" }, 20 * s, never, nil, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, st, _ := withFakes(t, tt.spec, tt.play)
				if err := g.Start(); err != nil {
					t.Fatal(err)
				}
				time.Sleep(tt.after)
				synctest.Wait()
				ctx, cancel := context.WithTimeout(t.Context(), tt.patience)
				defer cancel()
				begin := time.Now()
				if tt.patience == 0 {
					g.endKill() // both events at once would be told in any order
				}
				if err := g.Stop(ctx); err != nil {
					t.Errorf("Stop: %v", err)
				}
				if took := time.Since(begin); took != tt.wantTook {
					t.Errorf("Stop took %v, want %v", took, tt.wantTook)
				}
				told := st.fakes[len(st.fakes)-1].told
				if tt.patience == 0 && len(told) == 2 {
					told = told[1:]
				}
				if !slices.Equal(told, tt.want) {
					t.Errorf("the process was told %q, want %q", told, tt.want)
				}
				if s := g.Status()[0]; s.State != Stopped || s.PID != 0 {
					t.Errorf("Status = %+v, want stopped", s)
				}
				time.Sleep(never)
			})
		})
	}
}

// Only the first slot of a group complains when all of them crash for the same
// reason.
func TestCrashLoopOncePerGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(testlog.Buffer)
		g, err := NewGroup(Spec{Name: "app", Args: []string{"/bin/true"}, Log: log.Logger()}, 3, shortDir(t))
		if err != nil {
			t.Fatal(err)
		}
		g.launch = func(*slot) (*child, *startError) { return nil, &startError{"the command is gone", "bring it back"} }
		if err := g.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Minute)
		if err := g.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		got := log.With("level=ERROR")
		if len(got) != 1 || !strings.Contains(got[0], `exit="not started: the command is gone"`) || !strings.Contains(got[0], `advice="bring it back"`) {
			t.Errorf("errors logged: %s, want one", got)
		}
		for _, st := range g.Status() {
			if st.Restarts != 0 || st.Deaths < 5 {
				t.Errorf("Status = %+v, want no restart and many deaths", st)
			}
		}
	})
}

// Watch gives full lists, and only of processes that are ready.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _, _ := withFakes(t, Spec{}, func(n int, f *fake) string {
			time.Sleep(time.Second)
			close(f.ready)
			time.Sleep(time.Minute)
			return "exit status 1"
		})
		ctx, cancel := context.WithCancel(t.Context())
		begin := time.Now()
		var got []string
		done := make(chan error)
		go func() {
			done <- g.Watch(ctx, func(ms []Member, _ Outlook) {
				s := fmt.Sprint(time.Since(begin), ":")
				for _, m := range ms {
					s += fmt.Sprintf(" slot %d pid %d %s", m.Slot, m.PID, m.Address[len(m.Address)-len("/app-0.sock"):])
				}
				got = append(got, s)
			})
		}()
		if err := g.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Second)
		if err := g.Stop(t.Context()); err != nil {
			t.Error(err)
		}
		cancel()
		if err := <-done; err != context.Canceled {
			t.Errorf("Watch = %v, want %v", err, context.Canceled)
		}
		want := []string{"0s:", "1s: slot 0 pid 100 /app-0.sock", "1m1s:", "1m2s: slot 0 pid 101 /app-0.sock", "1m40s:"}
		if got = slices.Compact(got); !slices.Equal(got, want) { // the outlook may have changed by itself
			t.Errorf("Watch gave\n%q, want\n%q", got, want)
		}
		time.Sleep(never)
	})
}

// A process that is killed in the middle of a crash loop does not stay, and
// nobody says so.
func TestKilledInACrashLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, _, log := withFakes(t, Spec{Backoff: Backoff{Limit: 2}}, func(n int, f *fake) string {
			close(f.ready)
			switch n {
			case 0, 1:
				return "exit status 3"
			case 2:
				time.Sleep(2 * killedReady)
				return killedWord
			}
			return f.obey()
		})
		if err := g.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(62 * time.Second)
		synctest.Wait()
		if lines := log.With("stays"); len(lines) > 0 {
			t.Errorf("said of a process that was killed:\n%s", strings.Join(lines, "")+strings.Join(log.With("died"), ""))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if lines := log.With("crash loop over"); len(lines) != 1 {
			t.Errorf("the end of the crash loop was said %d times, want once", len(lines))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		g.Stop(ctx)
		time.Sleep(never)
	})
}
