package process

import (
	"os"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// awaitDeath waits until the process has died, says how, and does not reap it:
// as long as it is a zombie its number, and that of its process group, is nobody
// else's. It takes no thread of ours, of which there are 10 000 at most, but
// before Linux 5.10 one.
func awaitDeath(pid int) (syscall.WaitStatus, error) {
	var info unix.Siginfo
	look := func(options int) error {
		for {
			err := unix.Waitid(unix.P_PID, pid, &info, unix.WEXITED|unix.WNOWAIT|options, nil)
			if err != unix.EINTR {
				return err
			}
		}
	}
	var err error
	if !awaitReadable(pid, func() bool { err = look(unix.WNOHANG); return err != nil || info.Signo != 0 }) {
		err = look(0)
	}
	return waitStatus(&info), err
}

// awaitReadable calls dead at first and when the process has died, until it
// returns true; if that cannot be done it returns false.
func awaitReadable(pid int, dead func() bool) bool {
	fd, err := unix.PidfdOpen(pid, unix.PIDFD_NONBLOCK)
	if err != nil {
		return false
	}
	f := os.NewFile(uintptr(fd), "pidfd") // the runtime polls what does not block
	defer f.Close()
	raw, err := f.SyscallConn()
	return err == nil && raw.Read(func(uintptr) bool { return dead() }) == nil
}

// How a child has died (waitid(2), si_code).
const (
	cldExited = 1
	cldDumped = 3 // 2 is the same without a core
)

// statusAt is where si_status lies: behind three numbers, the si_pid and si_uid.
// The second part begins where a pointer may.
const statusAt = (3*4+unsafe.Sizeof(uintptr(0))-1)/unsafe.Sizeof(uintptr(0))*unsafe.Sizeof(uintptr(0)) + 2*4

// waitStatus returns what waitid(2) has said in the words of wait(2).
func waitStatus(info *unix.Siginfo) syscall.WaitStatus {
	status := syscall.WaitStatus(*(*int32)(unsafe.Add(unsafe.Pointer(info), statusAt)))
	switch info.Code {
	case cldExited:
		return status << 8
	case cldDumped:
		return status | 0x80
	}
	return status
}
