package fastcgi

import "errors"

// Why the context of a request is done before its handler has returned:
// context.Cause wraps one of these. A Read of the request body that had not
// ended, and every Write, return the same.
var (
	ErrAborted        = errors.New("fastcgi: request aborted by the web server")
	ErrConnectionLost = errors.New("fastcgi: connection to the web server lost")
	ErrShutdown       = errors.New("fastcgi: server shut down before the request was done")
)

// ErrRetired is what Serve returns when MaxRequests have been served.
var ErrRetired = errors.New("fastcgi: server has served MaxRequests requests")

var (
	errEnded     = errors.New("fastcgi: write: the handler has returned")
	errReadEnded = errors.New("fastcgi: read request body: the handler has returned")
	errCancelled = errors.New("fastcgi: read request body: cancelled")

	// errDone closes a connection on which nothing is left to do.
	errDone = errors.New("fastcgi: connection done")
)
