// Package hangup finds out that the peer of a connection has gone while
// nothing is read from it.
package hangup

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// Await waits until the peer neither writes nor reads any more, and returns nil
// then; or until the read deadline of nc, whose error it returns. What the peer
// has sent stays unread. Of a TCP connection the system tells no more than that
// the peer writes no more, until something is sent to it and comes back.
func Await(nc net.Conn) error {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return errors.ErrUnsupported
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Read(func(fd uintptr) bool {
		polled := []unix.PollFd{{Fd: int32(fd)}} // POLLHUP and POLLERR need not be asked for
		n, err := unix.Poll(polled, 0)
		return err == nil && n > 0
	})
}
