package process

import (
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Anybody who can read a folder can lock it. While the sockets of new slots wait
// for that, everything else goes on, the end of the group included.
func TestGrowsBesideTheRest(t *testing.T) {
	g, log := startGroup(t, script("exec sleep 60"), 1)
	st := untilState(t, g, Ready)
	lock, err := os.Open(g.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	g.Want(5)
	g.Abort(st.PID, "a test")
	eventually(t, "the abort", func() bool { return g.Status()[0].Last != nil })
	if took := time.Since(begin); took > lockTimeout/2 {
		t.Errorf("it took %v", took)
	}
	eventually(t, "five slots", func() bool { return len(g.Status()) == 5 })
	if took := time.Since(begin); took > 2*lockTimeout {
		t.Errorf("four sockets took %v, want one wait for the lock, of %v", took, lockTimeout)
	}
	begin = time.Now()
	g.Want(9)
	stop(t, g)
	if took := time.Since(begin); took > lockTimeout/2 {
		t.Errorf("Stop took %v", took)
	}
	if left, _ := os.ReadDir(g.dir); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	if got := log.With("level=ERROR"); len(got) > 0 {
		t.Errorf("said %q", got)
	}
}

// Slots that are not wanted any more when their sockets are there leave nothing
// behind, and those that cannot be made are made later.
func TestGrowsAsWanted(t *testing.T) {
	g, log := startGroup(t, script("exec sleep 60"), 1)
	for _, n := range []int{5, 1, 3, 0, 2} {
		g.Want(n)
	}
	eventually(t, "two slots", func() bool { return len(g.Status()) == 2 })
	eventually(t, "two sockets", func() bool { left, _ := os.ReadDir(g.dir); return len(left) == 2 })
	if err := os.Chmod(g.dir, 0o777); err != nil {
		t.Fatal(err)
	}
	g.Want(3)
	eventually(t, "a complaint", func() bool {
		return len(log.With("level=ERROR", `msg="process not started"`, "anybody may put something else into")) > 0
	})
	if err := os.Chmod(g.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "three slots", func() bool { return len(g.Status()) == 3 })
}

// The crash loop of a slot that is retired does not keep later ones from being
// announced.
func TestCrashLoopAnnouncedAgain(t *testing.T) {
	spec := script(`echo last words; exit 3`)
	spec.Backoff = Backoff{Min: time.Millisecond, Max: time.Hour, Limit: 2}
	g, log := startGroup(t, spec, 2)
	said := func() int { return len(log.With("level=ERROR", `msg="process keeps dying"`, "last words")) }
	loops := func(n int) func() bool {
		return func() bool {
			in := 0
			for _, st := range g.Status() {
				if st.State == CrashLoop {
					in++
				}
			}
			return in == n && len(g.Status()) == n
		}
	}
	eventually(t, "two crash loops", loops(2))
	if n := said(); n != 1 {
		t.Errorf("two at once were announced %d times, want once", n)
	}
	g.Want(1)
	eventually(t, "one crash loop", loops(1))
	g.Want(2)
	eventually(t, "two again", loops(2))
	if n := said(); n != 1 {
		t.Errorf("one more was announced: %d lines, want the one of before", n)
	}
	g.Want(0)
	eventually(t, "none", loops(0))
	g.Want(1)
	eventually(t, "the next", loops(1))
	if n := said(); n != 2 {
		t.Errorf("two crash loops were announced %d times\n%s", n, strings.Join(log.With("keeps dying"), ""))
	}
}
