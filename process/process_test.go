package process

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// gone reports whether a process has ended, zombies included.
func gone(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return true
	}
	s, ok := parseStat(stat)
	return ok && s.gone()
}

func number(t *testing.T, s string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Each slot has a process and a socket of its own.
func TestGroup(t *testing.T) {
	g, log := startGroup(t, self("serve"), 3)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var members []Member
	g.Watch(ctx, func(ms []Member, _ Outlook) {
		if members = ms; len(ms) == 3 {
			cancel()
		}
	})
	for i, m := range members {
		if m.Slot != i || m.Network != "unix" || filepath.Base(m.Address) != fmt.Sprintf("app-%d.sock", i) {
			t.Errorf("member %d = %+v", i, m)
		}
		if got := whoAnswers(t, m.Address); got != strconv.Itoa(m.PID) {
			t.Errorf("on %s process %s answers, want %d", m.Address, got, m.PID)
		}
	}
	if err := g.Start(); err == nil || err.Error() != "process: start app: the group has been started already" {
		t.Errorf("second Start: %v, want a refusal", err)
	}
	stop(t, g)
	stop(t, g)
	for _, m := range members {
		if !gone(m.PID) {
			t.Errorf("process %d is there after Stop", m.PID)
		}
		if _, err := os.Lstat(m.Address); !os.IsNotExist(err) {
			t.Errorf("socket %s after Stop: %v", m.Address, err)
		}
	}
	if got := log.With(`msg="process ended"`, `exit="exit status 0"`); len(got) != 3 {
		t.Errorf("ends logged: %q, want 3 with status 0", got)
	}
	if got := log.With(`msg="process output"`, `backend=app slot=1 pid=`+strconv.Itoa(members[1].PID), `text="told to end"`); len(got) != 1 {
		t.Errorf("output logged: %q, want 1 line", got)
	}
	if err := g.Start(); err == nil || err.Error() != "process: start app: the group has been stopped" {
		t.Errorf("Start after Stop: %v, want a refusal", err)
	}
}

// A group that was never started gives everything back.
func TestStopWithoutStart(t *testing.T) {
	g, _ := newGroup(t, self("serve"), 2)
	path := g.places[1].slot.sock.path
	stop(t, g)
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("socket after Stop: %v", err)
	}
}

func TestNewGroupRefuses(t *testing.T) {
	open := mkdir(t, filepath.Join(t.TempDir(), "open"), 0o777)
	tests := []struct {
		name  string
		spec  Spec
		slots int
		want  string
	}{
		{"less than none", script(""), -1, "process: start app: -1 processes: want 0 or more"},
		{"open folder", script(""), 1, "process: start app: folder " + open +
			" cannot hold our sockets: anybody may put something else into " + open + ", for its mode is 0777: chmod go-w " + open + ", or choose another path"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := NewGroup(tt.spec, tt.slots, open); err == nil || err.Error() != tt.want {
				t.Errorf("NewGroup = %v, want %s", err, tt.want)
			}
		})
	}
}

// What connects while no process is up is answered by the next one.
func TestQueueSurvives(t *testing.T) {
	spec := self("serve")
	spec.Backoff.Min = 300 * time.Millisecond
	g, log := startGroup(t, spec, 1)
	first := untilState(t, g, Ready)
	address := g.places[0].slot.sock.path
	if got := whoAnswers(t, address); got != strconv.Itoa(first.PID) {
		t.Fatalf("process %s answers, want %d", got, first.PID)
	}
	syscall.Kill(first.PID, syscall.SIGKILL)
	untilState(t, g, Down)
	got := whoAnswers(t, address)
	second := untilState(t, g, Ready)
	if got != strconv.Itoa(second.PID) || second.PID == first.PID {
		t.Errorf("process %s answers, want %d, after %d", got, second.PID, first.PID)
	}
	if second.Restarts != 1 || second.Deaths != 1 || second.Last.PID != first.PID || second.Last.Reason != "killed by SIGKILL (killed)" {
		t.Errorf("Status = %+v, last exit %+v, want one restart after SIGKILL", second, second.Last)
	}
	if got := log.With("level=WARN", `msg="process died"`, `exit="killed by SIGKILL (killed)"`, "again_in=300ms"); len(got) != 1 {
		t.Errorf("deaths logged: %q, want 1", got)
	}
}

