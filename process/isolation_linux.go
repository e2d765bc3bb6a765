package process

import (
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// canIsolate says whether all of an Isolation can be had here.
const canIsolate = true

// resources are the limits by name.
var resources = map[string]resource{
	"as":         {unix.RLIMIT_AS, "Max address space"},
	"core":       {unix.RLIMIT_CORE, "Max core file size"},
	"cpu":        {unix.RLIMIT_CPU, "Max cpu time"},
	"data":       {unix.RLIMIT_DATA, "Max data size"},
	"fsize":      {unix.RLIMIT_FSIZE, "Max file size"},
	"locks":      {unix.RLIMIT_LOCKS, "Max file locks"},
	"memlock":    {unix.RLIMIT_MEMLOCK, "Max locked memory"},
	"msgqueue":   {unix.RLIMIT_MSGQUEUE, "Max msgqueue size"},
	"nice":       {unix.RLIMIT_NICE, "Max nice priority"},
	"nofile":     {unix.RLIMIT_NOFILE, "Max open files"},
	"nproc":      {unix.RLIMIT_NPROC, "Max processes"},
	"rss":        {unix.RLIMIT_RSS, "Max resident set"},
	"rtprio":     {unix.RLIMIT_RTPRIO, "Max realtime priority"},
	"rttime":     {unix.RLIMIT_RTTIME, "Max realtime timeout"},
	"sigpending": {unix.RLIMIT_SIGPENDING, "Max pending signals"},
	"stack":      {unix.RLIMIT_STACK, "Max stack size"},
}

// A resource is a limit as the kernel knows it.
type resource struct {
	number int
	title  string // in /proc/PID/limits
}

// ourPowers asks the kernel what it lets us do. Root in a container may have
// only some of root's rights.
func ourPowers() powers {
	p := powers{
		root: capable(unix.CAP_SYS_CHROOT), ids: capable(unix.CAP_SETUID) && capable(unix.CAP_SETGID),
		limits: capable(unix.CAP_SYS_RESOURCE), nice: capable(unix.CAP_SYS_NICE),
		uid: os.Geteuid(), gid: os.Getegid(), hard: make(map[string]uint64), nicest: math.MaxInt, blind: ownProc(),
	}
	p.groups, _ = os.Getgroups()
	for name, r := range resources {
		var l unix.Rlimit
		if unix.Prlimit(0, r.number, nil, &l) != nil {
			continue
		}
		p.hard[name] = l.Max
		if name == "nice" {
			p.nicest = 20 - int(min(l.Cur, 40))
		}
	}
	if n, err := niceness(os.Getpid()); err == nil {
		p.niceness = n
	}
	if b, err := os.ReadFile("/proc/sys/fs/nr_open"); err == nil {
		p.mostFiles, _ = strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	}
	return p
}

// capable reports whether we have a capability, as root usually has.
func capable(number int) bool {
	var data [2]unix.CapUserData // one for each 32 of them
	if unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]) != nil {
		return os.Geteuid() == 0
	}
	return data[number/32].Effective>>(number%32)&1 != 0
}

// niceness returns that of the first thread of a process.
func niceness(pid int) (int, error) {
	n, err := unix.Getpriority(unix.PRIO_PROCESS, pid)
	return 20 - n, err // the system call has no negative results
}

// settle makes this thread what the processes that it starts shall be, as far
// as that is a matter of threads. It is a thread for nothing else. ownUmask
// says that the umask could be set without setting everybody's.
func (i *Isolation) settle() (ownUmask bool, _ *startError) {
	if i.Umask != nil {
		// All threads have folder and umask in common, until one wants its
		// own. Containers may forbid that.
		if ownUmask = unix.Unshare(unix.CLONE_FS) == nil; ownUmask {
			syscall.Umask(int(*i.Umask))
			syscall.Chdir("/proc/self/cwd") // the others may have moved since
		}
	}
	if i.Nice != 0 {
		if err := syscall.Setpriority(unix.PRIO_PROCESS, 0, i.Nice); err != nil {
			return false, &startError{fmt.Sprintf("nice %d: %v", i.Nice, err), "only root may raise a priority"}
		}
	}
	if i.NoNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return false, &startError{fmt.Sprintf("no_new_privs: %v", err), "leave it out"}
		}
	}
	return ownUmask, nil
}

// limit sets the limits of a process. They cannot be set on the thread that
// starts it: limits are the whole process's, and it would be ours that were
// changed, and for those who are not root for good.
func (s *Spec) limit(pid int) (failed *startError) {
	if len(s.Isolation.Limits) == 0 {
		return nil
	}
	set := func() {
		for _, l := range s.Isolation.Limits {
			if err := unix.Prlimit(pid, resources[l.Name].number, &unix.Rlimit{Cur: l.Soft, Max: l.Hard}, nil); err != nil {
				failed = &startError{fmt.Sprintf("limit %v: %v", l, err), "only root may raise a hard limit (or CAP_SYS_RESOURCE)"}
				return
			}
		}
	}
	c := s.credential()
	if c == nil || capable(unix.CAP_SYS_RESOURCE) {
		set()
	} else if err := asThough(c, set); err != nil {
		failed = &startError{fmt.Sprintf("limits of a process of user %d: %v", c.UID, err), "give us CAP_SYS_RESOURCE, or leave the limits out"}
	}
	return failed
}

// asThough calls f while the real ids of this thread are those of c. Who lacks
// CAP_SYS_RESOURCE, as root in a container does, may set the limits only of
// processes with the ids that are its own real ones (prlimit(2)). All else goes
// by the effective ids, which stay.
func asThough(c *Credential, f func()) error {
	const same = ^uintptr(0)
	set := func(uid, gid int) error {
		// Package syscall's would set the ids of all threads.
		if _, _, err := syscall.RawSyscall(sysSetresgid, uintptr(gid), same, same); err != 0 {
			return os.NewSyscallError("setresgid", err)
		}
		_, _, err := syscall.RawSyscall(sysSetresuid, uintptr(uid), same, same)
		if err != 0 {
			return os.NewSyscallError("setresuid", err)
		}
		return nil
	}
	uid, gid := os.Getuid(), os.Getgid()
	err := set(int(c.UID), int(c.GID))
	if err == nil {
		f()
	}
	return errors.Join(err, set(uid, gid))
}
