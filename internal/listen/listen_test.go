package listen

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/sluice-gateway/sluice/internal/address"
	"github.com/sluice-gateway/sluice/internal/dial"
)

// shortDir makes a folder whose name is short enough for unix sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "l")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func unixAt(path string) address.Address { return address.Address{Network: "unix", Address: path} }

// umask sets the umask for a test, which must not run beside others.
func umask(t *testing.T, mask int) {
	old := syscall.Umask(mask)
	t.Cleanup(func() { syscall.Umask(old) })
}

// A socket's file has exactly the permissions that were asked for, whatever
// the umask.
func TestModes(t *testing.T) {
	for _, mask := range []int{0, 0o022, 0o077, 0o777} {
		for _, mode := range []os.FileMode{0o600, 0o660, 0o666, 0o777 | os.ModeSetuid} {
			path := filepath.Join(shortDir(t), "s")
			umask(t, mask)
			l, err := On(unixAt(path), mode)
			if err != nil {
				t.Fatalf("umask %o: %v", mask, err)
			}
			if info, err := os.Lstat(path); err != nil || info.Mode() != os.ModeSocket|mode.Perm() {
				t.Errorf("umask %o: %v, %v, want %v", mask, info.Mode(), err, mode.Perm())
			}
			l.Close()
		}
	}
}

// What cannot be listened on, and what the error says. It does not repeat the
// address.
func TestErrors(t *testing.T) {
	dir := shortDir(t)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		a    address.Address
		want string
	}{
		{"no folder", unixAt(filepath.Join(dir, "none", "s")), "bind: no such file or directory"},
		{"a file", unixAt(file), "the file is there, and is not a socket"},
		{"a folder", unixAt(dir), "the file is there, and is not a socket"},
		{"too long a name", unixAt(filepath.Join(dir, strings.Repeat("x", 200))), "the last part of the socket's path has 200 bytes, and LIMIT are the most: choose a shorter one"},
		{"not our address", address.Address{Network: "tcp", Address: "192.0.2.1:0"}, "bind: cannot assign requested address"},
		{"no descriptor", address.Address{Network: "fd", Address: "x"}, `strconv.Atoi: parsing "x": invalid syntax`},
		{"a closed descriptor", address.Address{Network: "fd", Address: "9999"}, "not a listening socket: descriptor 9999"},
		{"a descriptor below 0", address.Address{Network: "fd", Address: "-1"}, "not a listening socket: descriptor -1"},
	}
	for _, tt := range tests {
		l, err := Config{Mode: 0o600, Backlog: 5}.Listen(tt.a)
		if err == nil {
			l.Close()
			t.Errorf("%s: no error", tt.name)
		} else if got := aLimit.ReplaceAllString(err.Error(), "and LIMIT are"); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, got, tt.want)
		}
	}
	if entries, err := os.ReadDir(dir); len(entries) != 1 || err != nil {
		t.Errorf("%d files are left, %v, want the one that was there", len(entries), err)
	}
}

// aLimit is a number that depends on how many descriptors are open.
var aLimit = regexp.MustCompile(`and \d+ are`)

// A socket's path may be longer than an address of the kernel.
func TestLongPath(t *testing.T) {
	dir := filepath.Join(shortDir(t), strings.Repeat("d", 200))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	for _, was := range []string{"nothing", "a stale socket"} {
		l, err := On(unixAt(path), 0o640)
		if err != nil {
			t.Fatalf("%s there: %v", was, err)
		}
		if info, err := os.Lstat(path); err != nil || info.Mode() != os.ModeSocket|0o640 {
			t.Errorf("%s there: %v, %v, want a socket of mode 0640", was, info, err)
		}
		if l.Addr().Network() != "unix" || l.Addr().String() != path {
			t.Errorf("Addr = %s, want %s", l.Addr(), path)
		}
		if _, err := On(unixAt(path), 0o600); !errors.Is(err, syscall.EADDRINUSE) {
			t.Errorf("Listen beside one that answers = %v, want EADDRINUSE", err)
		}
		c, err := dial.Connect(t.Context(), "unix", path)
		if err != nil {
			t.Fatal(err)
		}
		c.Close()
		if was == "nothing" { // leave it, as a process that is killed does
			l.(*unixListener).UnixListener.Close()
			continue
		}
		l.Close()
		if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the file after Close: %v, want none", err)
		}
	}
}

