package sluice

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/testpeer"
)

// editProcesses runs a Server with the application and edited processes.
func editProcesses(t *testing.T, p config.Processes) *rig {
	t.Helper()
	return startEdited(t, func(c *config.Config) { c.Backends[0].Processes = p })
}

func (g *rig) count(message string) int { return len(g.log.With(message)) }

// As many as the minimum are started at once, and without one nothing before it
// is needed.
func effectMin(t *testing.T) {
	for _, least := range []int{2, 0} {
		g := editProcesses(t, config.Processes{Min: least, Max: 3, Scales: true})
		if n := len(g.backend("app").Status().Processes); n != least {
			t.Errorf("%d slots before the first request, want %d", n, least)
		}
		g.get("/")
		await(t, "all of them", func() bool { return g.count("process ready") >= max(least, 1) })
		if n := g.count("process started"); n != max(least, 1) {
			t.Errorf("%d processes were started for one request, want %d", n, max(least, 1))
		}
	}
}

func effectSpare(t *testing.T) {
	g := editProcesses(t, config.Processes{Min: 1, Spare: 2, Max: 4, Scales: true})
	await(t, "two processes are ready", func() bool { return g.count("process ready") == 2 })
}

func effectIdleTimeout(t *testing.T) {
	g := editProcesses(t, config.Processes{Min: 0, Max: 1, Scales: true, IdleTimeout: 200 * time.Millisecond})
	pid := g.pid()
	await(t, "the process that is not needed ends", func() bool { return gone(pid) })
	if again := g.pid(); again == pid {
		t.Error("it is there again")
	}
}

// replaced wants the process to give way to another, without a request being
// lost.
func (g *rig) replaced(why string) {
	g.t.Helper()
	first := g.pid()
	await(g.t, "another process answers", func() bool { return g.pid() != first })
	if g.count(why) == 0 {
		g.t.Errorf("the log does not say %q:\n%s", why, g.log)
	}
}

func effectMaxRequests(t *testing.T) {
	editProcesses(t, config.Processes{Max: 1, MaxRequests: 5}).replaced("it has had 5 requests")
}

func effectMaxAge(t *testing.T) {
	editProcesses(t, config.Processes{Max: 1, MaxAge: time.Second}).replaced("old")
}

func effectMaxMemory(t *testing.T) {
	editProcesses(t, config.Processes{Max: 1, MaxMemory: 1 << 20}).replaced("of resident memory")
}

// A process that hangs is ended, and nobody else is given the request that it
// hung with.
func effectHungTimeout(t *testing.T) {
	g := editProcesses(t, config.Processes{Max: 2, HungTimeout: time.Second})
	await(t, "two processes are ready", func() bool { return g.count("process ready") == 2 })
	if r := <-g.ask("/silent"); r.status != 502 {
		t.Errorf("a request that hangs: %v, want 502", r)
	}
	if n := g.count("process aborted"); n != 1 {
		t.Errorf("%d processes were ended for one request, want 1", n)
	}
	g.get("/")
}

func effectStartTimeout(t *testing.T) {
	g := startEdited(t, func(c *config.Config) {
		c.Backends[0].Command = []string{"/bin/sleep", "60"}
		c.Backends[0].Processes = config.Processes{Max: 1, StartTimeout: 300 * time.Millisecond}
	})
	await(t, "it is too slow", func() bool { return g.count("did not answer for 300ms") > 0 })
}

func effectCopyEnv(t *testing.T) {
	t.Setenv("SLUICE_EFFECT", "of ours")
	t.Setenv("SLUICE_SECRET", "of ours, too")
	g := startEdited(t, func(c *config.Config) { c.Backends[0].CopyEnv = []string{"SLUICE_EFFECT"} })
	g.contains("/process", "SLUICE_EFFECT=of ours")
	if strings.Contains(g.get("/process"), "SLUICE_SECRET") {
		t.Error("a variable that was not named is there")
	}
}

