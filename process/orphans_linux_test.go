package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/testlog"
)

func init() {
	for name, part := range adopters {
		moreParts["adopt-"+name] = func() error { return adopter(part, name == "rest") }
	}
}

// daemons leaves two orphans in sessions of their own, one of which has a child
// in another, and says their numbers when all of them are there.
const daemons = `
(setsid sh -c 'setsid sleep 61 & echo $! >&3; exec sleep 62' & echo $! >&3)
(PATH=$PATH setsid sleep 63 & echo $! >&3)
`

// An adopted is a group whose only process leaves daemons behind.
type adopted struct {
	group   *Group
	log     *testlog.Buffer
	process int
	orphans []int
}

// adopters are what becomes of orphans in a program that adopts them.
var adopters = map[string]func(a adopted) error{
	"stop": func(a adopted) error {
		if err := a.group.Stop(context.Background()); err != nil {
			return err
		}
		return a.ended(0)
	},
	"death": func(a adopted) error {
		syscall.Kill(a.process, syscall.SIGKILL)
		if err := soon(func() bool { return a.group.Status()[0].State == Down }); err != nil {
			return err
		}
		return a.ended(1)
	},
	// What is another's, or nobody's, stays.
	"others": func(a adopted) error {
		other, err := NewGroup(Spec{Args: []string{"/bin/true"}, Backoff: Backoff{Min: time.Hour}, Log: a.log.Logger()}, 1, os.Getenv("TMPDIR"))
		if err != nil {
			return err
		}
		defer other.Stop(context.Background())
		other.Start()
		if err := soon(func() bool { return other.Status()[0].State == Down }); err != nil {
			return err
		}
		if i := slices.IndexFunc(a.orphans, gone); i >= 0 {
			return fmt.Errorf("the end of another process was that of orphan %d", a.orphans[i])
		}
		return a.group.Stop(context.Background())
	},
	// What it left finishes as well, if the process was asked to end.
	"finishes": func(a adopted) error {
		return a.leaves("trap 'sleep 0.3; echo finished; exit' TERM; echo pid $$; for i in $(seq 3000); do sleep 0.01; done", time.Minute, 0, func(g *Group) error {
			if err := g.Stop(context.Background()); err != nil {
				return err
			}
			if len(a.log.With("text=finished")) == 0 {
				return errors.New("it has not finished")
			}
			return nil
		})
	},
	// One that bears no mark is known by the socket that it has, whether its
	// parent was asked to end or has crashed.
	"unmarked": func(a adopted) error {
		const start = `exec 4<&0; env -i setsid sh -c "$1" <&4` // of what runs in the background, 0 is /dev/null
		if err := a.leavesBy(start, "trap 'exit' TERM; echo pid $$; for i in $(seq 3000); do sleep 0.01; done", time.Minute, 0, func(g *Group) error {
			return g.Stop(context.Background())
		}); err != nil {
			return err
		}
		return a.leavesBy(start, "echo pid $$; for i in $(seq 3000); do sleep 0.01; done", time.Minute, 1, func(g *Group) error {
			first := g.Status()[0].PID
			syscall.Kill(first, syscall.SIGKILL)
			if err := soon(func() bool { return g.Status()[0].PID != first }); err != nil {
				return err
			}
			return g.Stop(context.Background())
		})
	},
	// But not longer than it may.
	"deaf": func(a adopted) error {
		return a.leaves("trap '' TERM; echo pid $$; for i in $(seq 3000); do sleep 0.01; done", 100*time.Millisecond, 1, func(g *Group) error {
			return g.Stop(context.Background())
		})
	},
	"no-time": func(a adopted) error {
		return a.leaves("trap '' TERM; echo pid $$; for i in $(seq 3000); do sleep 0.01; done", time.Minute, 1, func(g *Group) error {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			defer cancel()
			begin := time.Now()
			if err := g.Stop(ctx); err != nil || time.Since(begin) > 5*time.Second {
				return fmt.Errorf("Stop = %w, after %v", err, time.Since(begin))
			}
			return nil
		})
	},
	// A process that is dead while the rest of its group still has something to
	// finish is waited for by its group, and by nobody else.
	"rest": func(a adopted) error {
		if err := a.group.Stop(context.Background()); err != nil {
			return err
		}
		if last := a.group.Status()[0].Last; last.Reason != "killed by SIGTERM (terminated)" {
			return fmt.Errorf("it ended with %q", last.Reason)
		}
		return nil
	},
	// Those that end by themselves do not stay as zombies.
	"reaped": func(a adopted) error {
		for _, pid := range a.orphans {
			syscall.Kill(pid, syscall.SIGKILL)
		}
		for _, pid := range a.orphans {
			if err := soon(func() bool { return syscall.Kill(pid, 0) != nil }); err != nil {
				return fmt.Errorf("orphan %d is dead, and nobody waits for it: %w", pid, err)
			}
		}
		return a.group.Stop(context.Background())
	},
}

