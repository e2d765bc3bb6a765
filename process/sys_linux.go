package process

import (
	"bytes"
	"math"
	"os"
	"path/filepath"
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
	files, _ := filepath.Glob("/proc/[1-9]*/stat")
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		if group, state, ok := parseStat(stat); ok && group == pgid && state != 'Z' && state != 'X' {
			return true
		}
	}
	return len(files) == 0 // without /proc there is only the answer of kill
}

// residentByGroup returns the resident memory of every process group, in bytes.
func residentByGroup() map[int]int64 {
	groups := make(map[int]int64)
	page := int64(os.Getpagesize())
	files, _ := filepath.Glob("/proc/[1-9]*/stat")
	for _, file := range files {
		stat, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended
		}
		if pgid, pages, ok := parseResident(stat); ok {
			groups[pgid] += pages * page
		}
	}
	return groups
}

// parseResident reads process group and resident pages from /proc/PID/stat.
func parseResident(stat []byte) (pgid int, pages int64, ok bool) {
	const rss = 21 // of the fields behind the name, from 0
	pgid, _, ok = parseStat(stat)
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if !ok || len(fields) <= rss {
		return 0, 0, false
	}
	pages, err := strconv.ParseInt(string(fields[rss]), 10, 64)
	return pgid, pages, err == nil
}

// onMainThread reports whether this thread was the first of the process.
func onMainThread() bool { return unix.Gettid() == os.Getpid() }
