package spawn

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/internal/testlog"
	"github.com/sluice-gateway/sluice/process"
)

// A fakeApplication takes a second for everything.
type fakeApplication struct {
	mu      sync.Mutex
	did     []string
	views   []process.Status
	change  chan struct{} // closed when views change
	failing error         // of restarts
	takes   time.Duration // the same; zero: a second
}

func (a *fakeApplication) note(what string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.did = append(a.did, what)
}

func (a *fakeApplication) start() error            { a.note("start"); return nil }
func (a *fakeApplication) want(int)                { a.note("want") }
func (a *fakeApplication) signal(s syscall.Signal) { a.note("signal " + s.String()) }
func (a *fakeApplication) set(views ...process.Status) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.views = views
	if a.change != nil {
		close(a.change)
		a.change = nil
	}
}
func (a *fakeApplication) look() []process.Status {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.views)
}
func (a *fakeApplication) changed() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.change == nil {
		a.change = make(chan struct{})
	}
	return a.change
}
func (a *fakeApplication) restart(ctx context.Context) error {
	a.note("restart")
	select {
	case <-time.After(cmp.Or(a.takes, time.Second)):
		return a.failing
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
func (a *fakeApplication) stop(_ context.Context, sig syscall.Signal, timeout time.Duration) error {
	a.note("stop " + sig.String() + " " + timeout.String())
	time.Sleep(time.Second)
	return nil
}

// A supervisor does one thing after the other, and its service manager knows.
func TestSupervisor(t *testing.T) {
	rule := signalRule{stop: syscall.SIGTERM, stopTimeout: 10 * time.Second, niceTimeout: -1}
	const ms = time.Millisecond
	type step struct {
		after time.Duration
		sig   syscall.Signal
	}
	tests := []struct {
		name    string
		steps   []step
		failing error
		want    string
		states  []state
	}{
		{"end", []step{{ms, syscall.SIGTERM}}, nil, "start, stop terminated 10s", []state{stopping}},
		{"end twice", []step{{ms, syscall.SIGINT}, {ms, syscall.SIGINT}}, nil, "start, stop terminated 10s, signal interrupt", []state{stopping}},
		{"nicely, then not", []step{{ms, syscall.SIGUSR1}, {ms, syscall.SIGTERM}}, nil,
			"start, stop user defined signal 1 -1ns, signal terminated", []state{stopping}},
		{"passed on", []step{{ms, syscall.SIGUSR2}, {ms, syscall.SIGTERM}}, nil, "start, signal user defined signal 2, stop terminated 10s", []state{stopping}},
		{"replace", []step{{ms, syscall.SIGHUP}, {2 * time.Second, syscall.SIGTERM}}, nil, "start, restart, stop terminated 10s",
			[]state{reloading, running, stopping}},
		{"replace three times at once", []step{{ms, syscall.SIGHUP}, {ms, syscall.SIGHUP}, {ms, syscall.SIGHUP}, {9 * time.Second, syscall.SIGTERM}}, nil,
			"start, restart, restart, stop terminated 10s", []state{reloading, running, reloading, running, stopping}},
		{"replace in vain", []step{{ms, syscall.SIGHUP}, {2 * time.Second, syscall.SIGTERM}}, errors.New("no"), "start, restart, stop terminated 10s",
			[]state{reloading, running, stopping}},
		{"end while replacing", []step{{ms, syscall.SIGHUP}, {ms, syscall.SIGTERM}}, nil, "start, restart, stop terminated 10s", []state{reloading, stopping}},
		{"no replacing at the end", []step{{ms, syscall.SIGTERM}, {ms, syscall.SIGHUP}}, nil, "start, stop terminated 10s, signal hangup", []state{stopping}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				app := &fakeApplication{failing: tt.failing, views: []process.Status{{State: process.Ready}}}
				signals := make(chan os.Signal, 8)
				var states []state
				ups := 0
				s := &supervisor{app: app, rule: rule, patience: time.Minute, log: slog.New(slog.DiscardHandler), signals: signals,
					up: func() { ups++ }, progress: func(now state) { states = append(states, now) }}
				go func() {
					time.Sleep(time.Second)
					for _, step := range tt.steps {
						time.Sleep(step.after)
						signals <- step.sig
					}
				}()
				if d, err := s.run(t.Context()); d != nil || err != nil || ups != 1 {
					t.Errorf("run = %v, %v, up %d times, want nil, nil, once", d, err, ups)
				}
				if got := strings.Join(app.did, ", "); got != tt.want {
					t.Errorf("did %s, want %s", got, tt.want)
				}
				if !slices.Equal(states, tt.states) {
					t.Errorf("states %v, want %v", states, tt.states)
				}
			})
		})
	}
}

