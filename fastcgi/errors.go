package fastcgi

import (
	"errors"
	"net"
)

// ErrMalformed is wrapped by every error about bytes that the FastCGI
// specification does not allow.
var ErrMalformed = errors.New("fastcgi: malformed")

// ErrTooLong is wrapped by the errors of params that are longer than allowed.
var ErrTooLong = errors.New("fastcgi: params too long")

// ErrClosed is the error of a Client or Server that has been closed.
var ErrClosed = errors.New("fastcgi: closed")

// An Error reports a failed exchange with an application.
type Error struct {
	Op   string // "dial", "send", "receive" or "answer"
	Addr string // the worker, for example "unix:/run/app-0.sock"
	Sent int64  // bytes of the request that the kernel took
	Err  error

	retry bool
	stale bool
}

func (e *Error) Error() string { return "fastcgi: " + e.Op + " " + e.Addr + ": " + e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// SafeToRetry reports whether the request can be given to an application once
// more: nothing of it was sent, or the application refused it, or the
// connection was lost before any answer and asking twice is as good as asking
// once (RFC 9110 §9.2.2). It says nothing about the request body, which may be
// spent.
func (e *Error) SafeToRetry() bool {
	return e.retry || e.Sent == 0 && !errors.Is(e.Err, ErrTooLong) && !errors.Is(e.Err, ErrClosed)
}

// Stale reports whether the request can be sent again and was lost on a
// connection that had been kept from an earlier one: the application may have
// closed that just before, and be well.
func (e *Error) Stale() bool { return e.stale }

// Refused reports whether the application said that it takes no request now
// (OVERLOADED, CANT_MPX_CONN).
func (e *Error) Refused() bool {
	refused, ok := errors.AsType[*RefusedError](e.Err)
	return ok && refused.notNow()
}

// Timeout reports whether the application was too slow.
func (e *Error) Timeout() bool {
	var t net.Error
	return errors.As(e.Err, &t) && t.Timeout()
}

// A RefusedError is an END_REQUEST with another status than REQUEST_COMPLETE.
type RefusedError struct{ Status ProtocolStatus }

func (e *RefusedError) Error() string {
	switch e.Status {
	case Overloaded:
		return "the application is OVERLOADED and refused the request"
	case CantMultiplex:
		return "the application refused a second request on one connection (CANT_MPX_CONN)"
	case UnknownRole:
		return "the application does not know this role (UNKNOWN_ROLE)"
	}
	return "the application ended the request with " + e.Status.String()
}

// notNow reports whether the application has not begun with the request, and
// could at another time.
func (e *RefusedError) notNow() bool { return e.Status == Overloaded || e.Status == CantMultiplex }
