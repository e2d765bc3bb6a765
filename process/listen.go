package process

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/internal/dial"
	"github.com/sluice-gateway/sluice/internal/listen"
)

// A socket is a listening socket that we hold. Its descriptor blocks, as libfcgi
// and other applications expect of descriptor 0; package net's would not.
type socket struct {
	network, path string // as for net.Dial
	file          *os.File
	id            fs.FileInfo // of the path, when it was ours; nil if there is none, or it was never

	mu    sync.Mutex
	users int // processes that have it
}

// lend returns the socket for one process more. An application may have made it
// non-blocking, for all who have it; when nobody has, it blocks again.
func (s *socket) lend() (*os.File, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.users == 0 {
		if err := syscall.SetNonblock(int(s.file.Fd()), false); err != nil {
			return nil, err
		}
	}
	s.users++
	return s.file, nil
}

// inode returns the number by which the kernel knows the socket, 0 if that is not
// known.
func (s *socket) inode() uint64 {
	info, err := s.file.Stat()
	if err != nil {
		return 0
	}
	return info.Sys().(*syscall.Stat_t).Ino
}

// takeBack takes note of the end of a process.
func (s *socket) takeBack() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.users--
}

// privateSockets makes the sockets of slots in dir. They are open to us and to
// owner, and nobody else. With an error it returns those that it has made.
func privateSockets(dir, name string, slots []int, owner *Credential, stop <-chan struct{}) (all []*socket, err error) {
	if dir, err = privateDir(dir); err != nil {
		return nil, err
	}
	unlock, err := lockDir(dir, stop)
	if err != nil {
		return nil, err
	}
	defer unlock()
	for _, n := range slots {
		s, err := privateSocket(dir, name, n, owner)
		if err != nil {
			return all, err
		}
		all = append(all, s)
	}
	return all, nil
}

// privateSocket makes one of them.
func privateSocket(dir, name string, slot int, owner *Credential) (*socket, error) {
	mine := listen.Rights{Mode: 0o600, UID: -1, GID: -1}
	if owner != nil {
		mine.UID, mine.GID = int(owner.UID), int(owner.GID)
	}
	for n := range maxNames {
		path := filepath.Join(dir, socketName(name, slot, n))
		switch free, err := removeStale(path, owner); {
		case err != nil:
			return nil, err
		case free:
			return bind(path, mine, backlog)
		}
	}
	return nil, fmt.Errorf("all names for its socket in %s are taken: remove what is there", dir)
}

// lockDir takes the lock of a folder for who makes or removes sockets in it:
// bound but not yet listening looks as stale as a socket whose owner has died.
// We hold it for a moment only. Whoever has it for longer is none of us, and
// shall not keep us from starting: anybody who can read a folder can lock it.
// It gives up when stop is closed.
func lockDir(dir string, stop <-chan struct{}) (unlock func(), err error) {
	lock, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	for end := time.Now().Add(lockTimeout); ; {
		err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch {
		case err == nil || err == syscall.EWOULDBLOCK && time.Now().After(end):
			return func() { lock.Close() }, nil
		case err != syscall.EWOULDBLOCK && err != syscall.EINTR:
			lock.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, err)
		}
		select {
		case <-time.After(lockPause):
		case <-stop:
			lock.Close()
			return nil, fmt.Errorf("lock %s: %w", dir, context.Canceled)
		}
	}
}

// socketName returns the n-th choice for the name of a slot's socket. The
// first may be in use: by the group's predecessor, which still drains, or by
// another of our kind in the same folder.
func socketName(name string, slot, n int) string {
	name = strings.Map(func(r rune) rune {
		if r == '-' || r == '.' || !special(r) && r != '/' {
			return r
		}
		return '_'
	}, name)
	if n == 0 {
		return fmt.Sprintf("%s-%d.sock", name, slot)
	}
	return fmt.Sprintf("%s-%d.%d.sock", name, slot, n)
}

