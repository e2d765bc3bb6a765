package scgi

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// A serverBody is the body of a request at the application's end. It is read
// from the connection, straight into the memory of whoever reads it.
type serverBody struct {
	c     *serverConn // nil if there is no body
	state atomic.Uint32

	mu   sync.Mutex // held while it is read
	next []byte     // what came together with the headers
	left int64      // bytes to come, those of next included
}

// The states of a serverBody.
const (
	bodyOpen      = iota
	bodyRead      // to its end
	bodyCancelled // by the handler
	bodyClosed    // the handler has returned
)

var (
	errReadEnded = errors.New("scgi: read request body: the handler has returned")
	errCancelled = errors.New("scgi: read request body: cancelled")
)

// past makes what waits for a connection return.
var past = time.Unix(1, 0)

// init makes it ready for a body of so many bytes, which begins with next.
func (b *serverBody) init(c *serverConn, next []byte, length int64) {
	b.c, b.left = c, length
	b.next = next[:min(int64(len(next)), length)]
}

// Read implements cgi.Body.
func (b *serverBody) Read(p []byte) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.closed(); err != nil {
		return 0, err
	}
	switch {
	case b.left == 0:
		return 0, io.EOF
	case len(p) == 0:
		return 0, nil
	case len(b.next) > 0:
		n = copy(p, b.next)
		b.next = b.next[n:]
	default:
		n, err = b.c.nc.Read(p[:min(int64(len(p)), b.left)])
	}
	b.left -= int64(n)
	switch {
	case b.left == 0:
		if b.state.CompareAndSwap(bodyOpen, bodyRead) {
			b.c.watch()
		}
		return n, nil
	case n > 0 || err == nil:
		return n, nil // a lasting error comes again
	case b.closed() != nil:
		return 0, b.closed()
	case errors.Is(err, io.EOF):
		err = io.ErrUnexpectedEOF
	}
	b.c.lose(err)
	return 0, b.c.ctx.Why()
}

// closed returns why the body cannot be read any more, or nil.
func (b *serverBody) closed() error {
	switch b.state.Load() {
	case bodyCancelled:
		return errCancelled
	case bodyClosed:
		return errReadEnded
	}
	return nil
}

// Cancel implements cgi.Body.
func (b *serverBody) Cancel() {
	if b.state.CompareAndSwap(bodyOpen, bodyCancelled) {
		b.c.nc.SetReadDeadline(past)
		return
	}
	b.state.CompareAndSwap(bodyRead, bodyCancelled)
}

// close is called when the handler has returned. It reports whether all of the
// body has been taken from the connection.
func (b *serverBody) close() (complete bool) {
	if b.c == nil {
		return true
	}
	if was := b.state.Swap(bodyClosed); was == bodyOpen {
		b.c.nc.SetReadDeadline(past)
	}
	b.mu.Lock() // whoever still reads has been woken up
	defer b.mu.Unlock()
	return b.left == int64(len(b.next))
}
