package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/cmd/sluice/outcome"
	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/sluice-gateway/sluice/internal/address"
	"github.com/sluice-gateway/sluice/internal/dial"
)

// dialable reads an address that a request can be sent to. An error is one of
// the command line.
func dialable(arg string) (address.Address, error) {
	at, err := address.Parse(arg)
	if err == nil && at.Network == "fd" {
		err = fmt.Errorf("address %q: nothing can be asked through a descriptor: want unix:/path or host:port", arg)
	}
	return at, err
}

// unreached returns the failure of an attempt at an application: what was
// done to what, why it failed and what to do.
func unreached(did string, at address.Address, err error) error {
	what := err
	if e, ok := errors.AsType[*fastcgi.Error](err); ok {
		what = e.Err // the rest of e says what did and at say
		if e.Op == "dial" {
			did += ": connect"
		}
	}
	text := strings.TrimPrefix(strings.TrimPrefix(what.Error(), "connect: "), "fastcgi: ")
	return &outcome.Failure{Err: fmt.Errorf("%s %s: %s", did, at, text), Hint: why(at, err)}
}

// why says what to do about an error of package fastcgi; "" if err says it.
func why(at address.Address, err error) string {
	if r, ok := errors.AsType[*fastcgi.RefusedError](err); ok {
		if r.Status == fastcgi.UnknownRole {
			return "ask without --authorizer: most applications are responders only"
		}
		return "ask again later, or start more processes of the application"
	}
	switch {
	case isTimeout(err):
		return "all processes of the application may be busy, or what listens there does not speak FastCGI"
	case at.Network == "unix" && len(at.Address) > dial.MaxPath:
		return "of a path with more than 107 bytes the name of the socket has at most 88"
	case errors.Is(err, fs.ErrNotExist):
		return missingSocket(at.Address)
	case isUnknownHost(err):
		return "correct the name, or write the IP address"
	case errors.Is(err, syscall.ECONNREFUSED):
		return refused(at)
	case errors.Is(err, fs.ErrPermission):
		return "this user may not open the socket: see its owner and mode, and those of its folder (php-fpm: listen.owner, listen.group, listen.mode)"
	case errors.Is(err, syscall.EPROTOTYPE):
		return "it is a socket of another kind: FastCGI wants a stream"
	case errors.Is(err, fastcgi.ErrMalformed):
		return "what listens there does not speak FastCGI: is it a web server, or another protocol?"
	case errors.Is(err, cgi.ErrMalformed), errors.Is(err, cgi.ErrTooLarge):
		return "the application printed something else than a response head: lines \"Name: value\" and then an empty one"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the application ended, or closed the connection: its log says why; or what listens there does not speak FastCGI"
	}
	return ""
}

// noAnswer is the error of an application that is silent for too long.
type noAnswer struct{ after time.Duration }

// A noAnswer is a net.Error, as other timeouts are.
func (e noAnswer) Error() string   { return fmt.Sprintf("no complete answer within %v", e.after) }
func (e noAnswer) Timeout() bool   { return true }
func (e noAnswer) Temporary() bool { return true }

func isTimeout(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && t.Timeout()
}

func isUnknownHost(err error) bool {
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && dns.IsNotFound
}

// refused says why a connection is refused. The kernel says the same of a
// file that is no socket.
func refused(at address.Address) string {
	if at.Network == "unix" && at.Address[0] != '@' {
		if info, err := os.Stat(at.Address); err == nil && info.Mode().Type() != fs.ModeSocket {
			return "it is " + kindOf(info.Mode()) + ", not a socket: give the path that the application listens on"
		}
		return "nobody listens there any more: start the application again"
	}
	return "nobody listens there: start the application, or give the address that it listens on"
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a folder"
	case m.IsRegular():
		return "a file"
	}
	return "a device or a pipe"
}

// missingSocket says where the sockets are, if not at path.
func missingSocket(path string) string {
	dir := filepath.Dir(path)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf("there is no folder %s: start the application, or give the path that it listens on", dir)
	}
	const shown = 4
	var others []string
	for _, e := range entries {
		if e.Type() == fs.ModeSocket && len(others) <= shown {
			others = append(others, filepath.Join(dir, e.Name()))
		}
	}
	if len(others) > shown {
		others[shown] = "others"
	}
	if len(others) == 0 {
		return "start the application, or give the path that it listens on"
	}
	return "start the application, or give the path that it listens on; sockets there: " + strings.Join(others, ", ")
}
