package process

import (
	"os"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A TCP socket is that and nothing newer: applications have not asked for it.
func TestSocketIsTCP(t *testing.T) {
	s := openSocket(t, Socket{Address: "127.0.0.1:0"}, nil)
	if p, err := unix.GetsockoptInt(int(s.file.Fd()), unix.SOL_SOCKET, unix.SO_PROTOCOL); p != syscall.IPPROTO_TCP || err != nil {
		t.Errorf("its protocol is %d, %v, want %d", p, err, syscall.IPPROTO_TCP)
	}
}

// The application may own the folder of its socket, and put a link there when we
// have bound it. What that leads to does not get the rights of the socket.
func TestSocketInFolderOfApplication(t *testing.T) {
	needRoot(t)
	victim := filepath.Join(t.TempDir(), "victim")
	if err := os.WriteFile(victim, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := chown(t, shortDir(t), nobody, nobody)
	path := dir + "/s"
	var over atomic.Bool
	swapped := make(chan int)
	go func() { // until over, and its thread with it, which is locked to the end
		runtime.LockOSThread()
		syscall.Setfsuid(nobody)
		n := 0
		for st := new(syscall.Stat_t); !over.Load(); {
			if syscall.Lstat(path, st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFSOCK && syscall.Unlink(path) == nil && syscall.Symlink(victim, path) == nil {
				n++
			}
		}
		swapped <- n
	}()
	at := Socket{Address: "unix:" + path, Mode: 0o666, UID: -1, GID: -1}
	for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end) && !t.Failed(); {
		os.Remove(path)
		if s, err := at.open(&Credential{UID: nobody, GID: nobody}); err == nil {
			s.close()
		}
		if info, err := os.Stat(victim); err != nil || info.Mode() != 0o600 || userOf(info) != 0 {
			t.Errorf("another's file is now %v of user %d, %v", info.Mode(), userOf(info), err)
		}
	}
	over.Store(true)
	if n := <-swapped; n == 0 {
		t.Error("nothing was swapped")
	}
}
