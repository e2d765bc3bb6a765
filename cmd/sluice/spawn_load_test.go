package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/testlog"
	"github.com/sluice-gateway/sluice/internal/testpeer"
	"github.com/sluice-gateway/sluice/internal/testproc"
)

// A spawned is a supervisor in the foreground.
type spawned struct {
	t    *testing.T
	dir  string
	cmd  *exec.Cmd
	log  testlog.Buffer
	done chan struct{} // closed when it has ended; then err is set
	err  error
}

// startSpawned starts a supervisor in a folder, where its socket is s. The end
// of the test ends it.
func startSpawned(t *testing.T, dir string, env []string, args ...string) *spawned {
	t.Helper()
	s := &spawned{t: t, dir: dir, done: make(chan struct{})}
	s.cmd = exec.CommandContext(bounded(t), ours(t, "sluice"), append([]string{"spawn", "-n", "-s", "s"}, args...)...)
	s.cmd.Dir, s.cmd.Stderr, s.cmd.Env = dir, &s.log, append(os.Environ(), env...)
	s.cmd.Cancel = func() error { return s.cmd.Process.Signal(syscall.SIGTERM) }
	s.cmd.WaitDelay = programEnd
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { // ends with the process, which the cleanup awaits
		defer close(s.done)
		s.err = s.cmd.Wait()
	}()
	t.Cleanup(func() {
		<-s.done // the end of the test has sent it SIGTERM
		if code := s.cmd.ProcessState.ExitCode(); code != 0 {
			t.Errorf("it ended with %v, exit status %d", s.err, code)
		}
		if t.Failed() {
			text := s.log.String()
			t.Logf("the end of the log of %v:\n%s", s.cmd, text[max(0, len(text)-4<<10):])
		}
	})
	return s
}

// signal sends a signal to the supervisor.
func (s *spawned) signal(sig os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.t.Fatal(err)
	}
}

// says waits until the log has n lines with a text, and wants no more.
func (s *spawned) says(n int, text string) {
	s.t.Helper()
	await(s.t, fmt.Sprintf("%d lines with %q", n, text), func() bool { return len(s.log.With(text)) >= n })
	if got := len(s.log.With(text)); got != n {
		s.t.Errorf("%d lines with %q, want %d", got, text, n)
	}
}

// A load is clients that ask, one request after the other.
type load struct {
	end func() // waits for them

	mu      sync.Mutex
	served  int
	failed  []error
	slowest time.Duration
}

// under puts an application under the load of n clients, until the test, or the
// load, is ended.
func (s *spawned) under(n int) *load {
	ctx, cancel := context.WithCancel(bounded(s.t))
	var clients sync.WaitGroup
	l := new(load)
	for range n {
		clients.Go(func() {
			for ctx.Err() == nil {
				begin := time.Now()
				l.note(request(context.WithoutCancel(ctx), "unix", filepath.Join(s.dir, "s")), time.Since(begin))
			}
		})
	}
	l.end = func() { cancel(); clients.Wait() }
	s.t.Cleanup(l.end)
	return l
}

func (l *load) note(err error, took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.slowest = max(l.slowest, took); err != nil {
		l.failed = append(l.failed, err)
		return
	}
	l.served++
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.served
}

// php-cgi ends after so many requests, which under load it has served before it
// could be asked whether it is ready. That is no death: there are no pauses, no
// giving up, and new processes take the place of old ones on SIGHUP.
func TestSpawnUnderLoad(t *testing.T) {
	php := testpeer.NeedPHP(t, "php-cgi", "php-cgi")
	for _, tt := range []struct {
		name, requests string
		hups           int
		least          int // requests
	}{
		{"100 requests each", "PHP_FCGI_MAX_REQUESTS=100", 0, 4000},
		{"500 requests each", "PHP_FCGI_MAX_REQUESTS=500", 3, 8000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := startSpawned(t, testproc.ShortDir(t), []string{tt.requests}, "-F", "2", "--retry", "3", "--", php, "-n")
			s.says(2, "process ready")
			l := s.under(4)
			for i := range tt.hups {
				await(t, "more requests", func() bool { return l.count() >= (i+1)*tt.least/(tt.hups+1) })
				s.signal(syscall.SIGHUP)
				s.says(i+1, "processes replaced")
			}
			await(t, "the last request", func() bool { return l.count() >= tt.least })
			l.end()
			if len(l.failed) > 0 || l.slowest > 2*time.Second {
				t.Errorf("%d served, %d failed (%v), the slowest took %v", l.served, len(l.failed), l.failed, l.slowest)
			}
			for _, bad := range []string{"process died", "keeps dying", "given up", "old processes stay"} {
				if lines := s.log.With(bad); len(lines) > 0 {
					t.Errorf("the log has %d lines with %q: %s", len(lines), bad, lines[0])
				}
			}
			if len(s.log.With("ended by itself")) == 0 {
				t.Error("no process has come to the end of its requests")
			}
		})
	}
}

