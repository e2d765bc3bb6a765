package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/sluice-gateway/sluice/internal/testlog"
	"github.com/sluice-gateway/sluice/internal/testpeer"
	"github.com/sluice-gateway/sluice/internal/testproc"
)

// These tests run spawn-fcgi and multiwatch themselves, and then what stands in
// for them, and look at what there is then.

// spawnFCGI is the name under which it stands in for spawn-fcgi.
const spawnFCGI = "spawn-fcgi"

// A spawning is what one run of a spawn-fcgi has left.
type spawning struct {
	code           int
	stdout, stderr string
	socket         string // mode, user and group of it; "" if there is none
	pidFile        string // digits are written as 9; "none" if there is none
	answers        bool
	as             string // whom the application runs as: users, groups, and other groups
}

// stdoutShape replaces what differs from run to run.
var stdoutShape = regexp.MustCompile(`\d+`)

// pidSaid finds the number of a process that was started.
var pidSaid = regexp.MustCompile(`PID: (\d+)`)

// spawner runs one of the two programs.
type spawner struct {
	t       *testing.T
	program string // a whole path
	umask   int
	env     []string
	dir     string // where it runs; DIR in arguments
}

// ours returns the path of the program that the tests run under a name.
func ours(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// run runs the program to its end, and sees to it that what it has started ends
// with the test. A supervisor that held on to our pipes would keep it from
// returning.
func (s *spawner) run(args ...string) (code int, stdout, stderr string) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, s.program, args...)
	cmd.Dir = s.dir
	cmd.Env = append(append(os.Environ(), "GORACE="+quickRace()), s.env...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	old := syscall.Umask(s.umask)
	err := cmd.Start()
	syscall.Umask(old)
	if err == nil {
		err = cmd.Wait()
	}
	if ctx.Err() != nil {
		s.t.Fatalf("%v does not return: %s%s", cmd, &out, &errs)
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		s.t.Fatal(err)
	}
	for _, m := range pidSaid.FindAllStringSubmatch(out.String(), -1) {
		pid, _ := strconv.Atoi(m[1])
		if p, err := readProc(pid); err == nil {
			s.t.Cleanup(func() { endProc(s.t, p) })
		}
	}
	return code, out.String(), errs.String()
}

// endProc ends a process that is not our child, and waits for that.
func endProc(t *testing.T, p proc) {
	t.Helper()
	for end := time.Now().Add(patience); lives(p); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Errorf("process %d (%s) does not end on SIGTERM", p.pid, p.name)
			syscall.Kill(p.pid, syscall.SIGKILL)
			return
		}
		syscall.Kill(p.pid, syscall.SIGTERM)
	}
}

// see runs the program and looks at what there is then.
func (s *spawner) see(network, address string, args ...string) spawning {
	s.t.Helper()
	var g spawning
	g.code, g.stdout, g.stderr = s.run(args...)
	g.stderr = strings.ReplaceAll(g.stderr, s.dir, "DIR")
	if info, err := os.Lstat(filepath.Join(s.dir, "s")); err == nil {
		st := info.Sys().(*syscall.Stat_t)
		g.socket = fmt.Sprintf("%v %d:%d", info.Mode(), st.Uid, st.Gid)
	}
	g.pidFile = "none"
	if b, err := os.ReadFile(filepath.Join(s.dir, "pid")); err == nil {
		g.pidFile = stdoutShape.ReplaceAllString(string(b), "9")
	}
	g.as = s.application(g.stdout)
	if g.code == 0 && address != "" {
		ctx, cancel := context.WithTimeout(s.t.Context(), patience)
		defer cancel()
		err := request(ctx, network, address)
		if g.answers = err == nil; !g.answers {
			s.t.Logf("%s: %v", s.program, err)
		}
	}
	return g
}

// application returns whom the application runs as whose start was said: the
// process itself, or the first one below a supervisor.
func (s *spawner) application(said string) (as string) {
	m := pidSaid.FindStringSubmatch(said)
	if m == nil {
		return ""
	}
	pid, _ := strconv.Atoi(m[1])
	if s.program == ours(s.t, spawnFCGI) {
		below := descendants(s.t, pid)
		if len(below) == 0 {
			return "nobody"
		}
		pid = below[0].pid
	}
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	ids := make(map[string][]string)
	for _, m := range regexp.MustCompile(`(?m)^(Uid|Gid|Groups):(.*)$`).FindAllStringSubmatch(string(status), -1) {
		ids[m[1]] = strings.Fields(m[2])
	}
	// initgroups(3) names the group a second time.
	ids["Groups"] = slices.DeleteFunc(ids["Groups"], func(g string) bool { return slices.Contains(ids["Gid"], g) })
	return fmt.Sprint(ids)
}