// asNobody is for tests of what only root may do.
func asNobody(t *testing.T, edit func(*config.Config)) *rig {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can")
	}
	cfg := oneApp(t, 1)
	edit(cfg)
	// Where go test has put the program nobody else can come.
	copied := filepath.Join(readable(t), "app")
	from, err := os.Open(cfg.Backends[0].Command[0])
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(copied, os.O_CREATE|os.O_WRONLY, 0o755)
	if err == nil {
		_, err = io.Copy(to, from)
		to.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	cfg.Backends[0].Command[0], cfg.Backends[0].Dir = copied, "/"
	return start(t, cfg)
}

func effectUser(t *testing.T) {
	g := asNobody(t, func(c *config.Config) { c.Backends[0].As.User = "nobody" })
	g.contains("/status", "Uid:\t65534\t65534\t65534\t65534")
	cfg := oneApp(t, 1)
	cfg.Backends[0].As.User = "nobody-there"
	if _, err := New(t.Context(), cfg, Options{}); err == nil || err.Error() != `sluice: backend "app": there is no user "nobody-there" on this machine` {
		t.Errorf("an account that is not there: %v", err)
	}
}

func effectGroup(t *testing.T) {
	g := asNobody(t, func(c *config.Config) { c.Backends[0].As = config.Account{User: "nobody", Group: "12345"} })
	g.contains("/status", "Gid:\t12345\t12345\t12345\t12345")
	g.contains("/status", "Groups:\t12345 ") // the account's own is not one of them
}

func effectChroot(t *testing.T) {
	cfg := oneApp(t, 1)
	cfg.Backends[0].Chroot = t.TempDir()
	_, err := New(t.Context(), cfg, Options{})
	want := "is not there" // the program, inside
	if os.Geteuid() != 0 {
		want = "only root may"
	}
	if err == nil || !strings.Contains(err.Error(), cfg.Backends[0].Chroot) || !strings.Contains(err.Error(), want) {
		t.Errorf("New = %v", err)
	}
}

func effectUmask(t *testing.T) {
	g := startEdited(t, func(c *config.Config) { c.Backends[0].Umask = "027" })
	g.contains("/status", "Umask:\t0027")
}

func effectNice(t *testing.T) {
	g := startEdited(t, func(c *config.Config) { c.Backends[0].Nice = 7 })
	g.contains("/status", "nice 7")
}

