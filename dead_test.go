package sluice

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
)

// What cannot come up in time is said at once, to who waits and to who comes.
func TestDeadProcessesAreTold(t *testing.T) {
	const timeout = 900 * time.Millisecond // the first pause is longer
	g := startEdited(t, func(c *config.Config) {
		c.Backends[0].Command = []string{"/bin/sh", "-c", "sleep 0.2; echo broken; exit 7"}
		c.Backends[0].Queue.Timeout = timeout
	})
	begin := time.Now()
	first := g.ask("/")
	(<-first).busy(t)
	if d := time.Since(begin); d >= timeout {
		t.Errorf("who waited was told after %v, want as soon as the process had died", d)
	}
	begin = time.Now()
	again := <-g.ask("/")
	again.busy(t)
	if d := time.Since(begin); d >= timeout/2 || again.retryAfter != "1" {
		t.Errorf("who came was told after %v to try again in %s s, want at once, and 1", d, again.retryAfter)
	}
	lines := g.log.With("request failed", "has no worker, and will not for", "exit status 7", "run it by hand", "hint=")
	if len(lines) != 2 {
		t.Errorf("the log says so %d times, want twice:\n%s", len(lines), g.log)
	}
}

// What dies and is there again at once, or in time, is waited for.
func TestFirstDeathRefusesNobody(t *testing.T) {
	g := startEdited(t, func(c *config.Config) {
		app := c.Backends[0].Command[0]
		c.Backends[0].Command = []string{"/bin/sh", "-c", "if mkdir \"$SEEN\"; then sleep 0.1; exit 1; fi; exec " + app}
		c.Backends[0].Env["SEEN"] = t.TempDir() + "/seen"
	})
	g.get("/")
	if g.count("process died") != 1 {
		t.Errorf("the process has not died: the test shows nothing\n%s", g.log)
	}
}

// A GET that was with the only process when that was killed is sent to its
// successor.
func TestGetOutlivesTheOnlyProcess(t *testing.T) {
	g := startEdited(t, func(c *config.Config) { c.Backends[0].KeepIdle = -1 }) // a kept connection may just have been closed: that is another matter
	g.get("/")
	for range 3 {
		await(t, "a process that has stayed", func() bool { return anyProcess(g, false) != 0 })
		came := g.ask("/held")
		pid := 0
		await(t, "it is being served", func() bool { pid = anyProcess(g, true); return pid != 0 })
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		if r := <-came; r.status != 200 {
			t.Errorf("a GET at a process that was killed: %v, want 200\n%s", r, strings.Join(g.log.With("request failed"), "\n"))
		}
	}
}