// With a Refusal nobody waits for the whole of a pause, neither who was in the
// queue when the process died nor who comes later; and the next process finds
// its socket as the first did.
func TestRefusal(t *testing.T) {
	spec := self("serve")
	spec.Backoff.Min = 2 * time.Second
	spec.Refusal = []byte("not now")
	g, _ := startGroup(t, spec, 1)
	first := untilState(t, g, Ready)
	address := g.places[0].slot.sock.path
	syscall.Kill(first.PID, syscall.SIGSTOP)
	queued, err := net.Dial("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	defer queued.Close()
	io.WriteString(queued, "a request")
	syscall.Kill(first.PID, syscall.SIGKILL)
	untilState(t, g, Down)
	for _, nc := range []net.Conn{queued, connect(t, address)} {
		nc.SetDeadline(time.Now().Add(10 * time.Second))
		if got, _ := io.ReadAll(nc); string(got) != "not now" {
			t.Errorf("got %q, want the refusal", got)
		}
	}
	second := untilState(t, g, Ready)
	if got := whoAnswers(t, address); got != strconv.Itoa(second.PID) {
		t.Errorf("process %s answers, want %d", got, second.PID)
	}
}

func connect(t *testing.T, path string) net.Conn {
	t.Helper()
	nc, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return nc
}

// A program that crashes at once is tried again, slower and slower, and what
// it wrote is kept.
func TestCrashesAtOnce(t *testing.T) {
	spec := script(`i=0; while [ $i -lt 30 ]; do echo line $i; i=$((i+1)); done; echo "no database" >&2; exit 3`)
	spec.Backoff = Backoff{Min: time.Millisecond, Max: time.Hour, Limit: 3}
	g, log := startGroup(t, spec, 1)
	st := untilState(t, g, CrashLoop)
	if st.Restarts != 2 || st.Deaths != 3 || st.Last.Reason != "exit status 3" || st.PID != 0 {
		t.Errorf("Status = %+v, want 3 deaths with status 3", st)
	}
	if out := st.Last.Output; len(out) != 20 || out[0] != "line 11" || out[19] != "no database" {
		t.Errorf("last lines = %q, want 20 with \"no database\" at the end", out)
	}
	got := log.With("level=ERROR", `msg="process keeps dying"`, "backend=app", `exit="exit status 3"`, "again_in=1h0m0s",
		`advice="its last lines say why; run it by hand to see more: /bin/sh -c '`, `line 29\nno database"`)
	if len(got) != 1 {
		t.Errorf("logged %q, want the crash loop once", log.With("level=ERROR"))
	}
	if got := log.With(`msg="process output"`, `text="no database"`); len(got) != 3 {
		t.Errorf("output logged: %q, want 3 times", got)
	}
}

func TestExitsWithSuccess(t *testing.T) {
	spec := self("exit0")
	spec.Backoff.Limit = 1
	g, _ := startGroup(t, spec, 1)
	if last := untilState(t, g, CrashLoop).Last; last.Reason != "exit status 0" || !strings.Contains(last.Advice, "foreground") {
		t.Errorf("exit = %+v, want status 0 and the advice to stay in the foreground", last)
	}
}

func TestIgnoresStopSignal(t *testing.T) {
	spec := script(`trap '' TERM; echo deaf; while :; do sleep 60; done`)
	spec.StopTimeout = 100 * time.Millisecond
	g, log := startGroup(t, spec, 1)
	untilOutput(t, g, "deaf")
	pid := g.Status()[0].PID
	begin := time.Now()
	stop(t, g)
	if took := time.Since(begin); took < 100*time.Millisecond {
		t.Errorf("Stop took %v, less than the stop timeout", took)
	}
	if groupLives(pid) {
		t.Error("its process group is there after Stop")
	}
	if got := log.With("level=WARN", `msg="process killed"`, `why="did not end for 100ms after SIGTERM"`); len(got) != 1 {
		t.Errorf("kills logged: %q, want 1", got)
	}
	if last := g.Status()[0].Last; last.Reason != "killed by SIGKILL (killed)" || last.Advice != "" {
		t.Errorf("exit = %+v, want SIGKILL and no advice", last)
	}
}

// A process that has left its group is killed all the same.
func TestLeavesProcessGroup(t *testing.T) {
	spec := self("desert")
	spec.StopTimeout = 10 * time.Millisecond
	g, _ := startGroup(t, spec, 1)
	untilOutput(t, g, "gone over")
	pid := g.Status()[0].PID
	stop(t, g)
	if !gone(pid) {
		t.Errorf("process %d is there after Stop", pid)
	}
	if last := g.Status()[0].Last; last.Reason != "killed by SIGKILL (killed)" {
		t.Errorf("exit = %+v, want SIGKILL", last)
	}
}

// A descendant that has left the process group may keep the output open. That
// must not keep anybody waiting.
func TestOutputKeptOpen(t *testing.T) {
	spec := script(`setsid sleep 60 & echo pid $!; exit 4`)
	spec.Backoff.Min = time.Hour
	g, _ := startGroup(t, spec, 1)
	begin := time.Now()
	st := untilState(t, g, Down)
	if len(st.Last.Output) == 1 {
		pid := number(t, strings.TrimPrefix(st.Last.Output[0], "pid "))
		defer syscall.Kill(pid, syscall.SIGKILL)
	}
	if took := time.Since(begin); st.Last.Reason != "exit status 4" || len(st.Last.Output) != 1 || took > 10*time.Second {
		t.Errorf("exit = %+v after %v, want status 4 and one line, at once", st.Last, took)
	}
	stop(t, g)
}

// A process ends with us, even if we have no time to end it.
func TestDiesWithUs(t *testing.T) {
	parent := exec.Command(os.Args[0])
	parent.Env = CleanEnv(childMode + "=parent " + shortDir(t))
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	defer parent.Wait()
	defer parent.Process.Kill()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	pid := number(t, line)
	if gone(pid) {
		t.Fatal("its process is not there")
	}
	parent.Process.Kill()
	eventually(t, "the end of the orphan", func() bool { return gone(pid) })
}

// The logs of a program that never stops are bounded; it is not held up.
func TestMuchOutput(t *testing.T) {
	g, log := startGroup(t, script(`yes | head -n 50000; echo done; exec sleep 60`), 1)
	untilOutput(t, g, "done")
	stop(t, g)
	n := len(log.With(`msg="process output"`))
	if n < outputBurst || n > outputBurst+20*outputRate {
		t.Errorf("%d lines logged, want a burst of %d and %d a second", n, outputBurst, outputRate)
	}
	if got := log.With("level=WARN", `msg="process output left out" backend=app slot=0`); len(got) == 0 {
		t.Error("nothing says that lines were left out")
	}
}

// A program that is replaced while its slot is down is found at the next start.
func TestCommandComesBack(t *testing.T) {
	path := t.TempDir() + "/app"
	if err := os.WriteFile(path, []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	spec := Spec{Name: "app", Args: []string{path}, Backoff: Backoff{Min: 5 * time.Millisecond, Max: 5 * time.Millisecond}}
	g, log := newGroup(t, spec, 1)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	last := untilState(t, g, CrashLoop).Last
	if want := "not started: the command " + path + " is not there"; last.Reason != want || last.Advice != "correct the path, or install it" {
		t.Errorf("exit = %+v, want %q", last, want)
	}
	if err := os.Symlink("/bin/cat", path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a start", func() bool { return len(log.With(`msg="process ready"`)) > 0 })
}
