package fcgi

import "github.com/sluice-gateway/sluice/fastcgi"

// Why a Read of a request body failed: the web server gave the request up, or
// the connection to it was lost. Read returns them as they are; context.Cause
// of the request's context, while the handler runs, and the errors of Write
// wrap them.
var (
	ErrRequestAborted = fastcgi.ErrAborted
	ErrConnClosed     = fastcgi.ErrConnectionLost
)
