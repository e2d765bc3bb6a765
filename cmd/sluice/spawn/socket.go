package spawn

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/sluice-gateway/sluice/cmd/sluice/outcome"
)

// planSocket says where the processes listen.
func (f *flags) planSocket(p *plan) (err error) {
	p.socketUID, p.sockGID = -1, -1
	p.backlog = max(f.backlog, 1) // for package process zero is something else
	if p.mode, err = f.socketMode(); err != nil {
		return err
	}
	switch {
	case f.port != "" && f.socket != "":
		return errors.New("either a Unix domain socket or a TCP-port, but not both")
	case f.port != "":
		p.address, err = tcpAddress(f.address, f.port)
	case f.socket != "":
		p.address, err = f.unixAddress()
	default:
		if p.address, err = handedOver(os.Getenv); err == nil && p.background {
			err = errors.New("a socket that was handed over can be used with -n only")
		}
		if !f.given("backlog") {
			p.backlog = 0 // whoever made it has chosen
		}
	}
	return err
}

// socketMode returns the mode of the file of a unix socket.
func (f *flags) socketMode() (mode fs.FileMode, err error) {
	if f.mode == "" {
		return 0o660 &^ umaskNow(), nil
	}
	if mode, err = octal(f.mode); err != nil || mode == 0 {
		return 0, fmt.Errorf("-M %s: want an octal mode from 1 to 0777", f.mode)
	}
	return mode, nil
}

// umaskNow returns our umask, which can only be read by setting it.
func umaskNow() fs.FileMode {
	mask := syscall.Umask(0o077)
	syscall.Umask(mask)
	return fs.FileMode(mask)
}

func tcpAddress(ip, port string) (string, error) {
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return "", fmt.Errorf("invalid port: %s", port)
	}
	if ip == "" {
		ip = "0.0.0.0"
	}
	if net.ParseIP(ip) == nil {
		return "", fmt.Errorf("'%s' is not a valid IP address", ip)
	}
	return net.JoinHostPort(ip, port), nil
}

// unixAddress returns the address of -s. A path in it is whole.
func (f *flags) unixAddress() (string, error) {
	if f.socket[0] == '@' {
		return "unix:" + f.socket, nil
	}
	path := f.socket
	if f.chroot != "" && !f.outside {
		path = filepath.Join(f.chroot, path)
	}
	path, err := filepath.Abs(path)
	return "unix:" + path, outcome.Fail(err)
}

// handedOver returns the socket that we were started with: systemd's, or
// descriptor 0 if it listens.
func handedOver(variable func(string) string) (string, error) {
	if variable("LISTEN_PID") == strconv.Itoa(os.Getpid()) {
		if n := variable("LISTEN_FDS"); n != "1" {
			return "", outcome.Failf("systemd hands over %s sockets (LISTEN_FDS), and an application has one: "+
				"give the .socket unit a single Listen line, or each application a unit of its own", n)
		}
		return "fd:3", nil
	}
	if on, err := syscall.GetsockoptInt(0, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); err == nil && on != 0 {
		return "fd:0", nil
	}
	return "", errors.New("no socket given (use either -p or -s)")
}

// checkSocket refuses a socket that symbolic links in a chroot lead out of it:
// whoever may write there must not choose where we, who are root, make files.
func (f *flags) checkSocket(p *plan) error {
	path, isFile := strings.CutPrefix(p.address, "unix:/")
	if p.chroot == "" || f.outside || !isFile {
		return nil
	}
	root, err := filepath.EvalSymlinks(p.chroot)
	if err != nil {
		return outcome.Fail(err)
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir("/" + path))
	if err != nil {
		return outcome.Failf("bind failed: %s", errnoText(err))
	}
	if dir != root && !strings.HasPrefix(dir, strings.TrimSuffix(root, "/")+"/") {
		return outcome.Failf("the folder of the socket, /%s, leads out of the chroot %s", filepath.Dir(path), p.chroot)
	}
	return nil
}

// socketError says of an error about the socket what spawn-fcgi says.
func (p *plan) socketError(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && strings.HasPrefix(p.address, "unix:"):
		return outcome.Failf("socket is already in use, can't spawn: %w", err)
	case errors.Is(err, syscall.EADDRINUSE):
		return outcome.Failf("bind failed: %s: %w", errnoText(syscall.EADDRINUSE), err)
	case errors.As(err, new(syscall.Errno)):
		return outcome.Failf("bind failed: %s: %w", errnoText(err), err)
	}
	return outcome.Fail(err)
}
