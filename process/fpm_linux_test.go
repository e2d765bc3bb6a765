package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/testpeer"
)

// fpm returns a Spec of a php-fpm with two children, and the path of a script
// that says who runs it.
func fpm(t *testing.T) (spec Spec, script string) {
	t.Helper()
	dir := t.TempDir()
	write := func(name, text string) string {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return dir + "/" + name
	}
	conf := write("conf", fmt.Sprintf("[global]\nerror_log = /proc/self/fd/2\nprocess_control_timeout = 5s\n"+
		"[x]\nuser = %d\ngroup = %d\nlisten = /dev/null/x\npm = static\npm.max_children = 2\n", os.Geteuid(), os.Getegid()))
	return Spec{
		Name:       "fpm",
		Args:       []string{testpeer.Need(t, "php-fpm*", "php-fpm"), "-n", "--allow-to-run-as-root", "--nodaemonize", "--fpm-config", conf},
		Env:        CleanEnv("FPM_SOCKETS=/dev/null/x=3"),
		Listen:     AlsoOnDescriptor3,
		StopSignal: syscall.SIGQUIT,
		Ping:       getValues,
	}, write("pid.php", `<?php echo "process ", getmypid(), ".";`)
}

// getValues asks an application what it can, and takes any answer.
func getValues(ctx context.Context, network, address string) error {
	c, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if _, err := io.WriteString(c, "\x01\x09\x00\x00\x00\x00\x00\x00"); err != nil {
		return err
	}
	_, err = c.Read(make([]byte, 1))
	return err
}

var says = regexp.MustCompile(`process (\d+)\.`)

// whoRuns returns the process group of the process that runs a script. Of one
// that is gone again it is 0.
func whoRuns(t *testing.T, nc net.Conn) (pgid int, err error) {
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	b, err := io.ReadAll(nc)
	found := says.FindSubmatch(b)
	if found == nil {
		return 0, fmt.Errorf("the answer is %q, %w", b, errors.Join(err, io.ErrUnexpectedEOF))
	}
	pgid, _ = syscall.Getpgid(number(t, string(found[1])))
	return pgid, nil
}

// A php-fpm serves at our socket, which stays where it is, whoever ends it and
// how: who asks right after is answered by the successor, and nobody is refused.
func TestFPM(t *testing.T) {
	spec, script := fpm(t)
	g, log := startGroup(t, spec, 1)
	st := untilState(t, g, Ready)
	m := taking(g)
	path := m[0].Address
	if info, err := os.Lstat(path); err != nil || info.Mode() != os.ModeSocket|0o600 {
		t.Errorf("its socket: %v, %v, want mode 0600", info.Mode(), err)
	}
	ask := func() (int, error) {
		nc := connect(t, path)
		sendRequest(t, nc, script)
		return whoRuns(t, nc)
	}
	if pgid, err := ask(); pgid != st.PID {
		t.Errorf("group %d answers, %v, want %d", pgid, err, st.PID)
	}
	for _, sig := range []syscall.Signal{syscall.SIGKILL, syscall.SIGQUIT} {
		t.Run(signalName(sig), func(t *testing.T) {
			eventually(t, "two children", func() bool { st = untilState(t, g, Ready); return membersOf(st.PID) == 3 })
			syscall.Kill(st.PID, sig)
			eventually(t, "the end of all of it", func() bool { return gone(st.PID) && membersOf(st.PID) == 0 }) // a child that is left for a moment would take the request
			if pgid, err := ask(); pgid == st.PID || err != nil {
				t.Errorf("group %d answers after the end of %d, %v", pgid, st.PID, err)
			}
			eventually(t, "the successor", func() bool { return untilState(t, g, Ready).PID != st.PID })
			if last := g.Status()[0].Last; last.PID != st.PID || sig == syscall.SIGQUIT && last.Reason != "exit status 0" {
				t.Errorf("the last one ended with %q, want its own end", last.Reason)
			}
		})
	}
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("its socket: %v", err)
	}
	stop(t, g)
	if left, err := os.ReadDir(g.dir); err != nil || len(left) > 0 {
		t.Errorf("its folder: %v, %v, want it empty", left, err)
	}
	if killed := log.With(`msg="process killed"`); killed != nil {
		t.Errorf("it did not end when it was asked to: %q", killed)
	}
}

