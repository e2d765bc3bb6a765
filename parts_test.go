package sluice

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/sluice-gateway/sluice/internal/testpeer"
	"github.com/sluice-gateway/sluice/process"
)

// A part is an application that people run. Each answers with the number of a
// process.
type part struct {
	name    string
	backend func(t *testing.T, dir string) config.Backend
	path    string                      // of the request; empty: /
	besides func(t *testing.T, l *life) // what is to be seen of this one alone
}

var parts = []part{
	{name: "php-cgi", backend: phpCGI(""), path: "/pid.php"},
	{name: "php-cgi with children", backend: phpCGI("3"), path: "/pid.php", besides: childrenEnd},
	{name: "php-fpm", backend: phpFPM, path: "/pid.php"},
	{name: "libfcgi", backend: libfcgi},
	{name: "FCGI.pm", backend: fcgiPM("")},
	{name: "our own", backend: byScript(`exec "$0"`)},
	{name: "crashes at every third start", backend: byScript(`echo x >> starts; [ $(($(wc -l < starts) % 3)) != 0 ] || { echo no database; exit 3; }; exec "$0"`),
		besides: func(t *testing.T, l *life) {
			if len(l.g.log.With("process died", `exit="exit status 3"`)) == 0 {
				t.Error("it has not crashed")
			}
		}},
	{name: "ignores SIGTERM", backend: deaf, besides: func(t *testing.T, l *life) {
		if len(l.g.log.With("process killed", "did not end for 200ms after SIGTERM")) == 0 {
			t.Error("it has heeded SIGTERM")
		}
	}},
	{name: "starts others", backend: byScript(`sleep 60 & (trap "" TERM; exec sleep 60) & exec "$0"`)},
	// It holds on to the socket and to the output, which holds nobody up.
	{name: "starts daemons", backend: byScript(`setsid sh -c 'trap "" TERM HUP; exec sleep 300' & exec "$0"`), besides: func(t *testing.T, l *life) {
		await(t, "two processes, and a daemon of each", func() bool { return len(l.processes()) == 2*2 })
	}},
	{name: "leaks", backend: leaks, besides: isReplacedInTime},
}

// phpCGI runs php-cgi as a command, as people do who have done so before.
func phpCGI(children string) func(*testing.T, string) config.Backend {
	return func(t *testing.T, dir string) config.Backend {
		b := config.Backend{Command: []string{testpeer.NeedPHP(t, "php-cgi", "php-cgi"), "-n"}}
		if children != "" {
			b.Env = map[string]string{"PHP_FCGI_CHILDREN": children}
		}
		return b
	}
}

func phpFPM(t *testing.T, _ string) config.Backend {
	return config.Backend{PHP: testpeer.NeedPHP(t, "php-fpm*", "php-fpm")}
}

func libfcgi(t *testing.T, dir string) config.Backend {
	testpeer.NeedFile(t, "/usr/include/fcgiapp.h", "libfcgi-dev")
	program := filepath.Join(dir, "pid")
	gcc := exec.Command(testpeer.Need(t, "gcc", "gcc"), "-Wall", "-Wextra", "-Werror", "-o", program, "testdata/parts/pid.c", "-lfcgi")
	if out, err := gcc.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", gcc, err, out)
	}
	return config.Backend{Command: []string{program}}
}

func fcgiPM(leak string) func(*testing.T, string) config.Backend {
	return func(t *testing.T, _ string) config.Backend {
		script, err := filepath.Abs("testdata/parts/pid.pl")
		if err != nil {
			t.Fatal(err)
		}
		return config.Backend{Command: []string{testpeer.NeedPerl(t, "FCGI", "libfcgi-perl"), script}, Env: map[string]string{"LEAK": leak}}
	}
}

// byScript starts the test binary by a script of the shell, whose $0 it is.
func byScript(text string) func(*testing.T, string) config.Backend {
	return func(t *testing.T, _ string) config.Backend {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		return config.Backend{Command: []string{"/bin/sh", "-c", text, self}, Env: map[string]string{workerVariable: "1"}}
	}
}

func deaf(t *testing.T, dir string) config.Backend {
	b := byScript(`exec "$0"`)(t, dir)
	b.Env["SLUICE_TEST_STUBBORN"] = "1"
	b.Stop.Timeout = 200 * time.Millisecond
	return b
}

const leakLimit = 32 << 20

func leaks(t *testing.T, dir string) config.Backend {
	b := fcgiPM("150000")(t, dir)
	b.Processes.MaxMemory = leakLimit
	return b
}

// All of them live the same life, and leave nothing behind.
func TestParts(t *testing.T) {
	adopted, err := process.Adopt() // as our commands do
	if err != nil {
		t.Fatal(err)
	}
	defer adopted()
	runtime := runtimes(t)
	start(t, oneApp(t, 1)).end() // what is opened once is open
	before := openFiles(t)
	t.Run("all", func(t *testing.T) {
		for _, p := range parts {
			t.Run(p.name, func(t *testing.T) {
				t.Parallel()
				p.live(t)
			})
		}
		t.Run("children count", func(t *testing.T) {
			t.Parallel()
			childrenCount(t)
		})
	})
	if left, err := os.ReadDir(runtime); err != nil || len(left) > 0 {
		t.Errorf("folders that are left: %v, %v", left, err)
	}
	for fd, what := range openFiles(t) {
		if before[fd] != what {
			info, _ := os.ReadFile("/proc/self/fdinfo/" + fd)
			t.Errorf("descriptor %s is left open: %s\n%s", fd, what, info)
		}
	}
}

