package process

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

func TestPrivateDir(t *testing.T) {
	tests := []struct {
		name  string
		setup func(t *testing.T, dir string) (path string)
		want  string // DIR is the folder of the test
	}{
		{"missing", func(_ *testing.T, dir string) string { return dir + "/new" }, ""},
		{"ours", func(t *testing.T, dir string) string { return mkdir(t, dir+"/old", 0o700) }, ""},
		{"others may read", func(t *testing.T, dir string) string { return mkdir(t, dir+"/old", 0o755) }, ""},
		{"below a sticky folder", func(t *testing.T, dir string) string { return mkdir(t, dir+"/tmp", 0o777|os.ModeSticky) + "/new" }, ""},
		{"group may write", func(t *testing.T, dir string) string { return mkdir(t, dir+"/old", 0o770) },
			"group GROUP may put something else into DIR/old, for its mode is 0770: chmod go-w DIR/old, or choose another path"},
		{"all may write", func(t *testing.T, dir string) string { return mkdir(t, dir+"/old", 0o777) },
			"anybody may put something else into DIR/old, for its mode is 0777: chmod go-w DIR/old, or choose another path"},
		{"sticky is not enough", func(t *testing.T, dir string) string { return mkdir(t, dir+"/old", 0o777|os.ModeSticky) },
			"anybody may put something else into DIR/old, for its mode is 0777: chmod go-w DIR/old, or choose another path"},
		{"all may replace it", func(t *testing.T, dir string) string { return mkdir(t, dir+"/open", 0o777) + "/new" },
			"anybody may put something else into DIR/open, for its mode is 0777: chmod +t DIR/open, or choose another path"},
		{"a file", func(t *testing.T, dir string) string {
			if err := os.WriteFile(dir+"/f", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return dir + "/f"
		}, "DIR/f is not a folder: choose another path"},
		{"a link", func(t *testing.T, dir string) string {
			if err := os.Symlink(mkdir(t, dir+"/real", 0o700), dir+"/link"); err != nil {
				t.Fatal(err)
			}
			return dir + "/link"
		}, ""},
		{"no parent", func(_ *testing.T, dir string) string { return dir + "/a/b" },
			"make folder DIR/a/b: no such file or directory"},
		{"another's", func(t *testing.T, dir string) string {
			needRoot(t)
			path := mkdir(t, dir+"/old", 0o700)
			if err := os.Chown(path, 12345, 0); err != nil {
				t.Fatal(err)
			}
			return path
		}, "DIR/old belongs to user 12345, who may put something else into it: choose another path"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			path := tt.setup(t, dir)
			got := ""
			resolved, err := privateDir(path)
			if err != nil {
				got = strings.ReplaceAll(err.Error(), dir, "DIR")
			} else if real, err := filepath.EvalSymlinks(path); resolved != real {
				t.Errorf("privateDir = %s, want %s (%v)", resolved, real, err)
			}
			want := strings.ReplaceAll(tt.want, "GROUP", strconv.Itoa(os.Getegid()))
			if want != "" && !strings.HasPrefix(want, "make folder ") {
				want = "folder " + strings.ReplaceAll(path, dir, "DIR") + " cannot hold our sockets: " + want
			}
			if got != want {
				t.Errorf("privateDir = %q, want %q", got, want)
			}
			if info, err := os.Lstat(path); want == "" && (err != nil || filepath.Base(path) == "new" && info.Mode().Perm() != 0o700) {
				t.Errorf("the folder: %v, %v, want mode 0700", info, err)
			}
		})
	}
}

// mkdir makes a folder with a mode that no umask touches.
func mkdir(t *testing.T, path string, mode os.FileMode) string {
	t.Helper()
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may give files and processes to others")
	}
}

// newSocket makes a socket file, with or without somebody who listens.
func newSocket(t *testing.T, path string, listens bool) {
	t.Helper()
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	if !listens {
		l.Close()
		return
	}
	t.Cleanup(func() { l.Close() })
}

