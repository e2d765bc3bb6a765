package process

import (
	"iter"
	"math"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// attributes returns how a process is started: in a process group of its own,
// so that all of it can be ended at once and a terminal's Ctrl-C does not
// reach it, and so that it does not outlive us, even if we get SIGKILL.
func attributes(s *Spec) *syscall.SysProcAttr {
	last := syscall.SIGKILL
	if s.Listen == BySelf {
		// It has children of its own, as php-fpm does, which nobody else
		// would end.
		last = syscall.SIGTERM
	}
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: last, Chroot: s.Isolation.Chroot, Credential: credential(s.credential())}
}

// keepOurs marks every descriptor that we have above 2 as not to be inherited.
// Go's own are; those that we were started with may not be.
func keepOurs() {
	if unix.CloseRange(3, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC) == nil {
		return
	}
	keepOursOneByOne("/proc/self/fd") // before Linux 5.11
}

// awaitDeath waits until the process has died, and does not reap it: as long
// as it is a zombie its number, and that of its process group, is nobody
// else's.
func awaitDeath(pid int) error {
	for {
		err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if err != unix.EINTR {
			return err
		}
	}
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

// everyProcess returns all processes that we can see, by their numbers.
func everyProcess() iter.Seq2[int, stat] {
	return func(yield func(int, stat) bool) {
		entries, _ := os.ReadDir("/proc")
		for _, e := range entries {
			pid, err := strconv.Atoi(e.Name())
			if err != nil {
				continue
			}
			text, err := os.ReadFile("/proc/" + e.Name() + "/stat")
			if err != nil {
				continue // it has ended
			}
			if s, ok := parseStat(text); ok && !yield(pid, s) {
				return
			}
		}
	}
}

// onMainThread reports whether this thread was the first of the process.
func onMainThread() bool { return unix.Gettid() == os.Getpid() }