// sideBySide is a case of TestBesideSpawnFCGI.
type sideBySide struct {
	name  string
	args  []string // DIR is a folder of this run, PORT a free port, USED one that is not; the socket is DIR/s, the PID file DIR/pid
	root  bool     // only root can do that
	umask int      // 0 stands for 022
	env   []string
	link  string // a program that is also DIR/echo

	dies bool // spawn-fcgi sees the death only if it comes within 100 ms

	// What differs, and is to: the rest must be the same.
	code    int  // of ours; 0: the same
	gone    bool // ours leaves no socket, and no PID file, behind
	onePID  bool // ours has one line and one PID for all processes
	differs bool // ours does what spawn-fcgi refuses, or the other way round: only code is looked at
}

// besideSpawnFCGI are what both programs are run with. php is php-cgi, c a
// program with libfcgi.
func besideSpawnFCGI(php, c, perl string) []sideBySide {
	const echo = "DIR/../echo.pl"
	nobody := []string{"-s", "DIR/s", "-u", "nobody"}
	return []sideBySide{
		{name: "PHP on a unix socket", args: []string{"-s", "DIR/s", "-P", "DIR/pid", "--", php, "-n"}},
		{name: "a PID file that is there", args: []string{"-s", "DIR/s", "-P", "DIR/../old", "--", php, "-n"}},
		{name: "relative paths", args: []string{"-s", "s", "-P", "pid", "--", php, "-n"}},
		{name: "two processes in C", args: []string{"-s", "DIR/s", "-P", "DIR/pid", "-F", "2", "--", c}, onePID: true},
		{name: "Perl on TCP", args: []string{"-a", "127.0.0.1", "-p", "PORT", "-P", "DIR/pid", "--", perl, echo}},
		{name: "PHP on every address", args: []string{"-p", "PORT", "--", php, "-n"}},
		{name: "the application's own guard", args: []string{"-p", "PORT", "--", c}, env: []string{"FCGI_WEB_SERVER_ADDRS=192.0.2.1"}},
		{name: "the same, and we may pass", args: []string{"-p", "PORT", "--", c}, env: []string{"FCGI_WEB_SERVER_ADDRS=192.0.2.1,127.0.0.1"}},
		{name: "outside of no chroot", args: []string{"-S", "-s", "DIR/s", "--", c}},
		{name: "somebody listens on the port", args: []string{"-a", "127.0.0.1", "-p", "USED", "--", c}},
		{name: "mode", args: []string{"-s", "DIR/s", "-M", "0606", "--", c}},
		{name: "mode with less digits", args: []string{"-s", "DIR/s", "-M", "600", "--", c}},
		{name: "umask 0", args: []string{"-s", "DIR/s", "--", c}, umask: -1},
		{name: "umask 077", args: []string{"-s", "DIR/s", "--", c}, umask: 0o077},
		{name: "by the shell", args: []string{"-s", "DIR/s", "-f", php + " -n -d a=b"}},
		{name: "PHP with children of its own", args: []string{"-s", "DIR/s", "-C", "2", "-P", "DIR/pid", "--", php, "-n"}},
		{name: "in a folder", args: []string{"-d", "DIR/..", "-s", "DIR/s", "--", perl, "echo.pl"}},
		{name: "without --", args: []string{"-s", "DIR/s", c}},
		{name: "letters in one word", args: []string{"-b5", "-F1", "-sDIR/s", "--", c}},

		{name: "user", args: append(nobody, "--", c), root: true},
		{name: "user by number", args: []string{"-s", "DIR/s", "-u", "65534", "--", c}, root: true},
		{name: "user and group", args: append(nobody, "-g", "daemon", "-M", "0660", "--", c), root: true},
		{name: "user and another group", args: []string{"-s", "DIR/s", "-u", "www-data", "-g", "games", "--", c}, root: true},
		{name: "group", args: []string{"-s", "DIR/s", "-g", "games", "--", c}, root: true},
		{name: "socket's group", args: append(nobody, "-g", "daemon", "-G", "www-data", "--", c), root: true},
		{name: "socket's user", args: append(nobody, "-U", "www-data", "--", c), root: true},
		{name: "socket's user alone", args: []string{"-s", "DIR/s", "-U", "www-data", "--", c}, root: true},
		{name: "no such user", args: []string{"-s", "DIR/s", "-u", "nosuch", "--", c}, root: true},
		{name: "user root", args: []string{"-s", "DIR/s", "-u", "root", "--", c}, root: true},
		{name: "user 0", args: []string{"-s", "DIR/s", "-u", "0", "--", c}, root: true},
		{name: "group root", args: append(nobody, "-g", "root", "--", c), root: true},
		{name: "no such group", args: append(nobody, "-g", "nosuch", "--", c), root: true},
		{name: "socket's user root", args: append(nobody, "-U", "root", "--", c), root: true},
		{name: "chroot that is not there", args: []string{"-s", "/s", "-c", "DIR/none", "--", c}, root: true},

		{name: "chroot", args: []string{"-c", "DIR", "-s", "/s", "-u", "nobody", "--", "/echo"}, root: true, link: c},
		{name: "chroot, with a folder", args: []string{"-c", "DIR", "-d", "/run", "-s", "s", "-u", "nobody", "--", "/echo"}, root: true, link: c},
		{name: "chroot, socket outside", args: []string{"-c", "DIR", "-S", "-s", "DIR/s", "-u", "nobody", "--", "/echo"}, root: true, link: c},
		{name: "chroot, not its program", args: []string{"-c", "DIR", "-s", "/s", "-u", "nobody", "--", c}, root: true, differs: true, code: 255},

		{name: "no command", args: []string{"-s", "DIR/s"}},
		{name: "no socket", args: []string{"-f", "/bin/true"}},
		{name: "two sockets", args: []string{"-s", "DIR/s", "-p", "PORT", "--", c}},
		{name: "port 0", args: []string{"-p", "0", "--", c}, differs: true, code: 255}, // spawn-fcgi: no socket given
		{name: "no address", args: []string{"-a", "localhost", "-p", "PORT", "--", c}},
		{name: "no folder for the socket", args: []string{"-s", "DIR/none/s", "--", c}},
		{name: "no folder to start in", args: []string{"-s", "DIR/s", "-d", "DIR/none", "--", c}, gone: true},
		{name: "no folder for the PID file", args: []string{"-s", "DIR/s", "-P", "DIR/none/pid", "--", c}},
		{name: "a folder for a PID file", args: []string{"-s", "DIR/s", "-P", "DIR/..", "--", c}},
		{name: "somebody listens", args: []string{"-s", "DIR/../used", "--", c}},
		{name: "exit status 7", args: []string{"-s", "DIR/s", "-P", "DIR/pid", "--", "/bin/sh", "-c", "exit 7"}, dies: true, gone: true},
		{name: "killed", args: []string{"-s", "DIR/s", "--", "/bin/sh", "-c", "kill -9 $$"}, dies: true, gone: true},
		{name: "no program", args: []string{"-s", "DIR/s", "--", "/nonexistent"}, dies: true, gone: true},
		{name: "a folder for a program", args: []string{"-s", "DIR/s", "--", "/usr"}, dies: true, gone: true},
		{name: "in the foreground, no program", args: []string{"-n", "-s", "DIR/s", "--", "/nonexistent"}, gone: true},
		{name: "in the foreground, exit status 3", args: []string{"-n", "-s", "DIR/s", "--", "/bin/sh", "-c", "exit 3"}, gone: true},
		{name: "help", args: []string{"-h"}, differs: true},
		{name: "help, the other letter", args: []string{"-?"}, differs: true},

		// What spawn-fcgi gets wrong.
		{name: "exit status 0 at once", args: []string{"-s", "DIR/s", "--", "/bin/true"}, differs: true, code: 1},
		{name: "death after half a second", args: []string{"-s", "DIR/s", "--", "/bin/sh", "-c", "sleep 0.5; exit 7"}, differs: true, code: 7},
		{name: "unknown flag", args: []string{"-z", "-s", "DIR/s", "--", c}, differs: true, code: 255},
		{name: "no processes", args: []string{"-F", "0", "-s", "DIR/s", "--", c}, differs: true, code: 255},
		{name: "less than none", args: []string{"-F", "-1", "-s", "DIR/s", "--", c}, differs: true, code: 255},
		{name: "backlog below 0", args: []string{"-b", "-5", "-s", "DIR/s", "--", c}, differs: true, code: 255},
		{name: "port 99999", args: []string{"-p", "99999", "--", c}, differs: true, code: 255},
		{name: "no mode", args: []string{"-M", "rw", "-s", "DIR/s", "--", c}, differs: true, code: 255},
		{name: "no number", args: []string{"-F", "x", "-s", "DIR/s", "--", c}, differs: true, code: 255},
		{name: "a file where the socket shall be", args: []string{"-s", "DIR/../file", "--", c}, differs: true, code: 255},
		{name: "user without a name or a group", args: []string{"-s", "DIR/s", "-u", "54321", "--", c}, root: true, differs: true, code: 255},
	}
}

