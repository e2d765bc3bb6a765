package process

import (
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes returns how a process is started: in a process group of its own,
// so that all of it can be ended at once and a terminal's Ctrl-C does not
// reach it, and so that it does not outlive us, even if we get SIGKILL. It does
// if it changes its user itself (prctl(2), PR_SET_PDEATHSIG).
func attributes(s *Spec) *syscall.SysProcAttr {
	last := syscall.SIGKILL
	if s.forksWorkers() {
		last = syscall.SIGTERM // nobody but itself would end its children
	}
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: last, Chroot: s.Isolation.Chroot, Credential: credential(s.credential())}
}

// forksWorkers reports whether the process has children that take its requests
// and do not end with it: those of both PHPs.
func (s *Spec) forksWorkers() bool {
	n, _ := strconv.Atoi(strings.TrimSpace(s.variable("PHP_FCGI_CHILDREN")))
	return n > 0 || s.takesFPMSockets()
}

// keepOurs marks every descriptor that we have above 2 as not to be inherited.
// Go's own are; those that we were started with may not be.
func keepOurs() {
	if unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	keepOursOneByOne("/proc/self/fd") // before Linux 5.11
}

// groupLives reports whether a process of the group runs. Zombies do not: they
// may wait long for whoever adopted them.
func groupLives(pgid int) bool {
	if syscall.Kill(-pgid, 0) != nil {
		return false
	}
	seen := false
	for _, p := range everyProcess() {
		if seen = true; p.group == pgid && !p.gone() {
			return true
		}
	}
	return !seen // without /proc there is only the answer of kill
}

// residentByGroup returns the resident memory of every process group, in bytes.
func residentByGroup() map[int]int64 {
	groups := make(map[int]int64)
	page := int64(os.Getpagesize())
	for _, p := range everyProcess() {
		groups[p.group] += p.pages * page
	}
	return groups
}

// onMainThread reports whether this thread was the first of the process.
func onMainThread() bool { return unix.Gettid() == os.Getpid() }
