package listen

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// A listener that cannot be given to its owner leaves no file behind.
func TestOwnerFails(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can give up its rights for a while")
	}
	dir := shortDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	ended := make(chan error)
	go func() { // ends at once, and its thread with it, which is locked to the end
		runtime.LockOSThread()
		syscall.Setfsuid(65534) // who may give files to nobody
		l, err := Config{Mode: 0o600, UID: 1234}.Listen(unixAt(path))
		if err == nil {
			l.Close()
		}
		ended <- err
	}()
	if err := <-ended; !errors.Is(err, syscall.EPERM) {
		t.Errorf("Listen = %v, want EPERM", err)
	}
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file: %v, want none", err)
	}
}

// Who owns the folder of a socket may put a link there at any moment. What that
// leads to does not get the rights of the socket.
func TestFolderOfAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root could be cheated")
	}
	dir := shortDir(t)
	if err := os.Chown(dir, 65534, 65534); err != nil {
		t.Fatal(err)
	}
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	end := make(chan struct{})
	ended := make(chan int)
	go func() { // until end, and its thread with it, which is locked to the end
		runtime.LockOSThread()
		syscall.Setfsuid(65534)
		swaps := 0
		var st syscall.Stat_t
		for {
			select {
			case <-end:
				ended <- swaps
				return
			default:
			}
			if syscall.Lstat(path, &st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFSOCK &&
				syscall.Unlink(path) == nil && syscall.Symlink(victim, path) == nil {
				swaps++
			}
		}
	}()
	for begin := time.Now(); time.Since(begin) < 500*time.Millisecond; {
		os.Remove(path)
		if l, err := (Config{Mode: 0o666, UID: 65534}).Listen(unixAt(path)); err == nil {
			l.Close()
		}
		info, err := os.Stat(victim)
		if err != nil {
			t.Fatal(err)
		}
		if st := info.Sys().(*syscall.Stat_t); info.Mode().Perm() != 0o600 || st.Uid != 0 {
			t.Errorf("another's file is now %v of user %d", info.Mode(), st.Uid)
			break
		}
	}
	close(end)
	if swaps := <-ended; swaps == 0 {
		t.Error("nothing was swapped")
	}
}
