package process

import (
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A doorman turns away who connects to a slot's socket while no process is
// there to accept, and will not be for a while. The socket stays open through
// a death, so without it a request waits out the whole pause, while other
// processes may be free.
type doorman struct {
	wake *os.File      // closed to end it
	done chan struct{} // closed when it has ended
}

// hire starts a doorman. Its goroutine belongs to the slot, which ends it with
// dismiss before it starts a process. It blocks in poll only.
func hire(sock *socket, refusal []byte) (*doorman, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	fd := int(sock.file.Fd())
	// What a descendant that got away accepts first must not block us. The
	// next process gets the socket back as it was, see descriptor0.
	if err := syscall.SetNonblock(fd, true); err != nil {
		r.Close()
		w.Close()
		return nil, err
	}
	d := &doorman{wake: w, done: make(chan struct{})}
	go func() {
		defer close(d.done)
		defer r.Close()
		turnAway(fd, int(r.Fd()), refusal)
	}()
	return d, nil
}

// turnAway accepts and refuses until wake is closed.
func turnAway(fd, wake int, refusal []byte) {
	var refused guests
	defer refused.leave()
	polled := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}, {Fd: int32(wake), Events: unix.POLLIN}}
	unix.Poll(polled[1:], newsTime)
	for {
		if _, err := unix.Poll(polled, -1); err != nil && err != unix.EINTR {
			return
		}
		if polled[1].Revents != 0 {
			return
		}
		syscall.ForkLock.RLock() // no fork between the next two calls
		nc, _, err := syscall.Accept(fd)
		if err == nil {
			syscall.CloseOnExec(nc)
		}
		syscall.ForkLock.RUnlock()
		switch err {
		case nil:
		case syscall.EAGAIN, syscall.EINTR, syscall.ECONNABORTED:
			continue // gone again
		default: // no descriptor is free, or the process has shut its socket down
			unix.Poll(polled[1:], newsTime)
			continue
		}
		syscall.Write(nc, refusal) // there is room for it in a new connection
		refused.see(nc)
	}
}

// newsTime is how long the doorman waits at first, in milliseconds, for the news
// of the death to reach those who choose a process: whoever is refused before
// that is sent here again.
const newsTime = 100

// maxGuests bounds the connections that are kept open after the refusal.
const maxGuests = 64

// guests are connections that have been refused. Each stays open for a while:
// who is still writing its request would get EPIPE, and not read what it was
// told.
type guests []int

func (g *guests) see(nc int) {
	syscall.Shutdown(nc, syscall.SHUT_WR)
	if len(*g) == maxGuests {
		syscall.Close((*g)[0])
		*g = append((*g)[:0], (*g)[1:]...)
	}
	*g = append(*g, nc)
}

func (g *guests) leave() {
	for _, nc := range *g {
		syscall.Close(nc)
	}
}

// dismiss ends the doorman and waits for him. It is called on a nil doorman
// when there is none.
func (d *doorman) dismiss() {
	if d != nil {
		d.wake.Close()
		<-d.done
	}
}
