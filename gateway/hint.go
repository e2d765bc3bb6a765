package gateway

import (
	"errors"
	"io"
	"io/fs"
	"syscall"

	"github.com/sluice-gateway/sluice/cgi"
)

// downHint says what to do when there is no worker, and none will come soon. The
// error has the reason.
const downHint = "the lines about its processes, above, have the last words of each; the next one is started by itself"

// hint says to the operator what to do about a failed attempt.
func hint(err error, worker string) string {
	switch {
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, fs.ErrNotExist):
		return "nothing listens there: is the application running? `sluice ping " + worker + "` asks it"
	case errors.Is(err, fs.ErrPermission):
		return "the socket's owner or mode does not let us in (php-fpm: listen.owner, listen.group, listen.mode)"
	case isRefused(err):
		return "the application takes no more requests, or its processes have died and the next start is not due: its lines above say which"
	case isTimeout(err):
		return "look what the application waits for; timeout.dial, first_byte, read and write of the backend are how long we wait"
	case errors.Is(err, cgi.ErrMalformed), errors.Is(err, cgi.ErrTooLarge):
		return "the application printed something else than a response head: fields such as \"Content-Type: text/html\" and an empty line"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the application ended or closed the connection; its own log, or its last lines here, say why"
	}
	return "does the application speak FastCGI there? `sluice ping " + worker + "` asks it"
}