// What is in the way of a socket is removed only if it is a socket, ours, and
// of no use to anybody.
func TestListenPath(t *testing.T) {
	tests := []struct {
		name  string
		setup func(t *testing.T, path string)
		want  string // name of the socket, or the error
		stays bool   // what setup made is there afterwards
	}{
		{"nothing there", func(*testing.T, string) {}, "app-2.sock", false},
		{"a stale socket", func(t *testing.T, path string) {
			newSocket(t, path, false)
			os.Link(path, path+"-kept") // or its inode may be used again
		}, "app-2.sock", false},
		{"a socket in use", func(t *testing.T, path string) { newSocket(t, path, true) }, "app-2.1.sock", true},
		{"a file", func(t *testing.T, path string) { os.WriteFile(path, []byte("mine"), 0o600) },
			"DIR/app-2.sock is there and is not a socket: remove it, or choose another path", true},
		{"a link to a stale socket", func(t *testing.T, path string) {
			newSocket(t, path+"x", false)
			os.Symlink(path+"x", path)
		}, "DIR/app-2.sock is there and is not a socket: remove it, or choose another path", true},
		{"another's stale socket", func(t *testing.T, path string) {
			needRoot(t)
			newSocket(t, path, false)
			os.Lchown(path, 12345, 0)
		}, "the socket DIR/app-2.sock belongs to user 12345: remove it, or choose another path", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := shortDir(t)
			path := dir + "/app-2.sock"
			tt.setup(t, path)
			before, _ := os.Lstat(path)
			got := ""
			s, err := privateSocket(dir, "app", 2, nil)
			if err != nil {
				got = strings.ReplaceAll(err.Error(), dir, "DIR")
			} else {
				got = filepath.Base(s.path)
				defer s.close()
			}
			if got != tt.want {
				t.Errorf("listen = %q, want %q", got, tt.want)
			}
			after, _ := os.Lstat(path)
			if stays := before != nil && after != nil && os.SameFile(before, after); stays != tt.stays {
				t.Errorf("what was there stays: %v, want %v", stays, tt.stays)
			}
		})
	}
}

func TestSocketRights(t *testing.T) {
	dir := shortDir(t)
	s, err := privateSocket(dir, "a/b c", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	info, err := os.Lstat(dir + "/a_b_c-0.sock")
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != os.ModeSocket|0o600 || userOf(info) != os.Geteuid() {
		t.Errorf("socket: %v of user %d, want Srw------- of ours", info.Mode(), userOf(info))
	}
	if os.Geteuid() == 0 {
		o, err := privateSocket(dir, "other", 0, &Credential{UID: 12345, GID: 12346})
		if err != nil {
			t.Fatal(err)
		}
		defer o.close()
		if info, err := os.Lstat(o.path); err != nil || info.Mode() != os.ModeSocket|0o600 || userOf(info) != 12345 {
			t.Errorf("socket for user 12345: %v, %v, want Srw------- of its own", info, err)
		}
	}
	long := strings.Repeat("x", 120)
	if _, err := privateSocket(dir, long, 0, nil); err == nil || !strings.Contains(err.Error(), "has 127 bytes, and ") {
		t.Errorf("listen under a name of 127 bytes: %v, want a refusal", err)
	}
}

// A socket's path is removed with it, but not what took its place.
func TestSocketClose(t *testing.T) {
	dir := shortDir(t)
	for _, replaced := range []bool{false, true} {
		s, err := privateSocket(dir, "app", 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if replaced {
			os.Remove(s.path)
			os.WriteFile(s.path, nil, 0o600)
		}
		if err := s.close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if _, err := os.Lstat(s.path); (err == nil) != replaced {
			t.Errorf("after close, replaced %v: %v", replaced, err)
		}
	}
}

// Applications accept on descriptor 0 with a call that must block.
func TestSocketBlocks(t *testing.T) {
	s, err := privateSocket(shortDir(t), "app", 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.close()
	for range 2 {
		f, err := s.lend()
		if err != nil {
			t.Fatal(err)
		}
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, f.Fd(), syscall.F_GETFL, 0)
		if errno != 0 || flags&syscall.O_NONBLOCK != 0 {
			t.Errorf("flags of descriptor 0 = %#x, %v, want a blocking one", flags, errno)
		}
		syscall.SetNonblock(int(f.Fd()), true) // as an application may, for all who hold it
		s.takeBack()
	}
}