// A new version that dies half a second after its start, when everybody would
// take it for ready, does not replace the one that works.
func TestSpawnKeepsTheOldOnes(t *testing.T) {
	php := testpeer.NeedPHP(t, "php-cgi", "php-cgi")
	s := startSpawned(t, testproc.ShortDir(t), nil, "-F", "2", "--", "/bin/sh", "-c",
		`if test -e broken; then sleep 0.5; echo no database >&2; exit 1; fi; exec "$0" -n`, php)
	s.says(2, "process ready")
	was := descendants(t, s.cmd.Process.Pid)
	if err := os.WriteFile(filepath.Join(s.dir, "broken"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGHUP)
	s.says(1, "the old processes stay")
	for _, p := range was {
		if !lives(p) {
			t.Errorf("process %d (%s) was ended for one that died", p.pid, p.name)
		}
	}
	answers(t, "unix", filepath.Join(s.dir, "s"))
	if err := os.Remove(filepath.Join(s.dir, "broken")); err != nil {
		t.Fatal(err)
	}
	s.signal(syscall.SIGHUP)
	s.says(1, "processes replaced")
	answers(t, "unix", filepath.Join(s.dir, "s"))
}

// One overload, in which no new process is heard of in time, does not end the
// scaling.
func TestSpawnScalesUnderLoad(t *testing.T) {
	perl := testpeer.NeedPerl(t, "FCGI", "libfcgi-perl")
	const app = `use FCGI; my $r = FCGI::Request(); while ($r->Accept() >= 0) { select undef, undef, undef, 0.2; print "Content-Type: text/plain\r\n\r\ndone" }`
	s := startSpawned(t, testproc.ShortDir(t), nil, "--min", "1", "--max", "8", "--start-timeout", "300ms", "--", perl, "-e", app)
	s.says(1, "process ready")
	s.under(24)
	await(t, "eight processes", func() bool { return len(descendants(t, s.cmd.Process.Pid)) == 8 })
	// That took three steps, and not one for each process.
	if steps := s.log.With("number of processes changed"); len(steps) > 4 {
		t.Errorf("%d steps from one to eight:\n%s", len(steps), strings.Join(steps, ""))
	}
}

// What we write below the folder that is watched brings no restart, however the
// shell, or we, have opened it.
func TestSpawnWatchesWhereItWrites(t *testing.T) {
	php := testpeer.NeedPHP(t, "php-cgi", "php-cgi")
	for name, args := range map[string][]string{
		"log file": {"--log-file", "log"},
		"stderr":   nil,
	} {
		t.Run(name, func(t *testing.T) {
			dir := testproc.ShortDir(t)
			log, err := os.OpenFile(filepath.Join(dir, "log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			cmd := exec.CommandContext(bounded(t), ours(t, "sluice"), append(append([]string{"spawn", "-s", "s", "-P", "pid", "--watch", "."}, args...), "--", php, "-n")...)
			cmd.Dir, cmd.Stderr = dir, log
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			var pid int
			if _, err := fmt.Sscanf(string(out), "sluice: child spawned successfully: PID: %d", &pid); err != nil {
				t.Fatalf("%q: %v", out, err)
			}
			if p, err := readProc(pid); err == nil {
				t.Cleanup(func() { endProc(t, p) })
			}
			says := func(text string) int {
				b, _ := os.ReadFile(filepath.Join(dir, "log"))
				return strings.Count(string(b), text)
			}
			// A restart writes to the log, and takes as long as several looks.
			for i := range 2 {
				if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
					t.Fatal(err)
				}
				await(t, "a restart", func() bool { return says("processes replaced") > i })
			}
			if n := says("files have changed"); n != 0 {
				t.Errorf("%d restarts for no change", n)
			}
			if err := os.WriteFile(filepath.Join(dir, "app.php"), []byte("1"), 0o600); err != nil {
				t.Fatal(err)
			}
			await(t, "a restart for a change", func() bool { return says("files have changed") > 0 })
		})
	}
}
