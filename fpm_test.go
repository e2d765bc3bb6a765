package sluice

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/testpeer"
	"github.com/sluice-gateway/sluice/process"
)

// startFPM runs a Server with a php-fpm of two processes, and a script that says
// which one runs it.
func startFPM(t *testing.T, edit func(*config.Backend)) *rig {
	t.Helper()
	root := readable(t)
	write(t, root, "pid.php", `<?php usleep(10000); echo getmypid();`)
	b := config.Backend{Name: "app", PHP: testpeer.Need(t, "php-fpm*", "php-fpm"), Processes: config.Processes{Max: 2}}
	if edit != nil {
		edit(&b)
	}
	g := start(t, &config.Config{
		Listen: []string{"127.0.0.1:0"}, Root: root, Backends: []config.Backend{b},
		Routes: []config.Route{{Path: "*.php", Backend: "app"}},
	})
	g.get("/pid.php")
	return g
}

// master returns the only process of the group, when it has been there for so
// long.
func (g *rig) master(age time.Duration) (pid int) {
	g.t.Helper()
	await(g.t, "one php-fpm", func() bool {
		all := g.backend("app").Status().Processes
		pid = all[0].PID
		return len(all) == 1 && all[0].State == process.Ready && time.Since(all[0].Since) > age
	})
	return pid
}

// children returns the children of a process, as text.
func children(pid int) []string {
	b, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "task", strconv.Itoa(pid), "children"))
	return strings.Fields(string(b))
}

// lostNothing wants all requests of a crowd to have been answered.
func (g *rig) lostNothing(c *crowd) {
	g.t.Helper()
	c.end()
	g.t.Logf("%d requests, %d failed", c.good.Load()+c.bad.Load(), c.bad.Load())
	if n := c.bad.Load(); n > 0 {
		g.t.Errorf("%d of %d requests failed, the first: %s\n%s", n, n+c.good.Load(), *c.first.Load(), strings.Join(g.log.With("request failed"), "\n"))
	}
	if c.good.Load() < 50 {
		g.t.Errorf("%d requests: that shows nothing", c.good.Load())
	}
}

// A php-fpm that somebody kills costs the requests that it had and that may not
// be repeated, and no others: what comes while it has no successor waits.
func TestFPMIsKilled(t *testing.T) {
	const kills, processes = 10, 2
	g := startFPM(t, nil)
	gets, posts := newCrowd(g, 8, "GET", "pid.php"), newCrowd(g, 4, "POST", "pid.php")
	for range kills {
		pid := g.master(200 * time.Millisecond) // or it has died young
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		await(t, "its successor", func() bool { return g.master(0) != pid })
	}
	g.master(0)
	posts.end()
	g.lostNothing(gets)
	t.Logf("of %d POSTs %d were lost", posts.good.Load()+posts.bad.Load(), posts.bad.Load())
	if n := posts.bad.Load(); n > kills*processes || posts.good.Load() < 50 {
		t.Errorf("%d POSTs were lost, and %d not, with %d processes that had one each at the most", n, posts.good.Load(), kills*processes)
	}
	for _, why := range []string{"refused", "no such file"} {
		if lines := g.log.With("request failed", why); len(lines) > 0 {
			t.Errorf("nobody listened:\n%s", strings.Join(lines, "\n"))
		}
	}
}

