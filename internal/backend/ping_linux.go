package backend

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// wasRead reports whether the peer of a unix socket has read all that was sent
// to it.
func wasRead(nc net.Conn) bool {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	left := -1
	raw.Control(func(fd uintptr) { left, err = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	return err == nil && left == 0
}