// openFiles returns our open files.
func openFiles(t *testing.T) map[string]string {
	t.Helper()
	open := make(map[string]string)
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("there is no /proc here")
	}
	for _, fd := range fds {
		if what, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil { // the folder itself is closed again
			open[fd.Name()] = what
		}
	}
	return open
}

// A life is that of a part.
type life struct {
	part
	g   *rig
	dir string // where its processes work; it is also their mark
}

// markVariable is in the environment of all processes of a part.
const markVariable = "SLUICE_TEST_PART"

// begin starts the part, with two processes.
func (p part) begin(t *testing.T) *life {
	t.Helper()
	dir := readable(t)
	content, err := os.ReadFile("testdata/parts/pid.php")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "pid.php", string(content))
	b := p.backend(t, dir)
	l := &life{part: p, dir: dir}
	b.Name, b.Processes.Max, b.Dir = "app", 2, dir
	b.Env = maps.Clone(b.Env)
	if b.Env == nil {
		b.Env = make(map[string]string)
	}
	b.Env[markVariable] = dir
	route := config.Route{Path: "", Backend: "app"}
	if p.path != "" {
		route.Path = "*.php"
	}
	l.g = start(t, &config.Config{Listen: []string{"127.0.0.1:0"}, Root: dir, Backends: []config.Backend{b}, Routes: []config.Route{route}})
	return l
}

func (l *life) get() int {
	l.g.t.Helper()
	pid, err := strconv.Atoi(l.g.get("/" + strings.TrimPrefix(l.path, "/")))
	if err != nil {
		l.g.t.Fatal(err)
	}
	return pid
}

// crowd lets four clients ask while something is done, and wants none of them
// to learn of it.
func (l *life) crowd(what string, do func()) {
	l.g.t.Helper()
	c := newCrowd(l.g, 4, "GET", strings.TrimPrefix(l.path, "/"))
	do()
	c.end()
	if n := c.bad.Load(); n > 0 {
		l.g.t.Errorf("%s: %d of %d requests failed, the first: %s\n%s", what, n, n+c.good.Load(), *c.first.Load(), l.g.log)
	}
	if c.good.Load() < 4 {
		l.g.t.Errorf("%s: %d requests: that shows nothing", what, c.good.Load())
	}
}

// live is the life of a part: it answers, is restarted while others ask,
// comes back after SIGKILL, and ends with everything that is its own.
func (p part) live(t *testing.T) {
	l := p.begin(t)
	first := l.get()
	l.crowd("restart", func() {
		l.restart()
		l.restart()
	})
	await(t, "the end of the process that was replaced", func() bool { return gone(first) })
	l.killIdle()
	if p.besides != nil {
		p.besides(t, l)
	}
	l.end()
}

// restart replaces the processes. One that does not come up leaves the old
// ones at work.
func (l *life) restart() {
	l.g.t.Helper()
	var err error
	for range 4 {
		if err = l.g.s.Restart(); err == nil {
			return
		}
		if !strings.Contains(err.Error(), "exit status 3") {
			break
		}
	}
	l.g.t.Errorf("Restart: %v", err)
}

// killIdle kills a process that has nothing to do. Who asks in the next moment
// is answered, and it has a successor.
func (l *life) killIdle() (killed int) {
	t := l.g.t
	t.Helper()
	b := l.g.backend("app")
	await(t, "an idle process", func() bool {
		killed = anyProcess(l.g, false)
		return killed != 0
	})
	whole := members(b)
	if err := syscall.Kill(killed, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if pid := l.get(); pid == killed {
		t.Errorf("process %d answers after SIGKILL", pid)
	}
	l.awaitSuccessor(killed, whole)
	if len(l.g.log.With("process died", "pid="+strconv.Itoa(killed), "SIGKILL")) != 1 {
		t.Errorf("the log does not say that process %d was killed:\n%s", killed, l.g.log)
	}
	return killed
}

// awaitSuccessor waits until as many processes as before take requests, without
// one that was killed.
func (l *life) awaitSuccessor(killed, whole int) {
	l.g.t.Helper()
	b := l.g.backend("app")
	for begin := time.Now(); isMember(b, killed) || members(b) != whole; time.Sleep(10 * time.Millisecond) { // another process does it
		if time.Since(begin) > recoveryTime {
			l.g.t.Fatalf("no successor of process %d takes requests:\n%s", killed, l.g.log)
		}
	}
}

// recoveryTime is enough for any of them to start, also if it crashes once more.
const recoveryTime = 15 * time.Second

// end ends the Server, and wants nothing to be left.
func (l *life) end() {
	t := l.g.t
	t.Helper()
	if len(l.processes()) == 0 {
		t.Error("its processes cannot be found by their mark")
	}
	dir := filepath.Dir(l.g.backend("app").Status().Members[0].Address)
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("its folder: %v", err)
	}
	if err := l.g.end(); err != nil {
		t.Errorf("the end: %v", err)
	}
	for _, pid := range l.processes() {
		t.Errorf("process %d is left: %s", pid, commandOf(pid))
		syscall.Kill(pid, syscall.SIGKILL)
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("its folder: %v, want that it is not there", err)
	}
	if lines := l.g.log.With("level=ERROR"); len(lines) > 0 {
		t.Errorf("errors were logged:\n%s", strings.Join(lines, ""))
	}
}

