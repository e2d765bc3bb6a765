package process

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/dial"
)

// openSocket opens a Socket for a test.
func openSocket(t *testing.T, at Socket, owner *Credential) *socket {
	t.Helper()
	if err := at.check(); err != nil {
		t.Fatal(err)
	}
	s, err := at.open(owner)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// reaches reports whether who connects to s comes out at its descriptor.
func reaches(t *testing.T, s *socket) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := dial.Connect(ctx, s.network, s.path)
	if err != nil {
		t.Errorf("connect to %s: %v", s.path, err)
		return
	}
	defer c.Close()
	nc, _, err := syscall.Accept(int(s.file.Fd())) // the connection is there
	if err != nil {
		t.Errorf("accept: %v", err)
		return
	}
	syscall.Close(nc)
}

// flags returns the file and descriptor flags of a socket.
func flags(t *testing.T, f *os.File) (blocks, closes bool) {
	t.Helper()
	fl, _, errno := syscall.Syscall(syscall.SYS_FCNTL, f.Fd(), syscall.F_GETFL, 0)
	fd, _, errno2 := syscall.Syscall(syscall.SYS_FCNTL, f.Fd(), syscall.F_GETFD, 0)
	if errno != 0 || errno2 != 0 {
		t.Fatal(errno, errno2)
	}
	return fl&syscall.O_NONBLOCK == 0, fd&syscall.FD_CLOEXEC != 0
}

// Every kind of address can be connected to where the socket says, by a
// descriptor that blocks and is not inherited by accident.
func TestSocketAddresses(t *testing.T) {
	dir := shortDir(t)
	deep := filepath.Join(dir, strings.Repeat("d", 200))
	mkdir(t, deep, 0o755)
	handed := listenTCP(t)
	name := fmt.Sprintf("@sluice-test-%d", os.Getpid())
	tests := []struct {
		name    string
		address string
		want    string // network and path; PORT is a port
	}{
		{"a path", "unix:" + dir + "/s", "unix " + dir + "/s"},
		{"a path alone", dir + "/t", "unix " + dir + "/t"},
		{"a long path", "unix:" + deep + "/s", "unix " + deep + "/s"},
		{"abstract", "unix:" + name, "unix " + name},
		{"IPv4", "127.0.0.1:0", "tcp 127.0.0.1:PORT"},
		{"IPv6", "[::1]:0", "tcp [::1]:PORT"},
		{"a name", "localhost:0", "tcp 127.0.0.1:PORT"},
		{"everywhere", ":0", "tcp [::]:PORT"},
		{"everywhere by IPv4", "0.0.0.0:0", "tcp 0.0.0.0:PORT"},
		{"everywhere by IPv6", "[::]:0", "tcp [::]:PORT"},
		{"a descriptor", fmt.Sprintf("fd:%d", handed), "tcp 127.0.0.1:PORT"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if strings.HasPrefix(tt.want, "tcp [") && !hasIPv6() {
				t.Skip("there is no IPv6 here")
			}
			s := openSocket(t, Socket{Address: tt.address, UID: -1, GID: -1}, nil)
			got := s.network + " " + s.path
			if _, port, err := net.SplitHostPort(s.path); s.network == "tcp" && err == nil {
				got = strings.TrimSuffix(got, port) + "PORT"
			}
			if got != tt.want {
				t.Errorf("it is %s, want %s", got, tt.want)
			}
			if blocks, closes := flags(t, s.file); !blocks || !closes {
				t.Errorf("it blocks: %v, is closed on exec: %v, want both", blocks, closes)
			}
			reaches(t, s)
			if f, err := s.lend(); err != nil || f != s.file {
				t.Errorf("lend() = %v, %v, want its file", f, err)
			}
			s.takeBack()
		})
	}
	if _, err := syscall.Getsockname(handed); err != nil {
		t.Errorf("the descriptor that was taken over: %v, want it open", err)
	}
}

