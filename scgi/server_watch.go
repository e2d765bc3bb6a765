package scgi

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/sluice-gateway/sluice/internal/hangup"
)

// A watcher looks whether the web server goes away while the handler runs. It
// is a timer, because most handlers return before there is anything to see.
type watcher struct {
	timer *time.Timer   // nil at first
	ended chan struct{} // holds one token when a watch that has begun is over
}

// watch begins to watch when all of the request has been read. It is called
// once.
func (c *serverConn) watch() {
	c.watched = true
	w := &c.m.watcher
	if w.timer == nil {
		w.ended = make(chan struct{}, 1)
		w.timer = time.AfterFunc(watchDelay, c.m.watch) // unwatch ends it, and waits
		return
	}
	w.timer.Reset(watchDelay)
}

// unwatch ends the watch.
func (c *serverConn) unwatch() {
	if w := &c.m.watcher; c.watched && !w.timer.Stop() {
		c.nc.SetReadDeadline(past)
		<-w.ended
	}
}

// watch waits until the connection breaks, or unwatch wakes it.
func (m *memory) watch() {
	c := m.c
	err := m.awaitEnd(c.nc)
	if err == io.EOF && endsHalf(c.nc) {
		// Its connection is still half open: what tells more is the system.
		switch e := hangup.Await(c.nc); {
		case errors.Is(e, errors.ErrUnsupported):
			err = errNothingLearnt
		case e != nil:
			err = e
		}
	}
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		c.lose(err)
	}
	m.watcher.ended <- struct{}{}
}

// awaitEnd reads to the end of what the web server sends. There should be no
// more of it; if there is too much, nothing can be learnt.
func (m *memory) awaitEnd(nc net.Conn) error {
	for total := 0; total <= discardBytes; {
		n, err := nc.Read(m.in)
		if err != nil {
			return err
		}
		total += n
	}
	return errNothingLearnt
}

var errNothingLearnt = os.ErrDeadlineExceeded // as if unwatch had ended it

// endsHalf reports whether the peer of a connection can end its writing and
// still read.
func endsHalf(nc net.Conn) bool {
	_, ok := nc.(interface{ CloseWrite() error })
	return ok
}
