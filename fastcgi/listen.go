package fastcgi

import (
	"errors"
	"fmt"
	"io/fs"
	"net"

	"github.com/sluice-gateway/sluice/internal/address"
	"github.com/sluice-gateway/sluice/internal/listen"
)

// DefaultSocketMode lets the user and the group of the application connect:
// put the web server into that group. Connecting needs the right to write.
const DefaultSocketMode fs.FileMode = 0o660

// Listen listens on addr for an application: fd:0 or another descriptor that
// already listens (how spawn-fcgi, lighttpd and sluice start an application),
// unix:/path, unix:@abstract, host:port, or a path alone. The file of a unix
// socket gets DefaultSocketMode, see [ListenMode].
func Listen(addr string) (net.Listener, error) { return ListenMode(addr, DefaultSocketMode) }

// ListenMode is Listen with the permissions of a unix socket's file.
//
// A file that is in the way is removed only if it is a socket of ours that
// nobody listens on any more: what a process that was killed leaves behind.
// Closing the listener removes the file, unless it has been replaced.
func ListenMode(addr string, mode fs.FileMode) (net.Listener, error) {
	a, err := address.Parse(addr)
	if err != nil {
		return nil, fmt.Errorf("fastcgi: listen: %w", err)
	}
	l, err := listen.On(a, mode)
	switch {
	case errors.Is(err, listen.ErrNotListening):
		return nil, fmt.Errorf("fastcgi: listen on %v: %w: start this program with sluice or spawn-fcgi, or give it an address such as unix:/run/app.sock or 127.0.0.1:9000", a, err)
	case err != nil:
		return nil, fmt.Errorf("fastcgi: listen on %v: %w", a, err)
	}
	return l, nil
}
