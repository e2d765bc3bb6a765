package sluice

import (
	"context"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
)

// Backends that stay the same keep their processes; others get new ones, and
// the old ones end when their last request has.
func TestReload(t *testing.T) {
	cfg := oneApp(t, 1)
	g := start(t, cfg)
	addr := g.s.Addrs()[0].String()
	first := g.pid()

	same := oneApp(t, 1)
	same.Routes = append([]config.Route{{Path: "/denied/", Deny: true}}, same.Routes...)
	if err := g.s.Reload(same); err != nil {
		t.Fatal(err)
	}
	if pid := g.pid(); pid != first {
		t.Errorf("process %d answers after a reload that did not concern it, want %d", pid, first)
	}
	if status, _, _ := g.try("GET", "/denied/x", ""); status != 403 {
		t.Errorf("the new route answers %d, want 403", status)
	}
	if now := g.s.Addrs()[0].String(); now != addr {
		t.Errorf("the listener has moved from %s to %s", addr, now)
	}

	release := g.hold()
	if err := g.s.Reload(oneApp(t, 1, "CHANGED")); err != nil {
		t.Fatal(err)
	}
	second := g.pid()
	if second == first {
		t.Error("the old process answers under a changed configuration")
	}
	if gone(first) {
		t.Error("the old process has ended before its last request")
	}
	if content, err := release(); content != fmt.Sprint(first) || err != nil {
		t.Errorf("the request of before: %q, %v, want %d", content, err, first)
	}
	await(t, "the old process ends", func() bool { return gone(first) })
}

func TestReloadFails(t *testing.T) {
	g := start(t, oneApp(t, 1))
	first := g.pid()
	for name, edit := range map[string]func(*config.Config){
		"root":     func(c *config.Config) { c.Root = "/nonexistent" },
		"listener": func(c *config.Config) { c.Listen = append(c.Listen, "192.0.2.1:1") },
		"command":  func(c *config.Config) { c.Backends[0].Command = []string{"/nonexistent"} },
	} {
		cfg := oneApp(t, 1)
		edit(cfg)
		if err := g.s.Reload(cfg); err == nil {
			t.Errorf("%s: no error", name)
		}
		if pid := g.pid(); pid != first {
			t.Errorf("%s: process %d answers, want %d", name, pid, first)
		}
	}
}

func TestReloadListeners(t *testing.T) {
	g := start(t, oneApp(t, 1))
	old := g.s.Addrs()[0].String()
	cfg := oneApp(t, 1)
	cfg.Listen = []string{"[::1]:0", "127.0.0.2:0"}
	if err := g.s.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	addrs := g.s.Addrs()
	if len(addrs) != 2 || !strings.HasPrefix(addrs[0].String(), "[::1]:") || !strings.HasPrefix(addrs[1].String(), "127.0.0.2:") {
		t.Fatalf("listeners: %v", addrs)
	}
	g.get("/")
	if nc, err := net.Dial("tcp", old); err == nil {
		nc.Close()
		t.Error("the old listener is still open")
	}
}

// Under steady load, no reload costs a request or a descriptor.
func TestReloadUnderLoad(t *testing.T) {
	g := start(t, oneApp(t, 2))
	g.get("/")
	before := descriptors(t)
	const clients, each, reloads = 4, 150, 8
	var wg sync.WaitGroup
	failed := make(chan string, clients*each)
	for range clients {
		wg.Go(func() {
			for range each {
				if status, content, err := g.try("POST", "/echo", "x"); status != 200 || content != "x" || err != nil {
					failed <- fmt.Sprint(status, content, err)
				}
			}
		})
	}
	for i := range reloads {
		var env []string
		if i%2 == 0 {
			env = []string{"CHANGED"}
		}
		if err := g.s.Reload(oneApp(t, 2, env...)); err != nil {
			t.Error(err)
		}
		g.get("/")
	}
	wg.Wait()
	close(failed)
	for f := range failed {
		t.Errorf("a request has failed: %s", f)
	}
	if t.Failed() {
		t.Log(g.log)
	}
	g.client.CloseIdleConnections()
	// Each client leaves at most a connection to its worker behind, and one
	// that has not been closed yet.
	await(t, "no more descriptors than before", func() bool { return descriptors(t) <= before+2*clients })
}