func TestBesideSpawnFCGI(t *testing.T) {
	real := testpeer.NeedFile(t, "/usr/bin/spawn-fcgi", "spawn-fcgi")
	php := testpeer.NeedPHP(t, "php-cgi", "php-cgi")
	perl := testpeer.NeedPerl(t, "FCGI", "libfcgi-perl")
	for _, tt := range besideSpawnFCGI(php, libfcgiProgram(t), perl) {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root && os.Geteuid() != 0 {
				t.Skip("only root can do that")
			}
			theirs := tt.run(t, real)
			ours := tt.run(t, ours(t, spawnFCGI))
			tt.compare(t, theirs, ours)
		})
	}
}

// run runs one of the programs as the case has it, in a folder of its own.
func (tt *sideBySide) run(t *testing.T, program string) (g spawning) {
	t.Helper()
	// On a busy machine 100 ms are short.
	for range 20 {
		dir := tt.folder(t)
		network, address := "unix", filepath.Join(dir, "s")
		port := freePort(t)
		used, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer used.Close()
		_, taken, _ := net.SplitHostPort(used.Addr().String())
		args := make([]string, len(tt.args))
		for i, a := range tt.args {
			if a == "PORT" {
				network, address = "tcp", net.JoinHostPort("127.0.0.1", port)
			}
			args[i] = strings.NewReplacer("DIR", dir, "PORT", port, "USED", taken).Replace(a)
		}
		if tt.differs {
			address = ""
		}
		s := &spawner{t: t, program: program, umask: tt.mask(), env: tt.env, dir: dir}
		if g = s.see(network, address, args...); !tt.dies || g.code != 0 {
			break
		}
	}
	return g
}

