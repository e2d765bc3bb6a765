package sluice

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/process"
)

// The name is what the operator finds in the log, for what the application
// itself says too.
func effectName(t *testing.T) {
	g := startEdited(t, func(c *config.Config) { c.Backends[0].Name, c.Routes[0].Backend = "shop", "shop" })
	g.get("/stderr")
	await(t, "STDERR comes to the log", func() bool {
		return len(g.log.With("a word from the application", "backend=shop")) > 0
	})
}

func effectProtocol(t *testing.T) {
	g := startEdited(t, func(c *config.Config) { c.Backends[0].Protocol = "fastcgi" })
	g.contains("/params", "GATEWAY_INTERFACE=CGI/1.1")
}

// While one worker is at its limit, the other one answers.
func effectConnect(t *testing.T) {
	release := make(chan struct{})
	held := func(name string) cgi.HandlerFunc {
		return func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			w.WriteHeader(200, nil)
			w.Flush()
			select {
			case <-release:
			case <-ctx.Done():
			}
			io.WriteString(w, name)
		}
	}
	cfg := toForeign(foreign(t, held("first")), foreign(t, held("second")))
	cfg.Backends[0].MaxLoad = 1
	g := start(t, cfg)
	var got []string
	var answers []*http.Response
	for range 2 {
		resp, err := g.client.Get(URL(g.s.Addrs()[0]))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answers = append(answers, resp)
	}
	close(release)
	for _, resp := range answers {
		b, _ := io.ReadAll(resp.Body)
		got = append(got, string(b))
	}
	if slices.Sort(got); !slices.Equal(got, []string{"first", "second"}) {
		t.Errorf("answered by %q, want both", got)
	}
}

func effectCommand(t *testing.T) {
	g := startEdited(t, func(c *config.Config) {
		c.Backends[0].Command = append(c.Backends[0].Command, "an argument", "another")
	})
	g.contains("/process", `args=["an argument" "another"]`)
	if pid := g.pid(); pid == os.Getpid() {
		t.Error("answered by the test's own process, want a child")
	}
}

// As many processes as are said, and not as many as there are CPUs.
func effectProcesses(t *testing.T) {
	n := runtime.NumCPU() + 1
	cfg := oneApp(t, n)
	cfg.Backends[0].MaxLoad = 1
	g := start(t, cfg)
	var holds []func() (string, error)
	for range n {
		holds = append(holds, g.hold())
	}
	pids := map[string]bool{}
	for _, release := range holds {
		content, err := release()
		if _, noPID := strconv.Atoi(content); noPID != nil || err != nil {
			t.Errorf("a process answers %q, %v", content, err)
		}
		pids[content] = true
	}
	if len(pids) != n {
		t.Errorf("%d processes have answered, want %d", len(pids), n)
	}
}

func effectDir(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	g := startEdited(t, func(c *config.Config) { c.Backends[0].Dir = dir })
	g.contains("/process", "dir="+dir)
}

// The environment that is said, and nothing of ours.
func effectEnv(t *testing.T) {
	t.Setenv("SLUICE_TEST_SECRET", "hunter2")
	g := startEdited(t, func(c *config.Config) { c.Backends[0].Env["SLUICE_TEST_VALUE"] = "a value" })
	g.contains("/process", "SLUICE_TEST_VALUE=a value")
	if got := g.get("/process"); strings.Contains(got, "hunter2") {
		t.Errorf("our environment has reached the application:\n%s", got)
	}
}

func effectParams(t *testing.T) {
	g := startEdited(t, func(c *config.Config) {
		c.Backends[0].Params = map[string]string{"HTTPS": "on", "OWN": "a value", "SERVER_NAME": "example.org"}
	})
	for _, line := range []string{"HTTPS=on", "OWN=a value", "SERVER_NAME=example.org"} {
		g.contains("/params", line)
	}
}

func effectBackendRoot(t *testing.T) {
	cfg := oneApp(t, 1)
	withRoot(t, cfg)
	g := start(t, cfg)
	g.contains("/params", "DOCUMENT_ROOT="+cfg.Root) // the default
	cfg.Backends[0].Root = "/elsewhere"
	g = start(t, cfg)
	g.contains("/params", "DOCUMENT_ROOT=/elsewhere")
	g.contains("/params", "PATH_TRANSLATED=/elsewhere/params")
}

// Two at a time, and not a third.
func effectMaxLoad(t *testing.T) {
	g := startEdited(t, func(c *config.Config) {
		c.Backends[0].MaxLoad = 2
		c.Backends[0].Queue.Timeout = 300 * time.Millisecond
	})
	for range 2 {
		release := g.hold()
		defer release()
	}
	(<-g.ask("/")).busy(t)
}

// One request waits, one more is told to come again.
func effectQueueMax(t *testing.T) {
	g := startEdited(t, func(c *config.Config) {
		c.Backends[0].MaxLoad = 1
		c.Backends[0].Queue = config.Queue{Max: 1, Timeout: -1}
	})
	release := g.hold()
	a, b := g.ask("/"), g.ask("/")
	var waiting <-chan reply
	select { // which of them came first is up to the scheduler
	case r := <-a:
		r.busy(t)
		waiting = b
	case r := <-b:
		r.busy(t)
		waiting = a
	}
	if _, err := release(); err != nil {
		t.Error(err)
	}
	if r := <-waiting; r.status != 200 {
		t.Errorf("the request that waited: %v, want 200", r)
	}
}

