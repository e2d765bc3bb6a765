package scgi

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/dial"
)

// send writes the headers, and starts to send the body. A small body that can
// be had at once leaves with them.
func (x *exchange) send(head *buffer) error {
	if body, ok := x.r.Body.(cgi.Rewinder); ok {
		if err := body.Rewind(); err != nil {
			return &bodyError{err}
		}
		if x.left <= int64(surelyTaken-len(head.b)) {
			if err := x.attach(head); err != nil {
				return err
			}
		}
	}
	x.writeBy(len(head.b))
	n, err := x.nc.Write(head.b)
	x.sent.Add(int64(n))
	if err != nil {
		return x.slow(err)
	}
	if x.left > 0 {
		x.sending = true
		x.sender = make(chan struct{})
		go x.sendBody()
	}
	return nil
}

// attach appends the body to the headers.
func (x *exchange) attach(head *buffer) error {
	n := len(head.b)
	head.b = append(head.b, make([]byte, x.left)...)
	if _, err := io.ReadFull(x.r.Body, head.b[n:]); err != nil {
		return &bodyError{short(err)}
	}
	x.left = 0
	return nil
}

// sendBody is a goroutine: it sends the request body while the answer is read,
// because an application may answer before it has read its input, and if
// neither side reads, both block for ever. It belongs to the exchange: finish
// wakes it wherever it blocks, on the client's side or on the application's,
// and waits for it.
//
// That the application does not read on is no failure yet: its answer may be on
// the way. That the request body cannot be read is one, and so is an
// application that does not read for too long.
func (x *exchange) sendBody() {
	defer close(x.sender)
	defer x.sendEnded()
	buf := sendBuffers.Get().(*[]byte)
	defer sendBuffers.Put(buf)
	for x.left > 0 {
		n, err := x.r.Body.Read((*buf)[:min(sendSize, x.left)])
		x.left -= int64(n)
		if n > 0 {
			x.writeBy(n)
			w, err := x.nc.Write((*buf)[:n])
			x.sent.Add(int64(w))
			if isTimeout(err) {
				x.abort(x.slow(err))
			}
			if err != nil {
				return
			}
		}
		if err != nil && x.left > 0 {
			x.abort(&bodyError{short(err)})
			return
		}
	}
}

var sendBuffers = sync.Pool{New: func() any { b := make([]byte, sendSize); return &b }}

// sendEnded notes since when only the application is waited for.
func (x *exchange) sendEnded() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.sending, x.sentAt = false, time.Now()
}

// writeBy sets the time until which a write of n bytes must be done. The first
// ones of a connection cannot block, if it is a socket.
func (x *exchange) writeBy(n int) {
	t := orDefault(x.client.WriteTimeout, DefaultWriteTimeout)
	if t > 0 && (x.client.Dial != nil || x.sent.Load()+int64(n) > surelyTaken) {
		x.nc.SetWriteDeadline(time.Now().Add(t))
	}
}

// slow says which timeout it was.
func (x *exchange) slow(err error) error {
	if !isTimeout(err) {
		return err
	}
	return dial.Timeout(fmt.Sprintf("the application did not read on for %v", orDefault(x.client.WriteTimeout, DefaultWriteTimeout)))
}

// A bodyError is an error of the request body, not of the application.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "request body: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// short is the error of a body that ends before its length.
func short(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}
