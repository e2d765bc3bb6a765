package process

import (
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// A TCP socket is that and nothing newer: applications have not asked for it.
func TestSocketIsTCP(t *testing.T) {
	s := openSocket(t, Socket{Address: "127.0.0.1:0"}, nil)
	if p, err := unix.GetsockoptInt(int(s.file.Fd()), unix.SOL_SOCKET, unix.SO_PROTOCOL); p != syscall.IPPROTO_TCP || err != nil {
		t.Errorf("its protocol is %d, %v, want %d", p, err, syscall.IPPROTO_TCP)
	}
}