// removeStale makes the path free for a socket, if it can be: a socket that
// belongs to us, or to owner, and that nobody listens on is removed. Nothing
// else ever is: what is no socket, or another's, is an error, and a socket that
// somebody listens on is not free.
func removeStale(path string, owner *Credential) (free bool, _ *startError) {
	trusted := []int{os.Geteuid()}
	if owner != nil {
		trusted = append(trusted, int(owner.UID))
	}
	return removeStaleOf(path, trusted)
}

// removeStaleOf is removeStale for the sockets of the users that are trusted.
func removeStaleOf(path string, trusted []int) (free bool, _ *startError) {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	const advice = "remove it, or choose another path"
	switch {
	case errors.Is(err, syscall.ENAMETOOLONG):
		return false, &startError{fmt.Sprintf("its socket %s: %v", path, reason(err)), "choose a shorter one"}
	case err != nil:
		return false, &startError{fmt.Sprintf("its socket %s: %v", path, reason(err)), "correct the rights of its folders"}
	case info.Mode()&fs.ModeSocket == 0:
		return false, &startError{path + " is there and is not a socket", advice}
	case !slices.Contains(trusted, userOf(info)) && !answers(path):
		return false, &startError{fmt.Sprintf("the socket %s belongs to user %d", path, userOf(info)), advice}
	case listened(path):
		return false, nil
	}
	if err := os.Remove(path); err != nil {
		return false, &startError{fmt.Sprintf("the stale socket %s: %v", path, reason(err)), advice}
	}
	return true, nil
}

// listened reports whether somebody listens on the socket at path, busy or not.
func listened(path string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	c, err := dial.Connect(ctx, "unix", path)
	if err == nil {
		c.Close()
	}
	return !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, syscall.ENOENT)
}

// bind makes the socket at path, which is free.
func bind(path string, rights listen.Rights, backlog int) (*socket, error) {
	name, done, err := dial.Short(path)
	if err != nil {
		return nil, fmt.Errorf("its socket %s: %w", path, err)
	}
	defer done()
	syscall.ForkLock.RLock() // no fork between the next two calls
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, fmt.Errorf("make a socket: %w", err)
	}
	s := &socket{network: "unix", path: path, file: os.NewFile(uintptr(fd), path)}
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: name}); err != nil {
		s.file.Close()
		if errors.Is(err, fs.ErrPermission) {
			return nil, &startError{fmt.Sprintf("bind its socket %s: %v", path, err), fmt.Sprintf("user %d must be allowed to write to its folder", os.Geteuid())}
		}
		return nil, fmt.Errorf("bind its socket %s: %w", path, err)
	}
	// The rights are set before anybody can connect.
	s.id, err = rights.Give(path)
	if errors.Is(err, syscall.EPERM) && (rights.UID >= 0 || rights.GID >= 0) {
		err = fmt.Errorf("only root may give it to user %d and group %d", rights.UID, rights.GID)
	}
	if err == nil {
		err = syscall.Listen(fd, backlog)
	}
	if err != nil {
		s.close()
		return nil, fmt.Errorf("listen on its socket %s: %w", path, reason(err))
	}
	return s, nil
}

// close ends the socket and removes its path, if that is still ours.
func (s *socket) close() error {
	defer s.file.Close()
	if s.id == nil {
		return nil
	}
	if now, err := os.Lstat(s.path); err != nil || !os.SameFile(now, s.id) {
		return nil // somebody else has taken it away, or its place
	}
	if err := os.Remove(s.path); err != nil {
		return fmt.Errorf("process: remove socket %s: %w", s.path, reason(err))
	}
	return nil
}

// answers reports whether a connect to the socket at path works. One whose queue
// is full says EAGAIN: that is an answer.
func answers(path string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), probeTimeout)
	defer cancel()
	c, err := dial.Connect(ctx, "unix", path)
	if err == nil {
		c.Close()
	}
	return err == nil || errors.Is(err, syscall.EAGAIN)
}
