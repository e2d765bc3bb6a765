package process

import (
	"errors"
	"net"
	"time"
)

// A doorman turns away who connects to a slot's socket while no process is
// there to accept, and will not be for a while. The socket stays open through
// a death, so without it a request waits out the whole pause, while other
// processes may be free.
type doorman struct {
	door net.Listener
	done chan struct{} // closed when it has ended
	left chan struct{} // closed by dismiss
}

// hire starts a doorman. Its goroutine belongs to the slot, which ends it with
// dismiss before it starts a process. It blocks in Accept, which ends with the
// door, and while it waits for news.
func hire(sock *socket, refusal []byte) (*doorman, error) {
	// Package net makes the socket non-blocking: what a descendant that got
	// away accepts first must not block us. The next process gets it back as it
	// was, see lend.
	door, err := net.FileListener(sock.file)
	if err != nil {
		return nil, err
	}
	if l, ok := door.(*net.UnixListener); ok {
		l.SetUnlinkOnClose(false)
	}
	d := &doorman{door: door, done: make(chan struct{}), left: make(chan struct{})}
	go func() {
		defer close(d.done)
		d.turnAway(refusal)
	}()
	return d, nil
}

// newsTime is how long the doorman waits at first for the news of the death to
// reach those who choose a process: whoever is refused before that is sent here
// again.
const newsTime = 100 * time.Millisecond

// turnAway accepts and refuses until the doorman is dismissed.
func (d *doorman) turnAway(refusal []byte) {
	var refused guests
	defer refused.leave()
	d.wait()
	for {
		nc, err := d.door.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // no descriptor is free, or the process has shut its socket down
			d.wait()
			continue
		}
		nc.SetWriteDeadline(time.Now().Add(newsTime)) // there is room for it in a new connection
		nc.Write(refusal)
		refused.see(nc)
	}
}

func (d *doorman) wait() {
	select {
	case <-time.After(newsTime):
	case <-d.left:
	}
}

// maxGuests bounds the connections that are kept open after the refusal.
const maxGuests = 64

// guests are connections that have been refused. Each stays open for a while:
// who is still writing its request would get EPIPE, and not read what it was
// told.
type guests []net.Conn

func (g *guests) see(nc net.Conn) {
	if c, ok := nc.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
	if len(*g) == maxGuests {
		(*g)[0].Close()
		*g = append((*g)[:0], (*g)[1:]...)
	}
	*g = append(*g, nc)
}

func (g *guests) leave() {
	for _, nc := range *g {
		nc.Close()
	}
}

// dismiss ends the doorman and waits for him. It is called on a nil doorman
// when there is none.
func (d *doorman) dismiss() {
	if d != nil {
		close(d.left)
		d.door.Close()
		<-d.done
	}
}
