package listen

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
)

// firstInherited is the first descriptor that systemd hands over
// (sd_listen_fds(3)).
const firstInherited = 3

// Inherited returns the sockets that the process was started with: those of
// systemd's protocol (LISTEN_PID, LISTEN_FDS), or else descriptor 0. The
// variables are removed, so that children do not take them for theirs. The
// error is ErrNotListening if there is none.
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
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"} {
		os.Unsetenv(name)
	}
	var all []net.Listener
	for fd := firstInherited; fd < firstInherited+n; fd++ {
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
	n, err := strconv.Atoi(os.Getenv("LISTEN_FDS"))
	if err != nil || n < 0 {
		return 0, errors.New("LISTEN_FDS is not a number")
	}
	return n, nil
}
