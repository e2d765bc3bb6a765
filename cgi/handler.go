package cgi

import (
	"bytes"
	"context"
	"io"
)

// A Handler answers CGI requests. The gateway is one, the files of a folder
// are one, and so is an application; front ends and the servers of the
// protocols call it.
//
// ctx is done when nobody waits for the answer any more. None of ctx, w and r
// may be used after ServeCGI has returned, because servers use them again for
// the next request; nor may a context with nothing more than a value
// (context.WithValue). One that can be cancelled by itself (context.WithCancel
// and its kin) may, and so may the strings of r. A Handler may be called by
// several goroutines at the same time.
type Handler interface {
	ServeCGI(ctx context.Context, w ResponseWriter, r *Request)
}

// A HandlerFunc is a function as a Handler.
type HandlerFunc func(ctx context.Context, w ResponseWriter, r *Request)

// ServeCGI calls f.
func (f HandlerFunc) ServeCGI(ctx context.Context, w ResponseWriter, r *Request) { f(ctx, w, r) }

// A ResponseWriter takes the answer to one request. It is not safe for
// concurrent use. An error tells that the other side is gone: the handler
// should stop.
type ResponseWriter interface {
	// WriteHeader sends the status and the header fields. A status from 100
	// to 199 is an interim response and may be followed by others; a further
	// call after a final one is an error. The fields are not kept.
	WriteHeader(status int, h Header) error

	// Write sends a part of the body; before any WriteHeader it sends status
	// 200 without fields first. p is not kept.
	Write(p []byte) (int, error)

	// Flush sends what Write has gathered.
	Flush() error

	// Abort marks the response as broken, so that whoever receives it can
	// tell that a part is missing, instead of taking it for complete. After
	// it the handler should return.
	Abort()
}

// Stderr returns the stream for messages of an application to the server's
// log: FCGI_STDERR, or descriptor 2 of a CGI program. Where w has none it
// discards. slog.NewTextHandler(cgi.Stderr(w), nil) logs to it; net/http
// handlers have cgihttp.LogHandler.
func Stderr(w ResponseWriter) io.Writer {
	if s, ok := w.(interface{ Stderr() io.Writer }); ok {
		return s.Stderr()
	}
	return io.Discard
}

// A Body is a request body whose reader can be woken up.
type Body interface {
	io.Reader

	// Cancel makes a blocked Read, and every later one, return an error. It
	// may be called at any time, by any goroutine, more than once.
	Cancel()
}

// A Rewinder is a Body that can be read again from its start.
type Rewinder interface {
	Body

	// Rewind goes back to the start. It must not be called while a Read is
	// under way.
	Rewind() error
}

// BytesBody returns a body that is in memory. It is a Rewinder and keeps p.
func BytesBody(p []byte) Body { return &bytesBody{*bytes.NewReader(p)} }

type bytesBody struct{ bytes.Reader }

func (b *bytesBody) Cancel() {} // Read never blocks

func (b *bytesBody) Rewind() error {
	_, err := b.Seek(0, io.SeekStart)
	return err
}

// A Response is the answer of an application.
type Response struct {
	Head

	// Body is what follows the head; never nil. It must be closed, whether
	// it was read or not. At the end of a complete body Read returns io.EOF;
	// if the application went away before the end it returns another error,
	// and what was read must not be passed on as complete.
	Body io.ReadCloser
}
