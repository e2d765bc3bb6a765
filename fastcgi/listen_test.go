package fastcgi

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// socketDir makes a folder whose name is short enough for unix sockets.
func socketDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// leave makes the file of a socket that nobody listens on.
func leave(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

// What is in the way of a socket is removed only if it is one of ours and of no
// use to anybody.
func TestListenInTheWay(t *testing.T) {
	tests := []struct {
		name  string
		setup func(t *testing.T, path string)
		want  string // of the error; PATH is the path
	}{
		{"nothing", func(*testing.T, string) {}, ""},
		{"a stale socket", leave, ""},
		{"a socket in use", func(t *testing.T, path string) {
			l, err := Listen("unix:" + path)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
		}, "fastcgi: listen on unix:PATH: address already in use: another process answers there"},
		{"a file", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "fastcgi: listen on unix:PATH: the file is there, and is not a socket"},
		{"a link to a stale socket", func(t *testing.T, path string) {
			leave(t, path+"x")
			if err := os.Symlink(path+"x", path); err != nil {
				t.Fatal(err)
			}
		}, "fastcgi: listen on unix:PATH: the file is there, and is not a socket"},
		{"another's stale socket", func(t *testing.T, path string) {
			if os.Geteuid() != 0 {
				t.Skip("only root may give files to others")
			}
			leave(t, path)
			if err := os.Lchown(path, 12345, 0); err != nil {
				t.Fatal(err)
			}
		}, "fastcgi: listen on unix:PATH: a socket that nobody listens on is there, and belongs to another user: remove it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(socketDir(t), "a.sock")
			tt.setup(t, path)
			got := ""
			l, err := Listen("unix:" + path)
			if err != nil {
				got = strings.ReplaceAll(err.Error(), path, "PATH")
			}
			if got != tt.want {
				t.Errorf("Listen = %q, want %q", got, tt.want)
			}
			if _, missing := os.Lstat(path); missing != nil {
				t.Errorf("afterwards: %v", missing)
			}
			if l == nil {
				return
			}
			if c, err := net.Dial("unix", path); err != nil {
				t.Error(err)
			} else {
				c.Close()
			}
			l.Close()
			if _, err := os.Lstat(path); !os.IsNotExist(err) {
				t.Errorf("the file after Close: %v, want it removed", err)
			}
		})
	}
}

func TestListenModes(t *testing.T) {
	for _, mode := range []os.FileMode{0o600, DefaultSocketMode, 0o666} {
		path := filepath.Join(socketDir(t), "a.sock")
		l, err := ListenConfig{Mode: mode}.Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode() != os.ModeSocket|mode {
			t.Errorf("file %v, %v, want mode %v", info.Mode(), err, mode)
		}
		l.Close()
	}
}

// The socket of a successor at the same path stays when its predecessor
// closes, however often.
func TestListenerLeavesItsSuccessor(t *testing.T) {
	path := filepath.Join(socketDir(t), "a.sock")
	old, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	successor, err := Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer successor.Close()
	old.Close()
	old.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("the successor's socket: %v", err)
	}
}

// A descriptor that listens is taken over, and stays open.
func TestListenDescriptor(t *testing.T) {
	l, err := net.Listen("unix", filepath.Join(socketDir(t), "a.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for range 2 {
		taken, err := Listen("fd:" + strconv.Itoa(int(f.Fd())))
		if err != nil {
			t.Fatal(err)
		}
		if got := taken.Addr().String(); got != l.Addr().String() {
			t.Errorf("it listens on %s, want %s", got, l.Addr())
		}
		taken.Close()
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if _, err := Listen("fd:" + strconv.Itoa(int(null.Fd()))); err == nil || !strings.Contains(err.Error(), "not a listening socket: descriptor "+strconv.Itoa(int(null.Fd()))+": start this program with sluice or spawn-fcgi") {
		t.Errorf("Listen on a descriptor that is no socket: %v", err)
	}
}

func TestListenOthers(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "unix:@sluice-listen-test-" + strconv.Itoa(os.Getpid())} {
		l, err := Listen(address)
		if err != nil {
			t.Errorf("Listen(%q): %v", address, err)
			continue
		}
		c, err := net.Dial(l.Addr().Network(), l.Addr().String())
		if err != nil {
			t.Error(err)
		} else {
			c.Close()
		}
		l.Close()
	}
	for _, address := range []string{"", "nowhere", "unix:", "127.0.0.1:99999"} {
		if l, err := Listen(address); err == nil {
			l.Close()
			t.Errorf("Listen(%q) gives %v, want an error", address, l.Addr())
		} else if !strings.HasPrefix(err.Error(), "fastcgi: listen") {
			t.Errorf("Listen(%q): %v, want one of fastcgi: listen", address, err)
		}
	}
}
