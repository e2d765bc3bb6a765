package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/dial"
)

// A responseBody is the body of an answer, read by the caller of RoundTrip.
type responseBody exchange

// leave ends a Read or WriteTo. What the caller waits with, and what he has in
// hand, is his until then: a Close that comes meanwhile leaves both to him, and
// does not wait, because he may be in a Write that takes its time.
func (x *exchange) leave() {
	x.reading.Unlock()
	if x.finished.Load() {
		x.free()
	}
}

// free gives back what the caller had, once he does not read and the exchange
// is finished. He and finish both call it.
func (x *exchange) free() {
	if !x.reading.TryLock() {
		return
	}
	defer x.reading.Unlock()
	if x.waiter == nil {
		return
	}
	x.rest = nil
	x.mu.Lock()
	x.a.body.Close()
	x.mu.Unlock()
	x.waiter.timer.Stop()
	x.c.putWaiter(x.waiter)
	x.waiter = nil
}

// Read reads on. At the end of a complete answer the error is io.EOF, else an
// *Error, or that of the context. Close ends a Read that is under way, which
// then returns ErrClosed.
func (b *responseBody) Read(p []byte) (int, error) {
	x := (*exchange)(b)
	x.reading.Lock()
	defer x.leave()
	for len(x.rest) == 0 {
		if ok, err := x.take(); err != nil {
			return 0, err
		} else if ok {
			break
		}
		if err := x.block(); err != nil {
			return 0, err
		}
	}
	n := copy(p, x.rest)
	x.rest = x.rest[n:]
	return n, nil
}

// WriteTo writes the rest of the body to w, each piece as it comes. If w has
// a method Flush() error, it is called before each wait, so that what the
// application has sent is not held back, and be it only the head.
func (b *responseBody) WriteTo(w io.Writer) (n int64, err error) {
	x := (*exchange)(b)
	x.reading.Lock()
	defer x.leave()
	flusher, _ := w.(interface{ Flush() error })
	for unflushed := true; ; {
		if len(x.rest) == 0 {
			ok, err := x.take()
			if err == io.EOF {
				return n, nil
			} else if err != nil {
				return n, err
			}
			if !ok {
				if unflushed && flusher != nil {
					if err := flusher.Flush(); err != nil {
						return n, err
					}
				}
				unflushed = false
				if err := x.block(); err != nil {
					return n, err
				}
				continue
			}
		}
		m, err := w.Write(x.rest)
		n += int64(m)
		x.rest = x.rest[m:]
		if err != nil {
			return n, err
		}
		unflushed = true
	}
}

// Close ends the exchange, and a Read that is under way. If the answer has not ended, little of it is left,
// and nobody has given up, the connection is still kept.
func (b *responseBody) Close() error {
	(*exchange)(b).finish()
	return nil
}

// take takes what has come of the body into rest. ok is false if nothing has
// come yet.
func (x *exchange) take() (ok bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.finished.Load() { // or will be: finish says so before it takes the lock
		return false, ErrClosed
	}
	if !x.a.discard {
		if x.rest, err = x.a.body.Next(); err != nil {
			return false, x.cutShort(fmt.Errorf("%w: %w", ErrSlowReader, err))
		}
	}
	switch n := len(x.rest); {
	case n > 0:
		x.changed.Broadcast()
		x.grant(n)
		return true, nil
	case x.a.quiet && !x.a.discard:
		return false, x.atEnd() // whatever came later
	case x.err != nil:
		return false, x.cutShort(x.err)
	case x.a.end:
		return false, x.atEnd()
	}
	return false, nil
}

// atEnd is the end of an answer that the application has ended: io.EOF, if that
// has as many bytes as it announced. x.mu is held.
func (x *exchange) atEnd() error {
	if x.a.size >= x.length {
		return io.EOF
	}
	return x.cutShort(&cgi.ShortError{Got: x.a.size, Want: x.length})
}

// grant lets the application send n more bytes, if it waits for that. x.mu is
// held.
func (x *exchange) grant(n int) {
	window := x.c.flow.Load()
	x.taken += n
	if window == 0 || x.a.end || x.taken == 0 || x.taken < x.c.host.client.window()/2 {
		return
	}
	more := uint32(x.taken)
	x.may += int64(x.taken)
	x.taken = 0
	x.c.add(func(dst []byte) []byte { return AppendWindowUpdate(dst, x.id, more) })
	x.c.flush()
}

// cutShort makes the error of an answer that has begun and does not end well.
// It is never safe to retry.
func (x *exchange) cutShort(err error) error {
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	op := "receive"
	if _, ok := errors.AsType[*sendError](err); ok {
		op = "send"
	}
	return &Error{Protocol: "fastcgi", Op: op, Addr: x.c.host.name, Sent: x.sentBytes(), Err: dial.Bare(err)}
}