// In a restart the successor serves before its predecessor is asked to end.
func TestFPMRestart(t *testing.T) {
	spec, script := fpm(t)
	var asked sync.WaitGroup
	spec.Idle = func(context.Context, Member) { asked.Wait() }
	g, _ := startGroup(t, spec, 1)
	first := untilState(t, g, Ready)
	before := taking(g)
	asked.Add(1)
	if err := g.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := taking(g)
	if len(now) != 1 || now[0].PID == first.PID || now[0].Address == before[0].Address {
		t.Fatalf("members = %+v, after %+v, want another one", now, before)
	}
	for _, m := range []Member{before[0], now[0]} { // who has been sent to the old one is answered as well
		nc := connect(t, m.Address)
		sendRequest(t, nc, script)
		if pgid, err := whoRuns(t, nc); pgid != m.PID {
			t.Errorf("group %d answers at %s, %v, want %d", pgid, m.Address, err, m.PID)
		}
	}
	asked.Done()
	eventually(t, "the end of the old one", func() bool { return len(g.Status()) == 1 && membersOf(first.PID) == 0 })
	if _, err := os.Lstat(before[0].Address); !os.IsNotExist(err) {
		t.Errorf("the old socket: %v, want it gone", err)
	}
}

// A php-fpm that cannot find its socket says so, or it is said of it.
func TestFPMWithoutSocket(t *testing.T) {
	tests := []struct{ name, around, exit, output, advice string }{
		{"another environment", `exec env -u FPM_SOCKETS "$0" "$@"`, "exit status 78",
			"unable to bind listening socket for address '/dev/null/x': Not a directory", "taken FPM_SOCKETS out of its environment"},
		{"no descriptor 3", `exec "$0" "$@" 3<&-`, "did not answer for 2s after its start (killed by SIGKILL (killed))",
			"exited with code 0", "it must find its socket as descriptor 3, and that in FPM_SOCKETS"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			spec, _ := fpm(t)
			spec.Args = append([]string{"/bin/sh", "-c", tt.around}, spec.Args...)
			spec.StartTimeout, spec.Backoff.Limit = 2*time.Second, 1
			g, _ := startGroup(t, spec, 1)
			last := untilState(t, g, CrashLoop).Last
			if last.Reason != tt.exit || !strings.Contains(strings.Join(last.Output, "\n"), tt.output) || !strings.Contains(last.Advice, tt.advice) {
				t.Errorf("exit = %q, %q, want %q, %q\nits output:\n%s", last.Reason, last.Advice, tt.exit, tt.advice, strings.Join(last.Output, "\n"))
			}
			if left := membersOf(last.PID); left > 0 {
				t.Errorf("%d processes are left", left)
			}
		})
	}
}

// Who has children that nobody else would end is asked to end when we die.
func TestLastSignal(t *testing.T) {
	for _, tt := range []struct {
		env  []string
		want syscall.Signal
	}{
		{nil, syscall.SIGKILL},
		{[]string{"PHP_FCGI_CHILDREN=0", "FPM_SOCKETS="}, syscall.SIGKILL},
		{[]string{"PHP_FCGI_CHILDREN= 3"}, syscall.SIGTERM},
		{[]string{"FPM_SOCKETS=/x=3"}, syscall.SIGTERM},
	} {
		if got := attributes(&Spec{Env: tt.env}).Pdeathsig; got != tt.want {
			t.Errorf("with %q it gets %v, want %v", tt.env, got, tt.want)
		}
	}
}