// leaves starts a process that leaves one orphan, which runs a script that says
// its number, and ends it. No orphan may be there then; it is said of those that
// had to be killed.
func (a adopted) leaves(script string, timeout time.Duration, killed int, end func(*Group) error) error {
	return a.leavesBy(`setsid sh -c "$1"`, script, timeout, killed, end)
}

// leavesBy is leaves with the command that starts the orphan.
func (a adopted) leavesBy(start, script string, timeout time.Duration, killed int, end func(*Group) error) error {
	spec := Spec{Args: []string{"/bin/sh", "-c", start + ` & trap 'exit 0' TERM; wait; wait`, "sh", script}, StopTimeout: timeout, Log: a.log.Logger()}
	g, err := NewGroup(spec, 1, os.Getenv("TMPDIR"))
	if err != nil {
		return err
	}
	if err := g.Start(); err != nil {
		return err
	}
	pid := 0
	if err := soon(func() bool {
		n, err := fmt.Sscanf(strings.Join(g.Status()[0].Output, " "), "pid %d", &pid)
		return n == 1 && err == nil
	}); err != nil {
		return err
	}
	if err := end(g); err != nil {
		return err
	}
	if !gone(pid) {
		return fmt.Errorf("orphan %d is still there", pid)
	}
	if said := a.log.With("level=WARN", `msg="what it left behind was killed"`, "("+strconv.Itoa(pid)+")"); len(said) != killed {
		return fmt.Errorf("said %d times that an orphan was killed, want %d:\n%s", len(said), killed, a.log)
	}
	return nil
}

// ended returns an error unless the orphans are gone, and that was said if they
// had to be killed.
func (a adopted) ended(killed int) error {
	if i := slices.IndexFunc(a.orphans, func(pid int) bool { return !gone(pid) }); i >= 0 {
		return fmt.Errorf("orphan %d is still there", a.orphans[i])
	}
	if said := a.log.With("level=WARN", `msg="what it left behind was killed"`, "("+strconv.Itoa(a.orphans[0])+")"); len(said) != killed {
		return fmt.Errorf("said %d times that orphans were killed, want %d:\n%s", len(said), killed, a.log)
	}
	return nil
}

// adopter plays a program that adopts orphans.
func adopter(part func(adopted) error, rest bool) error {
	stop, err := Adopt()
	if err != nil {
		return err
	}
	defer stop()
	a := adopted{log: new(testlog.Buffer)}
	spec := script("exec 3>&1" + daemons + "(trap 'sleep 5' TERM; sleep 60) & exec sleep 60")
	spec.StopTimeout = 100 * time.Millisecond
	if rest {
		spec.StopTimeout = time.Minute
	}
	spec.Log, spec.Backoff.Min = a.log.Logger(), time.Hour
	if a.group, err = NewGroup(spec, 1, os.Getenv("TMPDIR")); err != nil {
		return err
	}
	defer a.group.Stop(context.Background())
	if err := a.group.Start(); err != nil {
		return err
	}
	if err := soon(func() bool { return len(a.group.Status()[0].Output) == 3 }); err != nil {
		return err
	}
	a.process = a.group.Status()[0].PID
	for _, line := range a.group.Status()[0].Output {
		pid, err := strconv.Atoi(line)
		if err != nil {
			return err
		}
		if err := soon(func() bool { group, err := syscall.Getpgid(pid); return err == nil && group == pid }); err != nil {
			return fmt.Errorf("orphan %d has not left the process group: %w", pid, err)
		}
		a.orphans = append(a.orphans, pid)
	}
	return part(a)
}

// soon waits until something is true.
func soon(is func() bool) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(20 * time.Second); !is(); <-tick.C {
		if time.Now().After(end) {
			return errors.New("it has not come to that")
		}
	}
	return nil
}

// What has left the process group, and even the session, ends with the process.
// Each case is a program of its own: it is the program that adopts.
func TestAdopt(t *testing.T) {
	for name := range adopters {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = append(os.Environ(), childMode+"=adopt-"+name, "TMPDIR="+shortDir(t))
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}

func TestMarked(t *testing.T) {
	tests := []struct {
		env  []string
		want string
	}{
		{nil, "SLUICE_PROCESS=m\x00"},
		{[]string{"A=1", "SLUICE_PROCESS=of another", "B="}, "A=1\x00B=\x00SLUICE_PROCESS=m\x00"},
	}
	for _, tt := range tests {
		environ := strings.Join(marked(tt.env, "m"), "\x00") + "\x00"
		if environ != tt.want {
			t.Errorf("marked(%q) = %q, want %q", tt.env, environ, tt.want)
		}
		if !bears(environ, "m") || bears(environ, "mm") || bears(environ, "") || bears("X"+environ, "m") && len(tt.env) == 0 {
			t.Errorf("bears(%q) takes another mark for m, or not m", environ)
		}
	}
}