func effectQueueTimeout(t *testing.T) {
	g := startEdited(t, func(c *config.Config) {
		c.Backends[0].MaxLoad = 1
		c.Backends[0].Queue.Timeout = 200 * time.Millisecond
	})
	release := g.hold()
	defer release()
	begun := time.Now()
	(<-g.ask("/")).busy(t)
	if took := time.Since(begun); took >= 10*time.Second {
		t.Errorf("busy after %v, as without queue.timeout", took)
	}
}

// Each request has a connection of its own, which the application is asked to
// close.
func effectKeepIdle(t *testing.T) {
	const requests = 20
	for _, tt := range []struct {
		keep int
		is   func(conns int64) bool
	}{
		{-1, func(n int64) bool { return n == requests }},
		{0, func(n int64) bool { return n < requests/2 }}, // some may be dialled before the last one is put back
	} {
		app := foreign(t, named("x"))
		cfg := toForeign(app)
		cfg.Backends[0].KeepIdle = tt.keep
		g := start(t, cfg)
		for range requests {
			g.get("/")
		}
		if n := app.n.Load(); !tt.is(n) {
			t.Errorf("keep_idle = %d: %d connections for %d requests", tt.keep, n, requests)
		}
	}
}

// Requests that come at the same time share a connection, once the application
// has said that they can.
func effectMultiplex(t *testing.T) {
	const together = 20
	var meet sync.WaitGroup
	app := foreign(t, func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		if r.Path() == "/together" {
			meet.Done()
			meet.Wait()
		}
		io.WriteString(w, "x")
	})
	cfg := toForeign(app)
	cfg.Backends[0].Multiplex = together
	g := start(t, cfg)
	conns := int64(together)
	for range 20 { // the first time they do not: it is being asked
		before := app.n.Load()
		meet.Add(together)
		var wg sync.WaitGroup
		for range together {
			wg.Go(func() { g.get("/together") })
		}
		wg.Wait()
		if conns = app.n.Load() - before; conns <= 1 {
			return
		}
	}
	t.Errorf("%d connections for %d requests at the same time, want one", conns, together)
}

func effectStopSignal(t *testing.T) {
	for asked, want := range map[syscall.Signal]string{0: "terminated", syscall.SIGINT: "interrupt"} {
		g := startEdited(t, func(c *config.Config) { c.Backends[0].Stop.Signal = asked })
		file := filepath.Join(t.TempDir(), "signal")
		g.get("/signal?" + file)
		if err := g.end(); err != nil {
			t.Error(err)
		}
		if got, err := os.ReadFile(file); string(got) != want {
			t.Errorf("stop.signal %d: the process got %q, %v, want %q", asked, got, err, want)
		}
	}
}

// A process that does not listen is killed.
func effectStopTimeout(t *testing.T) {
	g := startEdited(t, func(c *config.Config) { c.Backends[0].Stop.Timeout = 200 * time.Millisecond })
	pid, err := strconv.Atoi(g.get("/deaf"))
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	g.end() // may say that the process had to be killed
	if took := time.Since(begun); took >= process.DefaultStopTimeout {
		t.Errorf("killed after %v, as without stop.timeout", took)
	}
	if !gone(pid) {
		t.Errorf("process %d is left behind", pid)
	}
}

// The connections of a backend go with it; those of others stay.
func TestConnectionsAreClosed(t *testing.T) {
	dropped, kept := foreign(t, named("dropped")), foreign(t, named("kept"))
	cfg := toForeign(dropped)
	other := toForeign(kept).Backends[0]
	other.Name = "other"
	cfg.Backends = append(cfg.Backends, other)
	cfg.Routes = append([]config.Route{{Path: "/other/", Backend: "other"}}, cfg.Routes...)
	g := start(t, cfg)
	g.get("/")
	g.get("/other/")
	without := *cfg
	without.Backends, without.Routes = cfg.Backends[1:], cfg.Routes[:1]
	if err := g.s.Reload(&without); err != nil {
		t.Fatal(err)
	}
	await(t, "the connection to the dropped backend is closed", func() bool { return dropped.open.Load() == 0 })
	g.get("/other/")
	if n := kept.n.Load(); n != 1 {
		t.Errorf("%d connections to the backend that stayed, want the first one", n)
	}
	if err := g.end(); err != nil {
		t.Error(err)
	}
	await(t, "the last connection is closed", func() bool { return kept.open.Load() == 0 })
}

// A start and a reload that fail leave no listener open.
func TestFailureClosesListeners(t *testing.T) {
	bad := oneApp(t, 1)
	bad.Listen = []string{"unix:" + filepath.Join(shortDir(t), "http.sock")}
	bad.Backends[0].Command = []string{"/nonexistent"}
	closed := func() {
		t.Helper()
		if _, err := os.Lstat(strings.TrimPrefix(bad.Listen[0], "unix:")); err == nil {
			t.Error("the socket is still there")
		}
	}
	if _, err := New(t.Context(), bad, Options{}); err == nil {
		t.Fatal("no error for a program that is not there")
	}
	closed()
	g := start(t, oneApp(t, 1))
	if err := g.s.Reload(bad); err == nil {
		t.Error("no error for a program that is not there")
	}
	closed()
}