// listenTCP returns a descriptor that listens, as from whoever started us.
func listenTCP(t *testing.T) (fd int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	raw, err := l.(*net.TCPListener).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(f uintptr) { fd, err = syscall.Dup(int(f)) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	return fd
}

func hasIPv6() bool {
	l, err := net.Listen("tcp", "[::1]:0")
	if err == nil {
		l.Close()
	}
	return err == nil
}

// The file has the mode and the owner that were asked for, whatever our umask,
// and is gone when the socket is.
func TestSocketFile(t *testing.T) {
	old := syscall.Umask(0o77)
	defer syscall.Umask(old)
	us, ours := os.Geteuid(), os.Getegid()
	app := &Credential{UID: 12345, GID: 12346}
	tests := []struct {
		name     string
		mode     os.FileMode
		uid, gid int
		owner    *Credential
		want     string
		root     bool // it takes root
	}{
		{"as it is", 0, -1, -1, nil, fmt.Sprintf("0600 %d %d", us, ours), false},
		{"mode", 0o666, -1, -1, nil, fmt.Sprintf("0666 %d %d", us, ours), false},
		{"the application's", 0o660, -1, -1, app, "0660 12345 12346", true},
		{"a user's", 0o660, 33, -1, app, "0660 33 12346", true},
		{"a group's", 0o660, -1, 33, nil, fmt.Sprintf("0660 %d 33", us), true},
		{"root's", 0o700, 0, 0, app, "0700 0 0", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root {
				needRoot(t)
			}
			path := shortDir(t) + "/s"
			at := Socket{Address: "unix:" + path, Mode: tt.mode, UID: tt.uid, GID: tt.gid}
			for range 2 { // the second finds what the first left
				s, err := at.open(tt.owner)
				if err != nil {
					t.Fatal(err)
				}
				info, err := os.Lstat(path)
				if err != nil {
					t.Fatal(err)
				}
				st := info.Sys().(*syscall.Stat_t)
				if got := fmt.Sprintf("%04o %d %d", info.Mode().Perm(), st.Uid, st.Gid); got != tt.want {
					t.Errorf("the file is %s, want %s", got, tt.want)
				}
				s.file.Close() // as if we had been killed
			}
			s, err := at.open(tt.owner)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.close(); err != nil {
				t.Error(err)
			}
			if _, err := os.Lstat(path); !os.IsNotExist(err) {
				t.Errorf("after close: %v", err)
			}
		})
	}
}

// Nothing is taken from others, and nothing put where others could replace it.
func TestSocketRefused(t *testing.T) {
	tests := []struct {
		name  string
		setup func(t *testing.T, dir string) (address string)
		want  string // DIR is the folder of the test
	}{
		{"somebody listens", func(t *testing.T, dir string) string { newSocket(t, dir+"/s", true); return dir + "/s" },
			"somebody else listens on unix:DIR/s: end that program, or choose another address"},
		{"a file", func(t *testing.T, dir string) string { os.WriteFile(dir+"/s", nil, 0o600); return dir + "/s" },
			"DIR/s is there and is not a socket: remove it, or choose another path"},
		{"a link", func(t *testing.T, dir string) string {
			newSocket(t, dir+"/x", false)
			os.Symlink("x", dir+"/s")
			return dir + "/s"
		}, "DIR/s is there and is not a socket: remove it, or choose another path"},
		{"another's socket", func(t *testing.T, dir string) string {
			needRoot(t)
			newSocket(t, dir+"/s", false)
			os.Lchown(dir+"/s", 33, 0)
			return dir + "/s"
		}, "the socket DIR/s belongs to user 33: remove it, or choose another path"},
		{"no folder", func(_ *testing.T, dir string) string { return dir + "/none/s" }, "folder DIR/none cannot hold our socket: DIR/none: no such file or directory"},
		{"a file for a folder", func(t *testing.T, dir string) string { os.WriteFile(dir+"/f", nil, 0o600); return dir + "/f/s" },
			"folder DIR/f cannot hold our socket: DIR/f is not a folder: choose another path"},
		{"open folder", func(t *testing.T, dir string) string { return mkdir(t, dir+"/open", 0o777) + "/s" },
			"folder DIR/open cannot hold our socket: anybody may put something else into DIR/open, for its mode is 0777: chmod +t DIR/open, or choose another path"},
		{"folder open to a group", func(t *testing.T, dir string) string {
			needRoot(t)
			os.Chown(mkdir(t, dir+"/open", 0o770), 0, 12345)
			return dir + "/open/s"
		}, "folder DIR/open cannot hold our socket: group 12345 may put something else into DIR/open, for its mode is 0770: chmod +t DIR/open, or choose another path"},
		{"in an open folder", func(t *testing.T, dir string) string {
			return mkdir(t, mkdir(t, dir+"/open", 0o777)+"/mine", 0o755) + "/s"
		},
			"folder DIR/open/mine cannot hold our socket: anybody may put something else into DIR/open, for its mode is 0777: chmod +t DIR/open, or choose another path"},
		{"another's folder", func(t *testing.T, dir string) string {
			needRoot(t)
			os.Chown(mkdir(t, dir+"/theirs", 0o755), 33, 0)
			return dir + "/theirs/s"
		}, "folder DIR/theirs cannot hold our socket: DIR/theirs belongs to user 33, who may put something else into it: choose another path"},
		{"another's sticky folder", func(t *testing.T, dir string) string {
			needRoot(t)
			os.Chown(mkdir(t, dir+"/theirs", 0o777|os.ModeSticky), 33, 0)
			return dir + "/theirs/s"
		}, "folder DIR/theirs cannot hold our socket: DIR/theirs belongs to user 33, who may put something else into it: choose another path"},
		{"too long a name", func(_ *testing.T, dir string) string { return dir + "/" + strings.Repeat("x", 200) }, " has 200 bytes, and "},
		{"abstract, taken", func(t *testing.T, _ string) string {
			name := fmt.Sprintf("@sluice-taken-%d", os.Getpid())
			newSocket(t, name, true)
			return "unix:" + name
		}, "somebody else listens on unix:@sluice-taken-"},
		{"TCP, taken", func(t *testing.T, _ string) string {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { l.Close() })
			return l.Addr().String()
		}, "somebody else listens on 127.0.0.1:"},
		{"TCP, not our address", func(*testing.T, string) string { return "192.0.2.1:80" }, "listen on 192.0.2.1:80: "},
		{"no such descriptor", func(*testing.T, string) string { return "fd:9999" },
			"descriptor 9999 is not a listening socket: whoever starts us must hand one over (systemd: a .socket unit)"},
		{"descriptor that does not listen", func(*testing.T, string) string { return "fd:2" },
			"descriptor 2 is not a listening socket: whoever starts us must hand one over (systemd: a .socket unit)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := shortDir(t)
			at := Socket{Address: tt.setup(t, dir), UID: -1, GID: -1}
			before, _ := filepath.Glob(dir + "/*")
			s, err := at.open(nil)
			if err == nil {
				s.close()
				t.Fatalf("open(%s) works", at.Address)
			}
			if got := strings.ReplaceAll(err.Error(), dir, "DIR"); !strings.Contains(got, tt.want) || strings.HasPrefix(tt.want, "folder") && got != tt.want {
				t.Errorf("open = %q, want %q", got, tt.want)
			}
			if after, _ := filepath.Glob(dir + "/*"); len(after) != len(before) {
				t.Errorf("there is now %q, and was %q", after, before)
			}
		})
	}
}