// processes returns those that have the mark, or still work in the folder of
// the part (php-fpm writes its title where its environment was), wherever else
// they have gone.
func (l *life) processes() (pids []int) {
	dirs, _ := filepath.Glob("/proc/[1-9]*")
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		env, _ := os.ReadFile(dir + "/environ") // of a zombie it is empty
		in, _ := os.Readlink(dir + "/cwd")      // and this an error
		if slices.Contains(strings.Split(string(env), "\x00"), markVariable+"="+l.dir) || in == l.dir {
			pids = append(pids, pid)
		}
	}
	return pids
}

func commandOf(pid int) string {
	line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	return strings.ReplaceAll(string(line), "\x00", " ")
}

// resident returns the resident memory of a process in bytes, 0 if it has ended
// (proc_pid_statm(5)).
func resident(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	var size, pages int
	fmt.Sscan(string(b), &size, &pages)
	return pages * os.Getpagesize()
}

// isReplacedInTime wants a process that grows to be replaced long before it has
// twice what it may.
func isReplacedInTime(t *testing.T, l *life) {
	const why = "of resident memory, and may have 32"
	most := 0
	had := len(l.g.log.With("process replaced", why))
	l.crowd("replacement", func() {
		await(t, "two replacements", func() bool {
			for _, pid := range l.processes() {
				most = max(most, resident(pid))
			}
			return len(l.g.log.With("process replaced", why)) >= had+2
		})
	})
	t.Logf("a process had %.1f times what it may", float64(most)/leakLimit)
	if most < leakLimit || most > 2*leakLimit {
		t.Errorf("a process had %d MiB, and may have %d", most>>20, leakLimit>>20)
	}
}

// childrenEnd wants the children of a process that is killed to end with it.
func childrenEnd(t *testing.T, l *life) {
	whole := func() bool { return len(l.processes()) == 2*(1+3) }
	await(t, "two processes with three children each", whole)
	before := l.processes()
	killed := l.killIdle()
	await(t, "their successors", whole)
	gone := 0
	for _, pid := range before {
		if pid != killed && !slices.Contains(l.processes(), pid) {
			gone++
		}
	}
	if gone != 3 {
		t.Errorf("%d processes have ended with their parent, want its 3 children", gone)
	}
}

// childrenCount wants the memory of a process to be that of its children, too.
func childrenCount(t *testing.T) {
	p := part{name: "php-cgi with children", backend: phpCGI("3"), path: "/pid.php"}
	l := p.begin(t)
	l.get()
	var all []int
	await(t, "two processes with three children each", func() bool { all = l.processes(); return len(all) == 2*(1+3) })
	sum, largest := 0, 0
	for _, pid := range all {
		sum += resident(pid)
		largest = max(largest, resident(pid))
	}
	together := sum / 2
	if together < largest*5/4 {
		t.Fatalf("a process has %d MiB alone, and %d with its children: that shows nothing", largest>>20, together>>20)
	}
	cfg := *l.g.s.current.Load().cfg
	cfg.Backends = slices.Clone(cfg.Backends)
	cfg.Backends[0].Processes.MaxMemory = int64(largest+together) / 2
	if err := l.g.s.Reload(&cfg); err != nil {
		t.Fatal(err)
	}
	l.crowd("replacement", func() {
		await(t, "a replacement", func() bool { return len(l.g.log.With("process replaced", "of resident memory")) > 0 })
	})
	l.end()
}

// One process that serves one connection at a time is ready as soon as it has
// answered: a connection that we keep to it must not keep our own question from
// being accepted.
func TestPartIsReadyWhenItHasAnswered(t *testing.T) {
	runtimes(t)
	p := part{name: "FCGI.pm", backend: fcgiPM("")}
	l := p.begin(t)
	cfg := *l.g.s.current.Load().cfg
	cfg.Backends = append([]config.Backend(nil), cfg.Backends...)
	cfg.Backends[0].Processes.Max = 1
	if err := l.g.s.Reload(&cfg); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		pid := 0
		await(t, "an idle process", func() bool { pid = anyProcess(l.g, false); return pid != 0 })
		time.Sleep(200 * time.Millisecond) // whoever is killed as soon as he is ready has died, and is waited for
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			begin := time.Now()
			l.get()
			if took := time.Since(begin); took > fastcgi.DefaultIdleTimeout/2 {
				t.Fatalf("an answer took %v\n%s", took, l.g.log)
			}
		}
	}
}