// descriptors counts our open descriptors.
func descriptors(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

// What takes the place of a backend is as warm as that was, and falls back from
// there: a reload at the busiest hour must not begin with the first process.
func TestReloadIsAsWarm(t *testing.T) {
	cfg := oneApp(t, 1)
	b := &cfg.Backends[0]
	b.MaxLoad, b.Processes = 1, config.Processes{Min: 1, Max: 6, Scales: true}
	g := start(t, cfg)
	var held []func() (string, error)
	for range 4 {
		held = append(held, g.hold())
	}
	await(t, "a process for each", func() bool { return g.s.Ready()["app"] == 4 })
	warm := g.s.Ready()
	if err := g.s.Restart(); err != nil {
		t.Fatal(err)
	}
	if n := g.s.Ready()["app"]; n != 4 {
		t.Errorf("%d processes take requests after a restart, want 4, as before", n)
	}
	for _, release := range held {
		if _, err := release(); err != nil {
			t.Error(err)
		}
	}
	other, err := New(t.Context(), cfg, Options{Listeners: handed(t, g.s), Ready: warm})
	if err != nil {
		t.Fatal(err)
	}
	if n := other.Ready()["app"]; n != 4 {
		t.Errorf("%d processes of the successor take requests, want 4", n)
	}
	serveUntilEnd(t, other)
}

// handed returns the listeners of a server, as its successor gets them.
func handed(t *testing.T, s *Server) map[string]net.Listener {
	t.Helper()
	fds, err := s.Listeners()
	if err != nil {
		t.Fatal(err)
	}
	listeners := make(map[string]net.Listener)
	for spec, fd := range fds {
		if listeners[spec], err = TakeOver(os.NewFile(uintptr(fd), spec), spec); err != nil {
			t.Fatal(err)
		}
	}
	return listeners
}

// serveUntilEnd lets a server serve until the test ends.
func serveUntilEnd(t *testing.T, s *Server) {
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx) }() // until the end; awaited there
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// A command that does not come up is found out also if processes are started on
// demand, as long as there are some that it would replace.
func TestReloadFailsOnDemand(t *testing.T) {
	cfg := oneApp(t, 2)
	cfg.Backends[0].Processes = config.Processes{Max: 2, Scales: true}
	g := start(t, cfg)
	first := g.pid()
	bad := oneApp(t, 2)
	bad.Backends[0].Processes, bad.Backends[0].Command = cfg.Backends[0].Processes, []string{"/bin/false"}
	if err := g.s.Reload(bad); err == nil {
		t.Error("a command that ends at once is taken")
	}
	if pid := g.pid(); pid != first {
		t.Errorf("process %d answers, want %d still", pid, first)
	}
}

// The processes of a backend that another has replaced end although a request to
// a third one keeps the old configuration; one that comes late finds some all
// the same.
func TestReplacedProcessesDoNotStay(t *testing.T) {
	two := func(env string) *config.Config {
		c := oneApp(t, 1)
		b := c.Backends[0]
		b.Name, b.Env = "other", map[string]string{workerVariable: "1", "V": env}
		c.Backends = append(c.Backends, b)
		c.Routes = append([]config.Route{{Path: "/other/", Backend: "other"}}, c.Routes...)
		return c
	}
	g := start(t, two("1"))
	old, err := strconv.Atoi(g.get("/other/"))
	if err != nil {
		t.Fatal(err)
	}
	release := g.hold() // at app, which does not change
	snap := g.s.current.Load()
	if err := g.s.Reload(two("2")); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of the process that was replaced", func() bool { return gone(old) })
	lease, err := snap.gateway.Routes[0].Backend.Pool.Acquire(t.Context(), 0, nil)
	if err != nil {
		t.Errorf("a request that was on its way: %v", err)
	} else {
		lease.Release(nil)
	}
	if _, err := release(); err != nil {
		t.Error(err)
	}
}

// What was still starting, or dying, when it was replaced does not go on for a
// request to another backend.
func TestReplacedBeforeItWasReady(t *testing.T) {
	for name, command := range map[string][]string{
		"starting": {"/bin/sh", "-c", "sleep 1; exec sleep 60"},
		"dying":    {"/bin/false"},
	} {
		t.Run(name, func(t *testing.T) {
			two := func(command []string) *config.Config {
				c := oneApp(t, 1)
				b := c.Backends[0]
				b.Name = "other"
				if command != nil {
					b.Command = command
				}
				c.Backends = append(c.Backends, b)
				c.Routes = append([]config.Route{{Path: "/other/", Backend: "other"}}, c.Routes...)
				return c
			}
			g := start(t, two(command))
			release := g.hold()
			old := g.backend("other")
			await(t, "a process", func() bool { return len(g.log.With("process started", "backend=other")) > 0 })
			if err := g.s.Reload(two(nil)); err != nil {
				t.Fatal(err)
			}
			await(t, "its slots are given up", func() bool { return len(old.Status().Processes) == 0 })
			if _, err := release(); err != nil {
				t.Error(err)
			}
		})
	}
}

// As warm as the old one, also if the processes may be idle for less than they
// take to start.
func TestReloadIsAsWarmWithAShortIdleTime(t *testing.T) {
	cfg := oneApp(t, 1)
	b := &cfg.Backends[0]
	b.Command = []string{"/bin/sh", "-c", `sleep 1; exec "$0"`, b.Command[0]}
	b.Processes = config.Processes{Max: 2, Scales: true, IdleTimeout: 300 * time.Millisecond}
	g := start(t, cfg)
	release := g.hold()
	if err := g.s.Restart(); err != nil {
		t.Fatal(err)
	}
	if n := g.count("process ready"); n != 2 {
		t.Errorf("%d processes have become ready, want the old one and the new one", n)
	}
	if _, err := release(); err != nil {
		t.Error(err)
	}
}

// A drain after a succession keeps no processes that have nothing to do.
func TestHandedOverKeepsNothing(t *testing.T) {
	c := oneApp(t, 1)
	b := c.Backends[0]
	b.Name = "other"
	c.Backends = append(c.Backends, b)
	c.Routes = append([]config.Route{{Path: "/other/", Backend: "other"}}, c.Routes...)
	g := start(t, c)
	other, err := strconv.Atoi(g.get("/other/"))
	if err != nil {
		t.Fatal(err)
	}
	release := g.hold()
	g.s.HandOver()
	g.stop()
	await(t, "the end of the process that has nothing to do", func() bool { return gone(other) })
	if _, err := release(); err != nil {
		t.Error(err)
	}
}
