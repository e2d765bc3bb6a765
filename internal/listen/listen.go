// Package listen makes the listening sockets of applications and of the
// gateway.
package listen

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/internal/address"
	"github.com/sluice-gateway/sluice/internal/dial"
	"golang.org/x/sys/unix"
)

// ErrNotListening is the error of a descriptor that was handed over and is no
// listening socket.
var ErrNotListening = errors.New("not a listening socket")

// A Config says how to listen.
type Config struct {
	// Mode are the permissions of a unix socket's file. It never has more.
	Mode fs.FileMode

	// UID and GID are who shall own that file. Zero means whom the process
	// runs as.
	UID, GID int

	// Backlog is how many connections may wait until they are accepted. Zero
	// means as many as the system allows (net.core.somaxconn), which is also
	// the most there can be.
	Backlog int
}

// On is Listen with nothing but the permissions of a unix socket's file.
func On(a address.Address, mode fs.FileMode) (net.Listener, error) {
	return Config{Mode: mode}.Listen(a)
}

// Listen listens on an address: fd:0 or another descriptor that already
// listens, unix:/path, unix:@abstract, or host:port.
//
// A file that is in the way is removed only if it is a socket of ours that
// nobody listens on any more: what a process that was killed leaves behind.
// Closing the listener removes the file, unless it has been replaced. The
// error does not repeat the address.
func (c Config) Listen(a address.Address) (net.Listener, error) {
	if a.Network == "fd" {
		return onDescriptor(a.Address)
	}
	l, err := c.bind(a)
	if err != nil || c.Backlog == 0 {
		return l, err
	}
	if err := setBacklog(l, c.Backlog); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

func (c Config) bind(a address.Address) (net.Listener, error) {
	if a.Network == "unix" && a.Address[0] != '@' {
		return c.onUnix(a.Address)
	}
	l, err := net.Listen(a.Network, a.Address)
	return l, bare(err)
}

// setBacklog asks for another backlog than the one of package net: to listen
// again changes nothing else.
func setBacklog(l net.Listener, n int) error {
	sc, ok := l.(syscall.Conn)
	if !ok {
		return fmt.Errorf("backlog: %w", errors.ErrUnsupported)
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return err
	}
	cerr := raw.Control(func(fd uintptr) { err = os.NewSyscallError("listen", syscall.Listen(int(fd), n)) })
	return errors.Join(cerr, err)
}

// bare strips what whoever prints the error says itself.
func bare(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// onDescriptor takes over a descriptor that listens. The descriptor itself stays
// open: were number 0 closed, the next file to be opened would become the
// standard input.
func onDescriptor(number string) (net.Listener, error) {
	fd, err := strconv.Atoi(number)
	if err != nil {
		return nil, err
	}
	if on, err := syscall.GetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_ACCEPTCONN); err != nil || on == 0 {
		return nil, fmt.Errorf("%w: descriptor %d", ErrNotListening, fd)
	}
	// A file made of fd itself would close it when it is collected. No program that
	// is just being started gets the copy.
	dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, os.NewSyscallError("dup", err)
	}
	f := os.NewFile(uintptr(dup), "fd:"+number)
	defer f.Close()
	l, err := net.FileListener(f)
	return l, bare(err)
}

// onUnix binds path, a second time if a stale socket was in the way.
func (c Config) onUnix(path string) (net.Listener, error) {
	l, err := c.bindUnix(path)
	if !errors.Is(err, syscall.EADDRINUSE) {
		return l, err
	}
	if err := removeStale(path); err != nil {
		return nil, err
	}
	return c.bindUnix(path)
}

// bindUnix makes a socket whose file never has more permissions than mode.
func (c Config) bindUnix(path string) (net.Listener, error) {
	mode := c.Mode.Perm()
	lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		var err error
		// The file gets the permissions that the socket has when it is bound.
		cerr := raw.Control(func(fd uintptr) { err = syscall.Fchmod(int(fd), uint32(mode)) })
		return errors.Join(cerr, err)
	}}
	name, done, err := dial.Short(path)
	if err != nil {
		return nil, err
	}
	defer done()
	l, err := lc.Listen(context.Background(), "unix", name)
	if err != nil {
		return nil, bare(err)
	}
	ul := l.(*net.UnixListener)
	ul.SetUnlinkOnClose(false)
	file, err := Rights{Mode: mode, UID: orSame(c.UID), GID: orSame(c.GID)}.Give(path) // the umask took some away
	made := &unixListener{UnixListener: ul, path: path, file: file}
	if err != nil {
		made.Keep(file == nil) // what is there is not ours
		made.Close()
		return nil, err
	}
	return made, nil
}

// orSame is an id for chown, which leaves alone what is -1.
func orSame(id int) int {
	if id == 0 {
		return -1
	}
	return id
}

// removeStale removes what is at path if it is a socket that nobody listens
// on, and ours.
func removeStale(path string) error {
	was, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case was.Mode().Type() != fs.ModeSocket:
		return errors.New("the file is there, and is not a socket")
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	c, err := dial.Connect(ctx, "unix", path)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("%w: another process answers there", syscall.EADDRINUSE)
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("%w, it seems: %w", syscall.EADDRINUSE, bare(err))
	}
	if st, ok := was.Sys().(*syscall.Stat_t); !ok || int(st.Uid) != os.Geteuid() {
		return errors.New("a socket that nobody listens on is there, and belongs to another user: remove it")
	}
	if is, err := os.Lstat(path); err != nil || !os.SameFile(was, is) {
		return fmt.Errorf("%w: another process is starting there", syscall.EADDRINUSE)
	}
	return os.Remove(path)
}

// A unixListener removes its file when it is closed. The net package would
// remove whatever has the name by then, such as the socket of its successor.
type unixListener struct {
	*net.UnixListener
	path   string
	file   fs.FileInfo
	keep   atomic.Bool
	remove sync.Once // the number of a removed file may be given to the successor's
}

// Addr implements net.Listener. The kernel may know a shorter name.
func (l *unixListener) Addr() net.Addr { return &net.UnixAddr{Name: l.path, Net: "unix"} }

// Keep says whether the file stays where it is when the listener is closed,
// because another process has the socket, too.
func (l *unixListener) Keep(keep bool) { l.keep.Store(keep) }

// TakeOver makes a listener of a descriptor that somebody else has opened at an
// address. Closing it leaves the file of a unix socket where it is, until
// Keep(false) says that nobody else has it any more. f stays the caller's.
func TakeOver(f *os.File, a address.Address) (net.Listener, error) {
	l, err := net.FileListener(f)
	if err != nil {
		return nil, bare(err)
	}
	ul, ok := l.(*net.UnixListener)
	if !ok || a.Network != "unix" || a.Address[0] == '@' {
		return l, nil
	}
	ul.SetUnlinkOnClose(false)
	file, err := os.Lstat(a.Address)
	if err != nil {
		l.Close()
		return nil, err
	}
	taken := &unixListener{UnixListener: ul, path: a.Address, file: file}
	taken.Keep(true)
	return taken, nil
}

// Close implements net.Listener.
func (l *unixListener) Close() error {
	l.remove.Do(func() {
		if is, err := os.Lstat(l.path); !l.keep.Load() && err == nil && os.SameFile(l.file, is) {
			os.Remove(l.path)
		}
	})
	return l.UnixListener.Close()
}
