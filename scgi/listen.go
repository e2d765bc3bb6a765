package scgi

import (
	"io/fs"
	"net"

	"github.com/sluice-gateway/sluice/internal/listen"
)

// DefaultSocketMode lets the user and the group of the application connect:
// put the web server into that group. Connecting needs the right to write.
const DefaultSocketMode fs.FileMode = 0o660

// A ListenConfig says how an application listens. The zero ListenConfig is
// ready to use.
type ListenConfig struct {
	Mode     fs.FileMode // permissions of a unix socket's file; zero means DefaultSocketMode
	UID, GID int         // who shall own that file; zero means whom the process runs as

	// Backlog is how many connections may wait until they are accepted. Zero
	// means as many as the system allows (net.core.somaxconn), which is also
	// the most there can be. When it is full a unix socket refuses at once.
	Backlog int
}

// Listen listens on addr: fd:0 or another descriptor that already listens (how
// spawn-fcgi, lighttpd and sluice start an application), unix:/path,
// unix:@abstract, host:port, or a path alone.
//
// A file that is in the way is removed only if it is a socket of ours that
// nobody listens on any more: what a process that was killed leaves behind.
// Closing the listener removes the file, unless it has been replaced.
func (c ListenConfig) Listen(addr string) (net.Listener, error) {
	return listener.Listen(addr, listen.Config(c))
}

// Listen listens on addr as the zero [ListenConfig] does.
func Listen(addr string) (net.Listener, error) { return ListenConfig{}.Listen(addr) }

// Inherited returns the listening sockets that the process was started with:
// systemd's (LISTEN_FDS), or else descriptor 0, which is how spawn-fcgi,
// lighttpd and sluice start an application.
func Inherited() ([]net.Listener, error) { return listener.Inherited() }

var listener = listen.Application{Protocol: "scgi", Example: "127.0.0.1:4000"}