func (tt *sideBySide) mask() int {
	switch tt.umask {
	case 0:
		return 0o022
	case -1:
		return 0
	}
	return tt.umask
}

// folder makes the folder of one run, and what else its arguments may name
// beside it.
func (tt *sideBySide) folder(t *testing.T) string {
	t.Helper()
	top := testproc.ShortDir(t)
	dir := filepath.Join(top, "d")
	echo, err := os.ReadFile("../../fastcgi/testdata/peers/echo.pl")
	if err == nil {
		err = errors.Join(os.Mkdir(dir, 0o755),
			os.WriteFile(filepath.Join(top, "echo.pl"), echo, 0o644),
			os.WriteFile(filepath.Join(top, "old"), []byte("999999999"), 0o644),
			os.WriteFile(filepath.Join(top, "file"), nil, 0o644))
	}
	if err == nil && tt.link != "" {
		// Without a /dev/null spawn-fcgi's child holds on to our pipes.
		err = errors.Join(os.Mkdir(filepath.Join(dir, "run"), 0o755), os.Mkdir(filepath.Join(dir, "dev"), 0o755),
			os.WriteFile(filepath.Join(dir, "dev/null"), nil, 0o600), os.Chmod(filepath.Join(dir, "dev/null"), 0o666), os.Link(tt.link, filepath.Join(dir, "echo")))
	}
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", filepath.Join(top, "used"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return dir
}

