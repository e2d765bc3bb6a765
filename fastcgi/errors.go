package fastcgi

import (
	"errors"

	"github.com/sluice-gateway/sluice/cgi"
)

// ErrMalformed is wrapped by every error about bytes that the FastCGI
// specification does not allow.
var ErrMalformed = errors.New("fastcgi: malformed")

// ErrTooLong is wrapped by the errors of params that are longer than allowed.
var ErrTooLong = errors.New("fastcgi: params too long")

// ErrClosed is the error of a Client or Server that has been closed.
var ErrClosed = errors.New("fastcgi: closed")

// ErrSlowReader is wrapped by the errors of answers that came faster than they
// were read, until there was no room for more of them: see [Client.MaxSpill].
var ErrSlowReader = errors.New("fastcgi: answer ended, because its reader is too slow")

// An Error reports a failed exchange with an application.
type Error = cgi.Error

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
