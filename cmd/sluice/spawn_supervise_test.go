package main

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
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

// What a signal does, before and after the order to end.
func TestSignalRule(t *testing.T) {
	const hup, intr, quit, term, usr1, usr2 = syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2
	ours := signalRule{stop: quit, stopTimeout: 3, niceTimeout: -1}
	multiwatch := signalRule{multiwatch: usr1, stop: quit, stopTimeout: 3, niceTimeout: -1}
	toEnd := order{end, quit, 3}
	nicely := order{end, usr1, -1}
	for _, tt := range []struct {
		sig              syscall.Signal
		ours, multiwatch order // the first time
	}{
		{hup, order{do: replace}, nicely},
		{intr, toEnd, nicely},
		{quit, toEnd, nicely},
		{term, toEnd, nicely},
		{usr1, nicely, nicely},
		{usr2, order{do: pass, signal: usr2}, order{do: pass, signal: usr2}},
	} {
		again := order{do: pass, signal: tt.sig}
		if got := ours.order(tt.sig, false); got != tt.ours {
			t.Errorf("%v: %v, want %v", tt.sig, got, tt.ours)
		}
		if got := multiwatch.order(tt.sig, false); got != tt.multiwatch {
			t.Errorf("%v as multiwatch has it: %v, want %v", tt.sig, got, tt.multiwatch)
		}
		if a, b := ours.order(tt.sig, true), multiwatch.order(tt.sig, true); a != again || b != again {
			t.Errorf("%v the second time: %v and %v, want %v", tt.sig, a, b, again)
		}
	}
}

func TestJudge(t *testing.T) {
	d := &process.Exit{Reason: "x"}
	ready, starting := process.Status{State: process.Ready}, process.Status{State: process.Starting}
	died, back := process.Status{Last: d}, process.Status{State: process.Ready, Last: d}
	lost := process.Status{State: process.CrashLoop, Last: d}
	finished := process.Status{Last: &process.Exit{Finished: true}}
	for _, tt := range []struct {
		name        string
		views       []process.Status
		isUp, retry bool
		want        verdict
		why         *process.Exit
	}{
		{"all are ready", []process.Status{ready, ready}, false, false, gotUp, nil},
		{"one is not", []process.Status{ready, starting}, false, false, undecided, nil},
		{"up already", []process.Status{ready, ready}, true, false, undecided, nil},
		{"a death at the start", []process.Status{ready, died}, false, false, failed, d},
		{"a death at the start, and a new one", []process.Status{back}, false, false, failed, d},
		{"the same, and it may be tried again", []process.Status{back}, false, true, gotUp, nil},
		{"one has done its share already", []process.Status{ready, finished}, false, false, gotUp, nil},
		{"all have", []process.Status{finished, finished}, false, false, gotUp, nil},
		{"one has, and one starts", []process.Status{finished, starting}, false, false, undecided, nil},
		{"one has, and one has died", []process.Status{finished, died}, false, false, failed, d},
		{"a death later", []process.Status{ready, died}, true, false, undecided, nil},
		{"one keeps dying", []process.Status{ready, lost}, true, true, undecided, nil},
		{"all keep dying", []process.Status{lost, lost}, true, true, failed, d},
		{"all keep dying, for ever", []process.Status{lost, lost}, true, false, undecided, nil},
		{"all keep dying at the start", []process.Status{lost}, false, true, failed, d},
	} {
		if got, why := judge(tt.views, tt.isUp, tt.retry); got != tt.want || why != tt.why {
			t.Errorf("%s: %v, %v, want %v, %v", tt.name, got, why, tt.want, tt.why)
		}
	}
}

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

// What the death of an application is reported as.
func TestDeathFailure(t *testing.T) {
	for _, tt := range []struct {
		death  process.Exit
		up     bool
		text   string
		status int
	}{
		{process.Exit{PID: 1, Status: 7 << 8, Output: []string{"a", "b"}}, false, "child exited with: 7\nit wrote: a\nit wrote: b", 7},
		{process.Exit{PID: 1}, false, "child exited with: 0", 1},
		{process.Exit{PID: 1, Status: 9}, true, "child signaled: 9 (given up, after it was up)", 1},
		{process.Exit{Reason: "not started: x"}, false, "not started: x", 255},
	} {
		err := deathFailure(&tt.death, tt.up)
		e, ok := errors.AsType[*spawnError](err)
		if !ok || e.Error() != tt.text || e.status != tt.status {
			t.Errorf("%+v: %v, want %q and %d", tt.death, err, tt.text, tt.status)
		}
	}
}

func TestPIDFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "pid")
	text := func() string {
		b, err := os.ReadFile(path)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	open := func() *pidFile {
		t.Helper()
		p, err := openPIDFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	p := open()
	if err := p.write(123456); err != nil || text() != "123456" {
		t.Errorf("write: %v, %q", err, text())
	}
	second := open() // another one, which fails
	if second.close(); text() != "123456" {
		t.Errorf("after one that failed: %q, want what was there", text())
	}
	third := open()
	if err := third.write(77); err != nil || text() != "77" {
		t.Errorf("write over a longer number: %v, %q", err, text())
	}
	if third.close(); !strings.Contains(text(), "no such file") {
		t.Errorf("after the end: %q, want no file", text())
	}
	fourth := open()
	if err := os.Rename(path, path+"2"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("other"), 0o600); err != nil {
		t.Fatal(err)
	}
	if fourth.close(); text() != "other" {
		t.Errorf("another's file: %q, want it to stay", text())
	}
	var none *pidFile
	if err := none.write(1); err != nil {
		t.Error(err)
	}
	none.close()

	link := filepath.Join(dir, "link")
	if err := os.Symlink("pid", link); err != nil {
		t.Fatal(err)
	}
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for bad, want := range map[string]string{
		dir: "PID-file exists and isn't regular file", link: "isn't regular file", pipe: "isn't regular file",
		dir + "/none/pid": "failed: No such file or directory",
	} {
		if _, err := openPIDFile(bad); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", bad, err, want)
		}
	}
}

// A log that logrotate has taken away is begun anew.
func TestLogFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	synctest.Test(t, func(t *testing.T) {
		l, err := openLogFile(path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { l.file.Close() }()
		l.Write([]byte("1\n"))
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		l.Write([]byte("2\n"))
		time.Sleep(time.Second)
		l.Write([]byte("3\n"))
		old, err1 := os.ReadFile(path + ".1")
		now, err2 := os.ReadFile(path)
		if string(old) != "1\n2\n" || string(now) != "3\n" {
			t.Errorf("%q, %v and %q, %v, want what came within a second in the first", old, err1, now, err2)
		}
	})
}