func (tt *sideBySide) compare(t *testing.T, theirs, ours spawning) {
	t.Helper()
	want := theirs
	if tt.differs || tt.code != 0 {
		want.code = tt.code
	}
	if ours.code != want.code {
		t.Errorf("exit status %d, want %d, and spawn-fcgi's is %d\n%s", ours.code, want.code, theirs.code, ours.stderr)
	}
	if tt.differs {
		return
	}
	want.stdout = stdoutShape.ReplaceAllString(theirs.stdout, "9")
	if tt.onePID {
		line, _, _ := strings.Cut(want.stdout, "\n")
		want.stdout = line + "\n"
		want.pidFile, _, _ = strings.Cut(want.pidFile, "\n")
	}
	if tt.gone {
		want.socket, want.pidFile = "", "none"
	}
	if got := stdoutShape.ReplaceAllString(ours.stdout, "9"); got != want.stdout {
		t.Errorf("stdout %q, want %q", got, want.stdout)
	}
	if ours.as != want.as {
		t.Errorf("it runs as %s, want %s", ours.as, want.as)
	}
	if ours.socket != want.socket || ours.pidFile != want.pidFile || ours.answers != want.answers {
		t.Errorf("socket %q, PID file %q, answers: %v; want %q, %q, %v\n%s", ours.socket, ours.pidFile, ours.answers,
			want.socket, want.pidFile, want.answers, ours.stderr)
	}
	if first, _, _ := strings.Cut(theirs.stderr, "\n"); first != "" && !tt.says(ours.stderr, first) {
		t.Errorf("stderr %q, want it to begin as spawn-fcgi's: %q", ours.stderr, first)
	}
}

// says reports whether a message is the other's, which may be followed by more.
// Scripts look at that of a child that has ended.
func (tt *sideBySide) says(got, theirs string) bool {
	if strings.Contains(theirs, "child exited with: 2") || strings.Contains(theirs, "child exited with: 13") {
		return strings.Contains(got, "spawn-fcgi: exec failed: ") // known before there was a child
	}
	if rest, ok := strings.CutPrefix(theirs, "spawn-fcgi: exec failed: "); ok {
		return strings.Contains(got, rest)
	}
	if strings.HasPrefix(theirs, "spawn-fcgi: ") {
		return strings.Contains(got, theirs)
	}
	return true
}

// libfcgiProgram builds the C program of the tests. It is one that needs no
// library, for a chroot.
func libfcgiProgram(t *testing.T) string {
	t.Helper()
	testpeer.NeedFile(t, "/usr/include/fcgiapp.h", "libfcgi-dev")
	program := filepath.Join(testproc.ShortDir(t), "echo")
	gcc := exec.Command(testpeer.Need(t, "gcc", "gcc"), "-static", "-w", "-std=gnu99", "-O1", "-o", program, "../../fastcgi/testdata/peers/echo.c", "-lfcgi")
	if out, err := gcc.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", gcc, err, out)
	}
	return program
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// The supervisor is in a session of its own, starts again what dies, ends
// everything with SIGTERM, and leaves nothing behind.
func TestSpawnSupervises(t *testing.T) {
	php := testpeer.NeedPHP(t, "php-cgi", "php-cgi")
	dir := testproc.ShortDir(t)
	s := &spawner{t: t, program: ours(t, "sluice"), umask: 0o022, dir: dir, env: []string{"SECRET=1", "ALLOWED_ENV=SHOWN", "SHOWN=2"}}
	code, stdout, stderr := s.run("spawn", "-s", "s", "-P", "pid", "-F", "2", "--log-file", "log", "--", php, "-n")
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	pid, _ := strconv.Atoi(string(text))
	if want := fmt.Sprintf("sluice: child spawned successfully: PID: %d\n", pid); code != 0 || stdout != want || stderr != "" || err != nil {
		t.Fatalf("exit status %d, %q, %q, PID file %q, %v, want 0 and %q", code, stdout, stderr, text, err, want)
	}
	supervisor, err := readProc(pid)
	if err != nil {
		t.Fatal(err)
	}
	if sid, err := sessionOf(pid); err != nil || sid != pid {
		t.Errorf("session %d, %v, want %d", sid, err, pid)
	}
	first := descendants(t, pid)
	if len(first) != 2 {
		t.Fatalf("processes %v, want two", first)
	}
	env, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", first[0].pid))
	if err != nil || bytes.Contains(env, []byte("SECRET")) || !bytes.Contains(env, []byte("SHOWN=2")) {
		t.Errorf("environment %q, %v, want SHOWN in it and no SECRET", env, err)
	}
	if err := syscall.Kill(first[0].pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "a new process", func() bool { // and not only what is left of the old one
		now := slices.DeleteFunc(descendants(t, pid), func(p proc) bool { return !lives(p) })
		return len(now) == 2 && now[0].pid != first[0].pid && now[1].pid != first[0].pid
	})
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	await(t, "new processes after SIGHUP", func() bool { return !lives(first[1]) && len(descendants(t, pid)) == 2 })
	answers(t, "unix", filepath.Join(dir, "s"))

	last := descendants(t, pid)
	endProc(t, supervisor)
	for _, p := range last {
		if lives(p) {
			t.Errorf("process %d is left", p.pid)
		}
	}
	for _, name := range []string{"s", "pid"} {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("file %s is left: %v", name, err)
		}
	}
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil || !bytes.Contains(log, []byte("killed by SIGKILL")) || bytes.Contains(log, []byte("level=ERROR")) {
		t.Errorf("log, %v:\n%s", err, log)
	}
}

