package cgi

import (
	"errors"
	"fmt"
	"io"
)

// An Error reports a failed exchange with an application. The clients of all
// protocols return it.
type Error struct {
	Protocol string // "fastcgi", "scgi" or "cgi"
	Op       string // "dial", "send", "receive" or "answer"
	Addr     string // the worker, for example "unix:/run/app-0.sock"
	Sent     int64  // bytes of the request that the kernel took
	Err      error

	// SafeToRetry tells that the request can be given to an application once
	// more: nothing of it was sent, or the application refused it, or the
	// connection was lost before any answer and asking twice is as good as
	// asking once (RFC 9110 §9.2.2). It says nothing about the request body,
	// which may be spent.
	SafeToRetry bool

	// Stale tells that the request can be sent again and was lost on a
	// connection that had been kept from an earlier one: the application may
	// have closed that just before, and be well.
	Stale bool

	// Refused tells that the application said that it takes no request now.
	Refused bool
}

func (e *Error) Error() string { return e.Protocol + ": " + e.Op + " " + e.Addr + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Timeout reports whether the application was too slow.
func (e *Error) Timeout() bool {
	var t interface{ Timeout() bool }
	return errors.As(e.Err, &t) && t.Timeout()
}

// A ShortError is an answer that the application has ended, as it should, with
// fewer bytes than its Content-Length: a fault of one page, not of the
// connection. It wraps io.ErrUnexpectedEOF.
type ShortError struct {
	Got, Want int64 // bytes of the body
}

func (e *ShortError) Error() string {
	return fmt.Sprintf("the application ended its answer after %d of the %d bytes of its Content-Length", e.Got, e.Want)
}

func (e *ShortError) Unwrap() error { return io.ErrUnexpectedEOF }