func effectLimits(t *testing.T) {
	g := startEdited(t, func(c *config.Config) {
		c.Backends[0].Limits = map[string]string{"fsize": "1000000:2000000", "core": "0"}
	})
	got := g.get("/status")
	for _, want := range []string{"Max file size 1000000 2000000 bytes", "Max core file size 0 0 bytes"} {
		if !strings.Contains(strings.Join(strings.Fields(got), " "), want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}

func effectNoNewPrivileges(t *testing.T) {
	g := startEdited(t, func(c *config.Config) { c.Backends[0].NoNewPrivileges = true })
	g.contains("/status", "NoNewPrivs:\t1")
}

// Requests that wait for the first process of a backend on demand are many: they
// start one process, and all are answered. Where it is known that it takes all of
// them there is no other afterwards; else that depends on how long it takes, which
// on a busy machine is long.
func TestFirstRequestsStartOne(t *testing.T) {
	for _, known := range []bool{true, false} {
		t.Run(fmt.Sprintf("max_load known: %v", known), func(t *testing.T) {
			g := startEdited(t, func(c *config.Config) {
				c.Backends[0].Processes = config.Processes{Min: 0, Max: 8, Scales: true}
				if known {
					c.Backends[0].MaxLoad = 1000
				}
			})
			const many = 200
			var came []<-chan reply
			for range many {
				came = append(came, g.ask("/params"))
			}
			for i, c := range came {
				if r := <-c; r.status != 200 {
					t.Fatalf("request %d: %v\n%s", i, r, g.log)
				}
			}
			log, _, _ := strings.Cut(g.log.String(), "process ready")
			if n := strings.Count(log, "process started"); n != 1 {
				t.Errorf("%d processes were started for %d requests at once before one was ready, want 1", n, many)
			}
			n := g.count("process started")
			t.Logf("%d requests, %d processes", many, n)
			if known && n != 1 {
				t.Errorf("%d processes were started for %d requests at once, want 1", n, many)
			}
		})
	}
}

// A real program that serves one request at a time, and nobody has said so:
// others are started for those that wait in it.
func TestSlowRequestsStartMore(t *testing.T) {
	perl := testpeer.NeedPerl(t, "FCGI", "libfcgi-perl")
	const app = `use FCGI; my $r = FCGI::Request(); while ($r->Accept() >= 0) { select(undef, undef, undef, 0.3); print "Content-Type: text/plain\r\n\r\n$$" }`
	g := startEdited(t, func(c *config.Config) {
		c.Backends[0].Command = []string{perl, "-e", app}
		c.Backends[0].Processes = config.Processes{Min: 1, Max: 3, Scales: true}
	})
	g.get("/")
	if n := g.count("process started"); n != 1 {
		t.Errorf("%d processes were started for one request, want 1", n)
	}
	c := newCrowd(g, 6, "GET", "")
	await(t, "three processes", func() bool { return g.count("process ready") == 3 })
	c.end()
	if n := c.bad.Load(); n > 0 {
		t.Errorf("%d requests failed, the first: %s", n, *c.first.Load())
	}
}

// Of two processes the one that has something to do stays.
func TestScaleDownEndsTheIdleOne(t *testing.T) {
	g := startEdited(t, func(c *config.Config) {
		c.Backends[0].MaxLoad = 1
		c.Backends[0].Processes = config.Processes{Min: 1, Max: 2, Scales: true, IdleTimeout: 500 * time.Millisecond}
	})
	g.get("/")
	hold := func() (file string, resp *http.Response) {
		file = filepath.Join(t.TempDir(), "go")
		resp, err := g.client.Get(URL(g.s.Addrs()[0]) + "hold?" + file)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { resp.Body.Close() })
		return file, resp
	}
	file, oldest := hold()
	lastFile, youngest := hold() // at the second process, which is started for it
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	idle, err := io.ReadAll(oldest.Body)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "one of two is ended", func() bool { return g.count("process drains") > 0 })
	if line := g.log.With("process drains")[0]; !strings.Contains(line, "pid="+string(idle)) {
		t.Errorf("process %s is idle, and the one with a request is ended: %s", idle, line)
	}
	if err := os.WriteFile(lastFile, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(youngest.Body); err != nil {
		t.Error(err)
	}
}

// A restart replaces the processes, and one that cannot be leaves them alone.
func TestServerRestart(t *testing.T) {
	dir := t.TempDir()
	broken := filepath.Join(dir, "broken")
	g := startEdited(t, func(c *config.Config) {
		self := c.Backends[0].Command[0]
		c.Backends[0].Command = []string{"/bin/sh", "-c", "test -e " + broken + " && exit 3; exec " + self}
	})
	first := g.pid()
	if err := g.s.Restart(); err != nil {
		t.Fatal(err)
	}
	second := g.pid()
	if second == first {
		t.Error("the same process answers")
	}
	await(t, "the old process ends", func() bool { return gone(first) })
	write(t, dir, "broken", "")
	if err := g.s.Restart(); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("Restart = %v, want why the new process ended", err)
	}
	if pid := g.pid(); pid != second {
		t.Errorf("process %d answers, want %d, which was well", pid, second)
	}
}

// When a file below what is watched changes, the processes are replaced, and
// broken ones are, too.
func effectWatch(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "run", "exit 3")
	g := startEdited(t, func(c *config.Config) {
		b := &c.Backends[0]
		b.Watch = []string{dir}
		b.Command = []string{"/bin/sh", dir + "/run", b.Command[0]}
	})
	await(t, "its processes have died", func() bool { return g.count("process died") >= 2 })
	write(t, dir, "run", `exec "$1"`)
	await(t, "the change is seen", func() bool { return g.count("files changed") == 1 }) // or a pause may end before
	await(t, "it answers", func() bool { status, _, _ := g.try("GET", "/", ""); return status == 200 })
	first := g.pid()
	write(t, dir, "run", `exec "$1" # again`)
	await(t, "another process answers", func() bool { return g.pid() != first })
	if n := g.count("files changed"); n != 2 {
		t.Errorf("the log says %d times why, want twice:\n%s", n, g.log)
	}
}