// A descriptor that is connected, and does not listen, is not taken for one
// that does.
func TestDescriptorDoesNotListen(t *testing.T) {
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fds[0])
	defer syscall.Close(fds[1])
	if _, err := On(address.Address{Network: "fd", Address: strconv.Itoa(fds[0])}, 0); !errors.Is(err, ErrNotListening) {
		t.Errorf("Listen = %v, want ErrNotListening", err)
	}
}

// A backlog can be asked for wherever we listen ourselves.
func TestBacklog(t *testing.T) {
	for name, a := range map[string]address.Address{
		"path": unixAt(filepath.Join(shortDir(t), "s")), "abstract": unixAt("@sluice-backlog-" + strconv.Itoa(os.Getpid())),
	} {
		l, err := Config{Mode: 0o600, Backlog: 2}.Listen(a)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		taken := 0
		for range 20 {
			c, err := net.Dial("unix", l.Addr().String())
			if err != nil {
				break
			}
			defer c.Close()
			taken++
		}
		if taken != 3 { // the kernel lets in one more
			t.Errorf("%s: %d connections wait, want 3", name, taken)
		}
		l.Close()
	}
	l, err := Config{Backlog: 1 << 30}.Listen(address.Address{Network: "tcp", Address: "127.0.0.1:0"})
	if err != nil {
		t.Fatalf("more than there can be: %v", err)
	}
	l.Close()
}

// A listener on a path that a stale socket holds takes its place, and one that
// answers keeps it.
func TestStaleSockets(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if _, err := On(unixAt(path), 0o600); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("Listen beside one that answers = %v, want EADDRINUSE", err)
	}
	stale.Close()
	l, err := On(unixAt(path), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	c.Close()
	l.Close()
	if _, err := os.Lstat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file after Close: %v, want none", err)
	}
	// A socket that is no stream answers nobody, and is not ours to remove.
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := syscall.Bind(fd, &syscall.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if l, err := On(unixAt(path), 0o600); err == nil {
		l.Close()
		t.Error("a datagram socket in use was removed")
	} else if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), ", it seems: ") {
		t.Errorf("Listen beside a datagram socket = %v", err)
	}
}

// LISTEN_FDS counts only for the process that LISTEN_PID names.
func TestHandedOver(t *testing.T) {
	self := strconv.Itoa(os.Getpid())
	tests := []struct {
		pid, fds string
		want     int
		err      bool
	}{
		{"", "", 0, false}, {"", "1", 0, false}, {"1", "1", 0, false}, {self + "0", "x", 0, false},
		{self, "0", 0, false}, {self, "1", 1, false}, {self, "12", 12, false},
		{self, "", 0, true}, {self, "x", 0, true}, {self, "-1", 0, true}, {self, "1 ", 0, true},
		{self, "9223372036854775807", 0, true},
	}
	for _, tt := range tests {
		t.Setenv("LISTEN_PID", tt.pid)
		t.Setenv("LISTEN_FDS", tt.fds)
		if n, err := handedOver(); n != tt.want || err != nil != tt.err {
			t.Errorf("LISTEN_PID=%s LISTEN_FDS=%s: %d, %v, want %d", tt.pid, tt.fds, n, err, tt.want)
		}
		if _, left := os.LookupEnv("LISTEN_FDS"); left != (tt.pid != self) {
			t.Errorf("LISTEN_PID=%s LISTEN_FDS=%s: left to children: %v", tt.pid, tt.fds, left)
		}
	}
}