// The backlog is what was asked for.
func TestSocketBacklog(t *testing.T) {
	path := shortDir(t) + "/s"
	s := openSocket(t, Socket{Address: path, UID: -1, GID: -1, Backlog: 2}, nil)
	taken := 0
	for range 20 {
		c, err := net.Dial("unix", s.path)
		if err != nil {
			if !errors.Is(err, syscall.EAGAIN) {
				t.Errorf("connect: %v, want EAGAIN", err)
			}
			break
		}
		defer c.Close()
		taken++
	}
	if taken != 3 { // the kernel lets in one more
		t.Errorf("%d connections wait, want 3", taken)
	}
}

// What is wrong with a Socket is said before anything is made.
func TestSocketCheck(t *testing.T) {
	for _, tt := range []struct {
		at   Socket
		want string
	}{
		{Socket{Address: "/run/s", Mode: 0o777, UID: -1, GID: 0}, ""},
		{Socket{}, "address is empty"},
		{Socket{Address: "x"}, "want unix:/path"},
		{Socket{Address: "/s", Mode: 0o1000}, "want 0 to 0777"},
		{Socket{Address: "/s", UID: -2}, "want numbers of a user and a group, or -1"},
		{Socket{Address: "/s", GID: -2}, "want numbers of a user and a group, or -1"},
		{Socket{Address: "/s", Backlog: -1}, "backlog -1 of socket /s: want 0 or more"},
	} {
		if err := tt.at.check(); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("check(%+v) = %v, want %q", tt.at, err, tt.want)
		}
	}
}

// A folder that somebody else keeps locked does not keep us from starting.
func TestLockedFolder(t *testing.T) {
	dir := shortDir(t)
	other, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if err := syscall.Flock(int(other.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	all, err := privateSockets(dir, "app", []int{0, 1, 2}, nil, nil)
	if err != nil || len(all) != 3 {
		t.Fatal(len(all), err)
	}
	if took := time.Since(begin); took > 2*lockTimeout {
		t.Errorf("three sockets took %v, want one wait for the lock, of %v", took, lockTimeout)
	}
	for _, s := range all {
		s.close()
	}
}

// A private socket may lie as deep as its folder does.
func TestLongPrivatePath(t *testing.T) {
	dir := filepath.Join(shortDir(t), strings.Repeat("d", 200))
	if _, err := privateDir(dir); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"app-0.sock", "app-0.1.sock"} { // the second while the first is in use
		s, err := privateSocket(dir, "app", 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer s.close()
		if filepath.Base(s.path) != want {
			t.Errorf("the socket is %s, want %s", s.path, want)
		}
		reaches(t, s)
	}
}
