package listen

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"
)

// firstInherited is the first descriptor that systemd hands over
// (sd_listen_fds(3)).
const firstInherited = 3

// maxInherited bounds how many: a process has no more descriptors (RLIMIT_NOFILE,
// fs.nr_open).
const maxInherited = 1 << 20

// Inherited returns the sockets that the process was started with: those of
// systemd's protocol (LISTEN_PID, LISTEN_FDS), or else descriptor 0. Neither the
// variables nor systemd's descriptors are left to children, who would take them
// for theirs. The error is ErrNotListening if there is none.
func Inherited() ([]net.Listener, error) {
	n, err := handedOver()
	if err != nil {
		return nil, err
	}
	if n == 0 {
		l, err := onDescriptor("0")
		if err != nil {
			return nil, err
		}
		return []net.Listener{l}, nil
	}
	var all []net.Listener
	for fd := firstInherited; fd < firstInherited+n; fd++ {
		syscall.CloseOnExec(fd)
		l, err := onDescriptor(strconv.Itoa(fd))
		if err != nil {
			for _, l := range all {
				l.Close()
			}
			return nil, fmt.Errorf("LISTEN_FDS: %w", err)
		}
		all = append(all, l)
	}
	return all, nil
}

// handedOver returns how many descriptors LISTEN_FDS hands over to this
// process.
func handedOver() (int, error) {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return 0, nil
	}
	text := os.Getenv("LISTEN_FDS")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 || n > maxInherited {
		return 0, fmt.Errorf("LISTEN_FDS is not a number of descriptors: %.20q", text)
	}
	return n, nil
}
