package scgi

import (
	"errors"
	"io"
	"sync"

	"github.com/sluice-gateway/sluice/cgi"
)

// An answer is what has come of the response, and the part of an exchange that
// belongs to whoever reads it.
type answer struct {
	reading sync.Mutex // held while the body is read
	parser  cgi.HeadParser
	resp    cgi.Response
	begun   bool    // some byte has come
	length  int64   // bytes that the body must have, or -1
	size    int64   // bytes of the body that have been read
	buf     *[]byte // nil when rest is empty
	rest    []byte  // what came together with the head
	end     error   // what Read returns after rest
}

// awaitHead waits for the head and passes interim responses on.
func (x *exchange) awaitHead() error {
	x.length = -1
	x.buf = headBuffers.Get().(*[]byte)
	for {
		n, err := x.read(*x.buf)
		if err != nil {
			return x.failed("receive", err)
		}
		x.begun = true
		for b := (*x.buf)[:n]; len(b) > 0; {
			used, done, err := x.parser.Feed(b)
			if err != nil {
				return x.failed("receive", err)
			}
			if b = b[used:]; !done {
				break
			}
			head, err := x.parser.Head()
			switch {
			case err != nil:
				return x.failed("receive", err)
			case head.Status >= 200:
				x.rest = b
				x.setHead(head)
				return nil
			case x.r.Informational != nil:
				x.r.Informational(head.Status, head.Header)
			}
		}
	}
}

var headBuffers = sync.Pool{New: func() any { b := make([]byte, readSize); return &b }}

func (x *exchange) setHead(head cgi.Head) {
	x.resp = cgi.Response{Head: head, Body: (*responseBody)(x)}
	if x.r.Method != "HEAD" && head.Status != 204 && head.Status != 304 { // RFC 9112 §6.3
		x.length = head.ContentLength
	}
	if len(x.rest) == 0 {
		x.freeBuffer()
	}
}

func (x *exchange) freeBuffer() {
	if x.buf != nil {
		headBuffers.Put(x.buf)
		x.buf, x.rest = nil, nil
	}
}

// complete reports whether as many bytes have been read as were announced.
func (a *answer) complete() bool { return a.length >= 0 && a.size >= a.length }

// A responseBody is the body of an answer, read by the caller of RoundTrip.
type responseBody exchange

// Read reads on. At the end of a complete answer the error is io.EOF, else a
// *cgi.Error, or that of the context.
func (b *responseBody) Read(p []byte) (n int, err error) {
	x := (*exchange)(b)
	x.reading.Lock()
	defer x.reading.Unlock()
	return x.readBody(p)
}

func (x *exchange) readBody(p []byte) (n int, err error) {
	switch {
	case x.finished.Load():
		return 0, ErrClosed
	case len(x.rest) > 0:
		n = copy(p, x.rest)
		if x.rest = x.rest[n:]; len(x.rest) == 0 {
			x.freeBuffer()
		}
	case x.end != nil || len(p) == 0:
		return 0, x.end
	default:
		if n, err = x.read(p); err != nil {
			x.end = x.endWith(err)
			return 0, x.end
		}
	}
	x.size += int64(n)
	return n, nil
}

// endWith returns what it means that no more can be read.
func (x *exchange) endWith(err error) error {
	switch {
	case x.finished.Load():
		return ErrClosed
	case x.complete(), errors.Is(err, io.EOF) && x.length < 0:
		return io.EOF
	}
	return x.failed("receive", err)
}

// WriteTo writes the rest of the body to w, each piece as it comes. If w has
// a method Flush() error, it is called before each wait, so that what the
// application has sent is not held back, and be it only the head.
func (b *responseBody) WriteTo(w io.Writer) (n int64, err error) {
	x := (*exchange)(b)
	x.reading.Lock()
	defer x.reading.Unlock()
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	flusher, _ := w.(interface{ Flush() error })
	for full := false; ; {
		// What did not fill the buffer was all there was.
		if flusher != nil && !full && len(x.rest) == 0 {
			if err := flusher.Flush(); err != nil {
				return n, err
			}
		}
		got, err := x.readBody(*buf)
		if err == io.EOF {
			return n, nil
		} else if err != nil {
			return n, err
		}
		full = got == len(*buf)
		m, err := w.Write((*buf)[:got])
		n += int64(m)
		if err != nil {
			return n, err
		}
	}
}

// Close ends the exchange.
func (b *responseBody) Close() error {
	(*exchange)(b).finish()
	return nil
}
