//go:build !linux

package process

import (
	"errors"
	"syscall"
)

// attributes returns how a process is started: in a process group of its own.
// Only Linux and FreeBSD can end it when we get SIGKILL.
func attributes(s *Spec) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Chroot: s.Isolation.Chroot, Credential: credential(s.credential())}
}

// keepOurs marks every descriptor that we have above 2 as not to be inherited.
func keepOurs() { keepOursOneByOne("/dev/fd") }

// awaitDeath cannot wait here without reaping.
func awaitDeath(int) (syscall.WaitStatus, error) { return 0, errors.ErrUnsupported }

// seesProcesses reports whether it can be told which processes run.
func seesProcesses() bool { return false }

// groupLives reports whether there is a process of the group.
func groupLives(pgid int) bool { return syscall.Kill(-pgid, 0) == nil }

// residentByGroup is known on Linux only.
func residentByGroup() map[int]int64 { return nil }