// Whatever is done to a php-fpm in good order, nobody who asks learns of it.
func TestFPMIsReplaced(t *testing.T) {
	watched, changes := readable(t), 0
	tests := []struct {
		name  string
		edit  func(*config.Backend)
		times int
		do    func(t *testing.T, g *rig) error
	}{
		{"its group is restarted", func(b *config.Backend) { b.Watch = []string{watched} }, 3, func(t *testing.T, g *rig) error {
			changes++
			write(t, watched, "changed", strconv.Itoa(changes))
			return nil
		}},
		{"all is restarted", nil, 3, func(t *testing.T, g *rig) error { return g.s.Restart() }},
		{"the configuration changes", nil, 3, func(t *testing.T, g *rig) error {
			cfg := *g.s.current.Load().cfg
			cfg.Backends = append([]config.Backend(nil), cfg.Backends...)
			cfg.Backends[0].Processes.Max++
			return g.s.Reload(&cfg)
		}},
		{"it becomes too old", func(b *config.Backend) { b.Processes.MaxAge = time.Second }, 2, nil},
		{"somebody asks it to end", nil, 3, func(t *testing.T, g *rig) error {
			return syscall.Kill(g.master(1500*time.Millisecond), syscall.SIGQUIT)
		}},
		{"its processes have had enough", func(b *config.Backend) { b.Processes.MaxRequests = 10 }, 3, func(t *testing.T, g *rig) error {
			time.Sleep(10 * crowdPause)
			return nil
		}},
		{"somebody asks it to replace its program", nil, 3, func(t *testing.T, g *rig) error { return syscall.Kill(g.master(0), syscall.SIGUSR2) }},
	}
	runtime := runtimes(t)
	t.Run("all", func(t *testing.T) {
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				t.Parallel()
				g := startFPM(t, tt.edit)
				gets, posts := newCrowd(g, 8, "GET", "pid.php"), newCrowd(g, 8, "POST", "pid.php")
				for n := range tt.times {
					before := children(g.master(0))
					if tt.do == nil {
						await(t, "a replacement", func() bool { return len(g.log.With("process replaced", " old")) > n })
					} else if err := tt.do(t, g); err != nil {
						t.Fatal(err)
					}
					await(t, "other processes", func() bool { now := g.get("/pid.php"); return !slices.Contains(before, now) })
					time.Sleep(4 * crowdPause) // for more to come
				}
				g.master(0)
				g.lostNothing(gets)
				g.lostNothing(posts)
				if err := g.end(); err != nil {
					t.Error(err)
				}
			})
		}
	})
	if left, err := os.ReadDir(runtime); err != nil || len(left) > 0 {
		t.Errorf("folders that are left: %v, %v", left, err)
	}
}

// Requests that waited at the socket of a php-fpm that was killed may take longer
// than its start may: it has begun with them, so it takes requests.
func TestFPMBeginsWithSlowRequests(t *testing.T) {
	g := startFPM(t, func(b *config.Backend) { b.Processes.StartTimeout, b.MaxLoad = 2*time.Second, 8 })
	write(t, g.s.current.Load().cfg.Root, "slow.php", `<?php usleep(3000000); echo "slow";`)
	pid := g.master(0)
	var answers []<-chan reply
	for range 8 {
		answers = append(answers, g.ask("/slow.php"))
	}
	await(t, "8 requests", func() bool {
		workers := g.backend("app").Status().Pool.Workers
		return len(workers) == 1 && workers[0].Load == 8
	})
	time.Sleep(200 * time.Millisecond) // or fewer may have come to its queue
	syscall.Kill(pid, syscall.SIGKILL)
	for _, a := range answers {
		if r := <-a; r.status != 200 {
			t.Errorf("a request: %v, want 200", r)
		}
	}
	if lines := g.log.With("process died"); len(lines) != 1 {
		t.Errorf("processes died:\n%s\nwant the one that was killed", strings.Join(lines, "\n"))
	}
}

// The socket of php-fpm is where no other program can listen either: its path
// may be long, and have in it what php-fpm would take for something else.
func TestFPMSocket(t *testing.T) {
	dir := filepath.Join(readable(t), "a=b,c;d:e", strings.Repeat("x", 120))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_RUNTIME_DIR", dir)
	g := startFPM(t, nil)
	sockets, _ := filepath.Glob(filepath.Join(dir, "sluice-*", "*.sock"))
	if len(sockets) != 1 {
		t.Errorf("sockets below %s: %q, want one", dir, sockets)
	}
	if err := g.end(); err != nil {
		t.Error(err)
	}
}

// A php-fpm around which something is that takes the name of its socket away is
// refused at once, with the reason.
func TestFPMIsNotTold(t *testing.T) {
	g := startFPM(t, nil)
	around := filepath.Join(readable(t), "php-fpm")
	if err := os.WriteFile(around, []byte("#!/bin/sh\nexec env -i "+testpeer.Need(t, "php-fpm*", "php-fpm")+" \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := *g.s.current.Load().cfg
	cfg.Backends = append([]config.Backend(nil), cfg.Backends...)
	cfg.Backends[0].PHP = around
	if err := g.s.Reload(&cfg); err == nil || !strings.Contains(err.Error(), "taken FPM_SOCKETS out of its environment") {
		t.Errorf("Reload: %v, want what is wrong", err)
	}
	g.get("/pid.php")
}
