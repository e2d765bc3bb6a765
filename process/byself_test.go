package process

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// bound returns a Spec of a program that binds path by itself.
func bound(path string) Spec {
	spec := self("bind " + path)
	spec.Listen, spec.Address = BySelf, "unix:"+path
	spec.Backoff.Min = 10 * time.Millisecond
	return spec
}

func TestBySelf(t *testing.T) {
	path := shortDir(t) + "/app.sock"
	newSocket(t, path, false) // of a predecessor
	g, _ := startGroup(t, bound(path), 1)
	st := untilState(t, g, Ready)
	if got := whoAnswers(t, path); got != strconv.Itoa(st.PID) {
		t.Errorf("process %s answers, want %d", got, st.PID)
	}
	if m := taking(g); len(m) != 1 || m[0] != (Member{0, st.PID, "unix", path}) {
		t.Errorf("members = %+v, want the process on %s", m, path)
	}
	syscall.Kill(st.PID, syscall.SIGKILL) // leaves its socket
	eventually(t, "the successor", func() bool { s := g.Status()[0]; return s.State == Ready && s.PID != st.PID })
	if got, want := whoAnswers(t, path), strconv.Itoa(g.Status()[0].PID); got != want {
		t.Errorf("process %s answers, want the successor, %s", got, want)
	}
	syscall.Kill(g.Status()[0].PID, syscall.SIGKILL)
	stop(t, g)
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("socket after Stop: %v", err)
	}
}

func TestBySelfTCP(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	spec := script("exec sleep 60")
	spec.Listen, spec.Address = BySelf, l.Addr().String()
	g, _ := startGroup(t, spec, 1)
	eventually(t, "a refused start", func() bool { return g.Status()[0].Last != nil })
	if got, want := g.Status()[0].Last.Reason, "not started: somebody else listens on "+spec.Address; got != want {
		t.Errorf("exit = %q, want %q", got, want)
	}
}

// What is at the address and not ours stays there.
func TestBySelfInTheWay(t *testing.T) {
	tests := []struct {
		name  string
		setup func(t *testing.T, path string)
		want  string
	}{
		{"a file", func(t *testing.T, path string) { os.WriteFile(path, []byte("mine"), 0o600) },
			"not started: PATH is there and is not a socket; remove it, or choose another path"},
		{"somebody listens", func(t *testing.T, path string) { newSocket(t, path, true) },
			"not started: somebody else listens on unix:PATH; end that program, or connect to it instead of starting one"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := shortDir(t) + "/app.sock"
			tt.setup(t, path)
			g, _ := startGroup(t, bound(path), 1)
			eventually(t, "a refused start", func() bool { return g.Status()[0].Last != nil })
			last := g.Status()[0].Last
			if got := strings.ReplaceAll(last.Reason+"; "+last.Advice, path, "PATH"); got != tt.want {
				t.Errorf("exit = %q, want %q", got, tt.want)
			}
			stop(t, g)
			if _, err := os.Lstat(path); err != nil {
				t.Errorf("what was in the way: %v", err)
			}
		})
	}
}

func TestNeverListens(t *testing.T) {
	path := shortDir(t) + "/app.sock"
	spec := script("exec sleep 60")
	spec.Listen, spec.Address, spec.StartTimeout = BySelf, path, 50*time.Millisecond
	spec.Backoff.Limit = 1
	g, log := startGroup(t, spec, 1)
	last := untilState(t, g, CrashLoop).Last
	if want := "did not listen on unix:" + path + " for 50ms (killed by SIGKILL (killed))"; last.Reason != want {
		t.Errorf("exit = %q, want %q", last.Reason, want)
	}
	want := fmt.Sprintf("its configuration must name this address, and user %d must be allowed to make a socket there", os.Geteuid())
	if last.Advice != want || !gone(last.PID) {
		t.Errorf("advice = %q, gone %v, want %q, gone", last.Advice, gone(last.PID), want)
	}
	if got := log.With(`msg="process ready"`); got != nil {
		t.Errorf("logged %q", got)
	}
}