// What is asked for before the application is up is done when it is, and the
// service manager hears nothing before.
func TestSupervisorReplacesLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApplication{views: []process.Status{{State: process.Starting}}}
		signals := make(chan os.Signal, 8)
		var told []string
		s := &supervisor{app: app, rule: signalRule{stop: syscall.SIGTERM, stopTimeout: 1}, patience: time.Minute, log: slog.New(slog.DiscardHandler), signals: signals,
			up: func() { told = append(told, "up") }, progress: func(now state) { told = append(told, []string{"running", "reloading", "stopping"}[now]) }}
		go func() {
			time.Sleep(time.Second)
			signals <- syscall.SIGHUP
			signals <- syscall.SIGHUP
			time.Sleep(5 * time.Second)
			app.set(process.Status{State: process.Ready})
			time.Sleep(5 * time.Second)
			signals <- syscall.SIGTERM
		}()
		if d, err := s.run(t.Context()); d != nil || err != nil {
			t.Errorf("run = %v, %v", d, err)
		}
		if got, want := strings.Join(told, ", "), "up, reloading, running, stopping"; got != want {
			t.Errorf("told %s, want %s", got, want)
		}
		if got, want := strings.Join(app.did, ", "), "start, restart, stop terminated 1ns"; got != want {
			t.Errorf("did %s, want %s", got, want)
		}
	})
}

// New processes that neither get ready nor die are not waited for without end.
func TestSupervisorDoesNotReplaceForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app := &fakeApplication{views: []process.Status{{State: process.Ready}}, takes: time.Hour}
		signals := make(chan os.Signal, 8)
		var log testlog.Buffer
		s := &supervisor{app: app, rule: signalRule{stop: syscall.SIGTERM}, patience: time.Minute, log: log.Logger(), signals: signals, up: func() {}, progress: func(state) {}}
		signals <- syscall.SIGHUP
		time.AfterFunc(s.patience+time.Second, func() { signals <- syscall.SIGTERM })
		if d, err := s.run(t.Context()); d != nil || err != nil {
			t.Errorf("run = %v, %v", d, err)
		}
		if len(log.With("the old processes stay", "have not proved themselves for 1m0s")) != 1 {
			t.Errorf("log:\n%s", &log)
		}
	})
}

// An application that dies at the start, and one that keeps dying later.
func TestSupervisorGivesUp(t *testing.T) {
	for _, wasUp := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			app := &fakeApplication{views: []process.Status{{State: map[bool]process.State{false: process.Starting, true: process.Ready}[wasUp]}}}
			ups := 0
			s := &supervisor{app: app, rule: signalRule{stop: syscall.SIGTERM}, giveUp: wasUp, log: slog.New(slog.DiscardHandler),
				up: func() { ups++ }, progress: func(state) {}}
			last := &process.Exit{PID: 1, Status: 7 << 8, Reason: "exit status 7", Output: []string{"no database"}, Advice: "start one"}
			then := process.Status{State: process.Down, Last: last}
			if wasUp {
				then.State = process.CrashLoop
			}
			time.AfterFunc(time.Minute, func() { app.set(then) })
			d, err := s.run(t.Context())
			if d != last || err != nil || ups != map[bool]int{true: 1}[wasUp] {
				t.Errorf("run = %v, %v, up %d times, want %v", d, err, ups, last)
			}
		})
	}
}
