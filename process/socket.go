package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/sluice-gateway/sluice/internal/address"
	"github.com/sluice-gateway/sluice/internal/listen"
	"golang.org/x/sys/unix"
)

// A Socket is a listening socket for all processes of a group, at an address
// that others know.
type Socket struct {
	// Address is unix:/path (of any length), unix:@abstract, host:port, or
	// fd:N for a descriptor of ours that listens already.
	Address string

	// Mode, UID and GID are those of the file at unix:/path. A Mode of zero
	// means 0600, a UID or GID of -1 whom the process runs as; zero is root.
	Mode     fs.FileMode
	UID, GID int

	// Backlog is how many connections may wait until they are accepted. Zero
	// means 4096, or for fd:N as many as before; the most is
	// net.core.somaxconn.
	Backlog int
}

// check reports what is wrong with the Socket itself.
func (at Socket) check() error {
	switch _, err := address.Parse(at.Address); {
	case err != nil:
		return err
	case at.Mode&^fs.ModePerm != 0:
		return fmt.Errorf("mode %v of socket %s: want 0 to 0777", at.Mode, at.Address)
	case at.UID < -1 || at.GID < -1:
		return fmt.Errorf("socket %s for user %d and group %d: want numbers of a user and a group, or -1", at.Address, at.UID, at.GID)
	case at.Backlog < 0:
		return fmt.Errorf("backlog %d of socket %s: want 0 or more", at.Backlog, at.Address)
	}
	return nil
}

// open makes the socket, or takes it over. owner is whom the process runs as,
// nil for ourselves.
func (at Socket) open(owner *Credential) (*socket, error) {
	a, err := address.Parse(at.Address)
	if err != nil {
		return nil, err
	}
	switch {
	case a.Network == "fd":
		return at.takeOver(a.Address)
	case a.Network == "unix" && a.Address[0] != '@':
		return at.bind(a.Address, owner)
	}
	return at.listen(a)
}

// bind makes a socket with a file.
func (at Socket) bind(path string, owner *Credential) (*socket, error) {
	f := listen.Rights{Mode: cmp.Or(at.Mode, 0o600), UID: at.UID, GID: at.GID}
	trusted := []int{0, os.Geteuid()}
	if owner != nil {
		trusted = append(trusted, int(owner.UID))
		if f.UID < 0 {
			f.UID = int(owner.UID)
		}
		if f.GID < 0 {
			f.GID = int(owner.GID)
		}
	}
	if f.UID > 0 {
		trusted = append(trusted, f.UID)
	}
	dir, err := trust{users: trusted}.resolve(filepath.Dir(path))
	if err != nil {
		return nil, fmt.Errorf("folder %s cannot hold our socket: %w", filepath.Dir(path), err)
	}
	path = filepath.Join(dir, filepath.Base(path))
	unlock, err := lockDir(dir, nil)
	if err != nil {
		return nil, fmt.Errorf("its socket %s: %w", path, reason(err))
	}
	defer unlock()
	if free, err := removeStaleOf(path, trusted); err != nil {
		return nil, err
	} else if !free {
		return nil, taken("unix:" + path)
	}
	return bind(path, f, cmp.Or(at.Backlog, backlog))
}

// taken is the error of an address where somebody else listens.
func taken(where string) error {
	return takenError{&startError{"somebody else listens on " + where, "end that program, or choose another address"}}
}

// listen makes a socket without a file. Package net knows names, IPv6 and what
// the system can do of it, and sets SO_REUSEADDR.
//
// An IPv4 address makes an IPv4 socket, also 0.0.0.0, which package net would
// take for [::]: applications that look at who connects, as libfcgi does for
// FCGI_WEB_SERVER_ADDRS, may know no other.
func (at Socket) listen(a address.Address) (*socket, error) {
	network := a.Network
	if ip, err := netip.ParseAddrPort(a.Address); network == "tcp" && err == nil && ip.Addr().Is4() {
		network = "tcp4"
	}
	var lc net.ListenConfig
	lc.SetMultipathTCP(false) // applications have not asked for it
	l, err := lc.Listen(context.Background(), network, a.Address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, taken(a.String())
	case errors.Is(err, syscall.EACCES) && a.Network == "tcp":
		return nil, &startError{"listen on " + a.String() + " is not permitted", "ports below 1024 need root or the capability CAP_NET_BIND_SERVICE"}
	case err != nil:
		return nil, fmt.Errorf("listen on %s: %w", a, reason(err))
	}
	defer l.Close()
	raw, err := l.(syscall.Conn).SyscallConn()
	if err != nil {
		return nil, err
	}
	s := &socket{network: a.Network, path: l.Addr().String()}
	cerr := raw.Control(func(fd uintptr) { s.file, err = duplicate(int(fd), a.String(), cmp.Or(at.Backlog, backlog)) })
	if err := errors.Join(cerr, err); err != nil {
		return nil, fmt.Errorf("listen on %s: %w", a, err)
	}
	return s, nil
}

// takeOver takes a descriptor that listens already. It stays open: were it
// closed, its number would be given to the next file.
func (at Socket) takeOver(number string) (*socket, error) {
	fd, err := strconv.Atoi(number)
	if err != nil {
		return nil, err
	}
	if on, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); err != nil || on == 0 {
		return nil, &startError{fmt.Sprintf("descriptor %d is not a listening socket", fd),
			"whoever starts us must hand one over (systemd: a .socket unit)"}
	}
	where, err := boundTo(fd)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	f, err := duplicate(fd, "fd:"+number, at.Backlog)
	if err != nil {
		return nil, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	return &socket{network: where.Network, path: where.Address, file: f}, nil
}

// boundTo returns the address of a socket.
func boundTo(fd int) (address.Address, error) {
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		return address.Address{}, os.NewSyscallError("getsockname", err)
	}
	var tcp net.TCPAddr
	switch sa := sa.(type) {
	case *syscall.SockaddrUnix:
		return address.Address{Network: "unix", Address: sa.Name}, nil
	case *syscall.SockaddrInet4:
		tcp.IP, tcp.Port = sa.Addr[:], sa.Port
	case *syscall.SockaddrInet6:
		tcp.IP, tcp.Port = sa.Addr[:], sa.Port
		if i, err := net.InterfaceByIndex(int(sa.ZoneId)); err == nil {
			tcp.Zone = i.Name
		}
	default:
		return address.Address{}, errors.New("it is neither a unix nor a TCP socket")
	}
	return address.Address{Network: "tcp", Address: tcp.String()}, nil
}

// duplicate returns another descriptor of a socket, which blocks and is not
// inherited. A backlog that is not zero is set: to listen again does nothing
// else.
func duplicate(fd int, name string, backlog int) (*os.File, error) {
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	if err = os.NewSyscallError("fcntl", syscall.SetNonblock(dup, false)); err == nil && backlog != 0 {
		err = os.NewSyscallError("listen", syscall.Listen(dup, backlog))
	}
	if err != nil {
		syscall.Close(dup)
		return nil, err
	}
	return os.NewFile(uintptr(dup), name), nil
}
