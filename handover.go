package sluice

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"

	"github.com/sluice-gateway/sluice/internal/address"
	"github.com/sluice-gateway/sluice/internal/listen"
	"golang.org/x/sys/unix"
)

// Listeners returns copies of the descriptors of the listeners, by their
// addresses as they stand in the configuration: for a successor, who makes
// listeners of them with TakeOver. The caller closes them. They are numbers, and
// no files: os.File.Fd would make them, and with them ours, block.
func (s *Server) Listeners() (map[string]int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, ErrClosed
	}
	copies := make(map[string]int)
	for spec, l := range s.listeners {
		fd, err := copyOf(l.Listener)
		if err != nil {
			for _, fd := range copies {
				syscall.Close(fd)
			}
			return nil, fmt.Errorf("sluice: listener %s: %w", spec, err)
		}
		copies[spec] = fd
	}
	return copies, nil
}

// Ready returns how many processes take requests, by the names of the backends:
// for a successor, which is to be as warm.
func (s *Server) Ready() map[string]int {
	ready := make(map[string]int)
	for name, b := range s.current.Load().backends {
		if !b.Foreign() {
			ready[name] = b.Ready()
		}
	}
	return ready
}

// copyOf returns another descriptor of a listener, which no program inherits by
// accident.
func copyOf(l net.Listener) (fd int, err error) {
	sc, ok := l.(syscall.Conn)
	if !ok {
		return 0, syscall.ENOTSUP
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return 0, err
	}
	cerr := raw.Control(func(of uintptr) { fd, err = unix.FcntlInt(of, unix.F_DUPFD_CLOEXEC, 0) })
	return fd, errors.Join(cerr, err)
}

// HandOver tells that a successor has the listeners and serves: the files of
// unix sockets stay when they are closed, and the drain takes as long as
// requests do, unless Hurry is called.
func (s *Server) HandOver() { s.handed.Store(true) }

// Hurry bounds a drain after HandOver by the configured time, from now on.
func (s *Server) Hurry() { s.hurry() }

// keep says whether the file of a listener stays when that is closed.
func keep(l net.Listener, file bool) {
	if kept, ok := l.(interface{ Keep(bool) }); ok {
		kept.Keep(file)
	}
}

// TakeOver makes a listener of a descriptor that a predecessor had open at an
// address, for Options.Listeners. The descriptor is closed. The file of a unix
// socket is the predecessor's until New has built its gateway.
func TakeOver(f *os.File, spec string) (net.Listener, error) {
	defer f.Close()
	at, err := address.Parse(spec)
	if err != nil {
		return nil, fmt.Errorf("sluice: take over: %w", err)
	}
	l, err := listen.TakeOver(f, at)
	if err != nil {
		return nil, fmt.Errorf("sluice: take over %s: %w", spec, err)
	}
	return l, nil
}
