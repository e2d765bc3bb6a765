package testproc

import "syscall"

// Attributes are those of a program in a process group of its own. Should the
// test binary die, the program ends its children too.
func Attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
}
