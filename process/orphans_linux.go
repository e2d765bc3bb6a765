package process

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// reapAfter is how long a child must have been dead before Adopt waits for it, if
// it is not a group's. What others have started is waited for by them, at once.
const reapAfter = 2 * time.Second

// Adopt makes this program the parent of all its descendants that lose their
// own (prctl(2), PR_SET_CHILD_SUBREAPER), as the first process of a container
// is anyway. From then on a Group ends with a process also what has left its
// process group, as daemons do; it knows them by a variable of the environment,
// SLUICE_PROCESS, and by the private socket of its slot: one that has written over
// its environment and closed that socket gets away.
//
// It is for main programs, called once, before the first Group is made: it waits
// for every child that has been dead for two seconds, that no Group has started
// and that nobody has waited for. stop ends that, and waits for its end.
func Adopt() (stop func(), err error) {
	if failed := ownProc(); failed != nil {
		return nil, fmt.Errorf("process: become the parent of orphans: %w", failed)
	}
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return nil, fmt.Errorf("process: become the parent of orphans: %w", err)
	}
	adopting.Store(true)
	ctx, cancel := context.WithCancel(context.Background())
	died := make(chan os.Signal, 1)
	signal.Notify(died, syscall.SIGCHLD)
	done := make(chan struct{})
	go func() { // stop ends it and waits
		defer close(done)
		defer signal.Stop(died)
		reap(ctx, died)
	}()
	return func() { cancel(); <-done }, nil
}

// reap waits for the dead children that nobody else waits for, until ctx is
// done. While no child dies it sleeps.
func reap(ctx context.Context, died <-chan os.Signal) {
	dead := make(map[int]bool)
	for {
		if len(dead) == 0 {
			select {
			case <-died:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-time.After(reapAfter):
		case <-ctx.Done():
			return
		}
		dead = collect(dead)
	}
}

// collect waits for the children that were dead at the last look and still are,
// and returns the others that are.
func collect(before map[int]bool) (now map[int]bool) {
	now = make(map[int]bool)
	for pid, p := range everyProcess() {
		switch {
		case p.parent != os.Getpid() || !p.gone() || isKnown(pid):
		case before[pid]:
			syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		default:
			now[pid] = true
		}
	}
	return now
}

func isKnown(pid int) bool {
	_, is := known.Load(pid)
	return is
}

// endOrphans ends what a process has left behind, wherever
// it went, adds to ended what that was, and reports whether all of it is gone.
// The process and its process group are: all that they had started are our
// children now. What those have started in turn are when they have ended; if they
// start others faster than they can be ended, it gives up.
func endOrphans(of trace, ended map[int]string) (all bool) {
	deadline := time.Now().Add(goneTimeout)
	sure := time.Now().Add(orphanDoubt)
	for {
		left, doubt := orphans(of)
		if len(left) == 0 {
			if !doubt || time.Now().After(sure) {
				return true
			}
			time.Sleep(time.Millisecond)
			continue
		}
		for pid, name := range left {
			ended[pid] = name
			syscall.Kill(pid, syscall.SIGKILL)
		}
		for pid := range left {
			if !awaitOrphan(pid, deadline) {
				return false
			}
		}
		if time.Now().After(deadline) {
			return false
		}
	}
}

// awaitOrphan waits until a child of ours that got SIGKILL is gone.
func awaitOrphan(pid int, deadline time.Time) bool {
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		got, err := syscall.Wait4(pid, nil, syscall.WNOHANG, nil)
		switch {
		case got == pid, err == syscall.ECHILD:
			return true
		case time.Now().After(deadline):
			return false
		}
		time.Sleep(wait)
	}
}

// orphans returns those of our children that a process has left behind, with
// their names. In doubt is what has no environment to be seen: it may be about to
// end, or to become another program.
func orphans(of trace) (left map[int]string, doubt bool) {
	if of.mark == "" {
		return nil, false
	}
	left = make(map[int]string)
	for pid, p := range everyProcess() {
		if p.parent != os.Getpid() || p.gone() || isKnown(pid) {
			continue
		}
		dir := "/proc/" + strconv.Itoa(pid)
		switch environ, err := os.ReadFile(dir + "/environ"); {
		case err != nil: // it has ended, or is not for us to see
		case bears(string(environ), of.mark), holds(dir, of.socket):
			name, _ := os.ReadFile(dir + "/comm")
			left[pid] = fmt.Sprintf("%s (%d)", strings.TrimSpace(string(name)), pid)
		case len(environ) == 0:
			doubt = true
		}
	}
	return left, doubt
}

// holds reports whether the process whose folder in /proc is dir has a socket
// open: then it may take requests, whatever it has written over its environment.
func holds(dir string, socket uint64) bool {
	if socket == 0 {
		return false
	}
	name := fmt.Sprintf("socket:[%d]", socket)
	open, _ := os.ReadDir(dir + "/fd")
	return slices.ContainsFunc(open, func(fd os.DirEntry) bool {
		target, _ := os.Readlink(dir + "/fd/" + fd.Name())
		return target == name
	})
}
