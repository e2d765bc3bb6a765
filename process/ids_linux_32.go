//go:build linux && (386 || arm)

package process

import "golang.org/x/sys/unix"

// The system calls for ids of 32 bits.
const (
	sysSetresuid = unix.SYS_SETRESUID32
	sysSetresgid = unix.SYS_SETRESGID32
)