// Even SIGKILL to the supervisor leaves no process behind.
func TestSpawnLeavesNoOrphans(t *testing.T) {
	php := testpeer.NeedPHP(t, "php-cgi", "php-cgi")
	dir := testproc.ShortDir(t)
	s := &spawner{t: t, program: ours(t, "sluice"), umask: 0o022, dir: dir}
	if code, stdout, stderr := s.run("spawn", "-s", "s", "-P", "pid", "--", php, "-n"); code != 0 {
		t.Fatalf("exit status %d, %q, %q", code, stdout, stderr)
	}
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := strconv.Atoi(string(text))
	processes := descendants(t, pid)
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil || len(processes) != 1 {
		t.Fatalf("%v, processes %v, want one", err, processes)
	}
	await(t, "the end of both", func() bool { return !lives(processes[0]) && !runs(pid) })
	// What it left is no obstacle to the next one.
	if code, stdout, stderr := s.run("spawn", "-s", "s", "-P", "pid", "--", php, "-n"); code != 0 {
		t.Errorf("the next one: exit status %d, %q, %q", code, stdout, stderr)
	}
}

// Who does not wait for the application to get up ends it, also with Ctrl-\.
func TestSpawnImpatience(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) { impatience(t, sig) })
	}
}

func impatience(t *testing.T, sig syscall.Signal) {
	ctx := bounded(t)
	dir := testproc.ShortDir(t)
	cmd := exec.CommandContext(ctx, ours(t, "sluice"), "spawn", "-s", "s", "-P", "pid", "--start-timeout", "1m", "--", "/bin/sleep", "60")
	cmd.Dir = dir
	var said testlog.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var started []proc
	await(t, "the application", func() bool {
		started = descendants(t, cmd.Process.Pid)
		return len(started) == 2 && started[1].name == "sleep"
	})
	t.Cleanup(func() { endProc(t, started[0]) })
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 1 || !strings.Contains(said.String(), "ended before the application was up") {
		t.Errorf("it ended with %v, want status 1\n%.500s", err, &said)
	}
	for _, p := range started {
		if lives(p) {
			t.Errorf("process %d (%s) is left", p.pid, p.name)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("files %v, %v are left, want none", left, err)
	}
}

// The processes are what the flags say.
func TestSpawnIsolates(t *testing.T) {
	php := testpeer.NeedPHP(t, "php-cgi", "php-cgi")
	s := &spawner{t: t, program: ours(t, "sluice"), umask: 0o022, dir: testproc.ShortDir(t)}
	code, stdout, stderr := s.run("spawn", "-s", "s", "-d", s.dir, "--umask", "027", "--nice", "7", "--limit", "nofile=64:128", "--no-new-privs",
		"--env", "A=b c", "--", "/bin/sh", "-c",
		`(umask; nice; grep NoNewPrivs /proc/self/status; pwd; echo "$A"; ulimit -n; ulimit -Hn) > is; exec "$0" -n`, php)
	if code != 0 {
		t.Fatalf("exit status %d, %q, %q", code, stdout, stderr)
	}
	is, err := os.ReadFile(filepath.Join(s.dir, "is"))
	want := "0027\n7\nNoNewPrivs:\t1\n" + s.dir + "\nb c\n64\n128\n"
	if err != nil || string(is) != want {
		t.Errorf("it is %q, %v, want %q", is, err, want)
	}
}

// A path that is longer than the kernel's structure for it is a path.
func TestSpawnLongPath(t *testing.T) {
	php := testpeer.NeedPHP(t, "php-cgi", "php-cgi")
	s := &spawner{t: t, program: ours(t, spawnFCGI), umask: 0o022, dir: testproc.ShortDir(t)}
	long := strings.Repeat("a", 90) + "/" + strings.Repeat("b", 70)
	if err := os.Mkdir(filepath.Dir(filepath.Join(s.dir, long)), 0o755); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := s.run("-s", long, "--", php, "-n"); code != 0 {
		t.Fatalf("exit status %d, %q, %q", code, stdout, stderr)
	}
	if err := os.Symlink(filepath.Dir(long), filepath.Join(s.dir, "l")); err != nil {
		t.Fatal(err)
	}
	answers(t, "unix", filepath.Join(s.dir, "l", strings.Repeat("b", 70)))
}

// A changed file brings new processes.
func TestSpawnWatches(t *testing.T) {
	php := testpeer.NeedPHP(t, "php-cgi", "php-cgi")
	dir := testproc.ShortDir(t)
	file := filepath.Join(dir, "app.php")
	if err := os.WriteFile(file, []byte("<?php 1;"), 0o644); err != nil {
		t.Fatal(err)
	}
	s := &spawner{t: t, program: ours(t, "sluice"), umask: 0o022, dir: dir}
	if code, stdout, stderr := s.run("spawn", "-s", "s", "-P", "pid", "--watch", "app.php", "--", php, "-n"); code != 0 {
		t.Fatalf("exit status %d, %q, %q", code, stdout, stderr)
	}
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, _ := strconv.Atoi(string(text))
	was := descendants(t, pid)
	if err := os.WriteFile(file, []byte("<?php 22;"), 0o644); err != nil || len(was) != 1 {
		t.Fatalf("%v, processes %v, want one", err, was)
	}
	await(t, "a new process", func() bool { return !lives(was[0]) && len(descendants(t, pid)) == 1 })
	answers(t, "unix", filepath.Join(dir, "s"))
}

// As process 1 it stays, collects the processes that have lost their parent,
// and ends what there is.
func TestSpawnAsInit(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make a PID namespace")
	}
	php := testpeer.NeedPHP(t, "php-cgi", "php-cgi")
	unshare := testpeer.Need(t, "unshare", "util-linux")
	dir := testproc.ShortDir(t)
	ctx := bounded(t)
	// The shell in the middle ends at once; the sleep is then an orphan, in a
	// session of its own.
	script := fmt.Sprintf(`sh -c 'setsid sleep 0.7 & :'; exec %s -n`, php)
	cmd := exec.CommandContext(ctx, unshare, "-pf", "--mount-proc", "--kill-child", ours(t, "sluice"), "spawn", "-s", "s", "--", "/bin/sh", "-c", script)
	cmd.Dir = dir
	var log testlog.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // the context bounds it; awaited below
	var init, orphan proc
	await(t, "the orphan", func() bool {
		for _, p := range descendants(t, cmd.Process.Pid) {
			switch {
			case p.parent == cmd.Process.Pid:
				init = p
			case p.name == "sleep" && p.parent == init.pid:
				orphan = p
			}
		}
		return orphan.pid != 0
	})
	await(t, "nothing of the orphan, not even a zombie", func() bool {
		now, err := readProc(orphan.pid)
		return err != nil || now.start != orphan.start
	})
	answers(t, "unix", filepath.Join(dir, "s"))
	if err := syscall.Kill(init.pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Errorf("it ended with %v, want status 0\n%s", err, &log)
	}
}

