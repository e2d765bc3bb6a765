package scgi

import (
	"errors"
	"fmt"
)

// ErrMalformed is wrapped by every error about bytes that the SCGI
// specification does not allow. The text names the rule.
var ErrMalformed = errors.New("scgi: malformed")

// ErrTooLong is wrapped by the errors of headers that are longer than allowed.
var ErrTooLong = errors.New("scgi: headers too long")

// ErrLengthRequired is the error of a request body whose length is not known:
// SCGI announces it before the body. Whoever has such a body must gather it
// first.
var ErrLengthRequired = errors.New("scgi: the length of the request body must be known")

// ErrClosed is the error of a Server, or the body of an answer, that has been
// closed.
var ErrClosed = errors.New("scgi: closed")

// Why the context of a request is done before its handler has returned:
// context.Cause wraps one of these. A Read of the request body that had not
// ended, and every Write, return the same.
var (
	ErrConnectionLost = errors.New("scgi: connection to the web server lost")
	ErrShutdown       = errors.New("scgi: server shut down before the request was done")
)

// ErrRetired is what Serve returns when MaxRequests have been served.
var ErrRetired = errors.New("scgi: server has served MaxRequests requests")

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}
