package dial

import (
	"context"
	"fmt"
	"net"
	"syscall"
)

// MaxPath is how many bytes of a unix socket's path the kernel takes: 107 on
// Linux, 103 on the BSDs. One more is for the end.
const MaxPath = len(syscall.RawSockaddrUnix{}.Path) - 1

// Short returns a name of the unix socket at path, which need not exist, that
// the kernel takes for bind and connect even if path has more than MaxPath
// bytes. The name is good until done is called, in this process alone, and for
// nothing else. The error, if it cannot be had, does not repeat the path.
func Short(path string) (name string, done func(), err error) {
	if len(path) <= MaxPath || path[0] == '@' {
		return path, func() {}, nil
	}
	return shorten(path)
}

// tooLong is the error of a name that cannot be made shorter.
func tooLong(what string, has, most int) error {
	return fmt.Errorf("%s has %d bytes, and %d are the most: choose a shorter one", what, has, most)
}

// Connect is [net.Dialer.DialContext] for unix sockets at paths of any length,
// too.
func Connect(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	if network != "unix" {
		return d.DialContext(ctx, network, address)
	}
	name, done, err := Short(address)
	if err != nil {
		return nil, err
	}
	defer done()
	return d.DialContext(ctx, network, name)
}