// The signals of multiwatch, side by side.
func TestBesideMultiwatch(t *testing.T) {
	multiwatch := testpeer.Need(t, "multiwatch", "multiwatch")
	teller := ours(t, "tell-signals")
	const hup, intr, quit, term, usr1, usr2 = syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2
	for _, sent := range [][]syscall.Signal{
		{hup}, {intr}, {quit}, {term}, {usr1},
		{hup, hup}, {intr, intr}, {quit, quit}, {term, term}, {usr1, usr1},
		{hup, term}, {usr2, usr2, intr, usr2, hup},
	} {
		t.Run(fmt.Sprint(sent), func(t *testing.T) {
			n := strconv.Itoa(len(sent))
			// The nice signal is that of no option: multiwatch 1.0.0 takes every
			// name after -s for HUP.
			theirs := tellSignals(t, sent, multiwatch, "--", teller, "told", n)
			ours := tellSignals(t, sent, ours(t, "sluice"), "spawn", "-n", "--no-ping", "--copy-env", "GORACE", "-s", "s", "--signal", "USR1", "--", teller, "told", n)
			if ours != theirs {
				t.Errorf("ours: %s\nmultiwatch: %s", ours, theirs)
			}
		})
	}
}

// tellSignals starts a program that starts tell-signals, sends it signals, one
// when the one before has arrived, and returns what arrived and the exit status.
func tellSignals(t *testing.T, sent []syscall.Signal, program string, args ...string) string {
	t.Helper()
	ctx := bounded(t)
	dir := testproc.ShortDir(t)
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GORACE="+quickRace())
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	told := func() string {
		b, _ := os.ReadFile(filepath.Join(dir, "told"))
		return string(b)
	}
	for i, sig := range sent {
		await(t, fmt.Sprintf("line %d", i+1), func() bool { return strings.Count(told(), "\n") == i+1 })
		if err := cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	err := cmd.Wait()
	return fmt.Sprintf("%s, then %v", strings.ReplaceAll(strings.TrimSpace(told()), "\n", ", "), err)
}

// Who keeps dying is given up; multiwatch then says that all is well.
func TestSpawnGivesUp(t *testing.T) {
	multiwatch := testpeer.Need(t, "multiwatch", "multiwatch")
	count := func(dir string) int {
		b, _ := os.ReadFile(filepath.Join(dir, "runs"))
		return len(b)
	}
	for _, tt := range []struct {
		program string
		args    []string
		code    int
	}{
		{multiwatch, []string{"-r", "2", "--"}, 0},
		{ours(t, "sluice"), []string{"spawn", "-n", "-s", "s", "--retry", "2", "--"}, 1},
		{ours(t, spawnFCGI), []string{"-n", "-s", "s", "--retry", "2", "--"}, 7},
		{ours(t, spawnFCGI), []string{"-s", "s", "--retry", "2", "--"}, 7},
	} {
		s := &spawner{t: t, program: tt.program, umask: 0o022, dir: testproc.ShortDir(t)}
		code, stdout, stderr := s.run(append(tt.args, "/bin/sh", "-c", "printf x >> runs; exit 7")...)
		if code != tt.code || count(s.dir) != 3 {
			t.Errorf("%s %q: exit status %d after %d runs, want %d after 3: %s%s", tt.program, tt.args, code, count(s.dir), tt.code, stdout, stderr)
		}
	}
}

// A socket that is handed over is descriptor 0, as between spawn-fcgi and
// multiwatch.
func TestSpawnTakesDescriptor0(t *testing.T) {
	real := testpeer.NeedFile(t, "/usr/bin/spawn-fcgi", "spawn-fcgi")
	php := testpeer.NeedPHP(t, "php-cgi", "php-cgi")
	s := &spawner{t: t, program: real, umask: 0o022, dir: testproc.ShortDir(t)}
	if code, stdout, stderr := s.run("-s", filepath.Join(s.dir, "s"), "--", ours(t, "sluice"), "spawn", "-n", "-F", "2", "--", php, "-n"); code != 0 {
		t.Fatalf("exit status %d, %q, %q", code, stdout, stderr)
	}
	answers(t, "unix", filepath.Join(s.dir, "s"))
}

// await waits until something is so.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("there is not, in time: %s", what)
		}
	}
}

// answers wants an application to answer.
func answers(t *testing.T, network, address string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := request(ctx, network, address); err != nil {
		t.Error(err)
	}
}

// request sends a request, and wants any answer.
func request(ctx context.Context, network, address string) error {
	client := &fastcgi.Client{MaxIdle: -1}
	defer client.Close()
	resp, err := client.RoundTrip(ctx, network, address, &cgi.Request{
		Method: "GET", Target: "/none", Proto: "HTTP/1.1", Host: "localhost", ContentLength: -1,
		Script: cgi.Script{Name: "/none", Filename: "/none"},
	})
	if err != nil {
		return err
	}
	return resp.Body.Close()
}

// sessionOf returns the session of a process (proc_pid_stat(5)).
func sessionOf(pid int) (int, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	f := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	return strconv.Atoi(f[3])
}
