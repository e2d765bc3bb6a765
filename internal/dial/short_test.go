package dial

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pathOf returns a path below dir of n bytes, with all its folders.
func pathOf(t *testing.T, dir string, n int) string {
	t.Helper()
	for len(dir)+62 < n {
		dir += "/" + strings.Repeat("d", 50)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := dir + "/" + strings.Repeat("s", n-len(dir)-1)
	if len(path) != n {
		t.Fatalf("path of %d bytes, want %d", len(path), n)
	}
	return path
}

// shortDir returns a folder whose own name takes few bytes.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "d")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// files returns how many descriptors are open.
func files(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	return len(entries)
}

// A socket can be bound and found at a path of any length that the file system
// takes, and no descriptor stays open.
func TestLongPaths(t *testing.T) {
	for _, n := range []int{50, MaxPath, MaxPath + 1, 1000, 3900} {
		if n > MaxPath && runtime.GOOS != "linux" {
			break
		}
		path := pathOf(t, shortDir(t), n)
		before := files(t)
		name, done, err := Short(path)
		if err != nil {
			t.Fatalf("%d bytes: Short: %v", n, err)
		}
		if (name == path) != (n <= MaxPath) || len(name) > MaxPath || filepath.Base(name) != filepath.Base(path) {
			t.Errorf("%d bytes: Short = %s of %d bytes", n, name, len(name))
		}
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
		if err != nil {
			t.Fatalf("%d bytes: listen: %v", n, err)
		}
		l.SetUnlinkOnClose(false)
		done()
		if info, err := os.Lstat(path); err != nil || info.Mode().Type() != os.ModeSocket {
			t.Errorf("%d bytes: at the path: %v, %v, want a socket", n, info, err)
		}
		go func() {
			if nc, err := l.Accept(); err == nil {
				nc.Write([]byte("hello"))
				nc.Close()
			}
		}()
		nc, err := Dial(t.Context(), "unix", path, 10*time.Second)
		if err != nil {
			t.Fatalf("%d bytes: Dial: %v", n, err)
		}
		if b, err := io.ReadAll(nc); string(b) != "hello" {
			t.Errorf("%d bytes: read %q, %v, want hello", n, b, err)
		}
		nc.Close()
		l.Close()
		if _, err := Dial(t.Context(), "unix", path, 10*time.Second); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("%d bytes: Dial when nobody listens = %v, want ECONNREFUSED", n, err)
		}
		if after := files(t); after != before {
			t.Errorf("%d bytes: %d descriptors are open, %d before", n, after, before)
		}
	}
}

// What cannot be connected to is said without the address.
func TestConnectErrors(t *testing.T) {
	dir := shortDir(t)
	long := strings.Repeat("x", 200)
	tests := []struct {
		name, network, address, want string
	}{
		{"nothing at a short path", "unix", dir + "/none", "connect: no such file or directory"},
		{"nothing at a long path", "unix", pathOf(t, dir, 150), "connect: no such file or directory"},
		{"no folder", "unix", dir + "/" + long + "/s", "no such file or directory"},
		{"abstract, nobody", "unix", "@sluice-nobody", "connect: connection refused"},
		{"TCP", "tcp", "127.0.0.1:x", ""},
	}
	for _, tt := range tests {
		_, err := Dial(t.Context(), tt.network, tt.address, 10*time.Second)
		if err == nil || tt.want != "" && err.Error() != tt.want && runtime.GOOS == "linux" {
			t.Errorf("%s: Dial = %v, want %s", tt.name, err, tt.want)
		}
	}
	_, err := Dial(t.Context(), "unix", dir+"/"+long, 10*time.Second)
	if err == nil || !strings.Contains(err.Error(), " has 200 bytes, and ") && runtime.GOOS == "linux" {
		t.Errorf("Dial to a name of 200 bytes = %v, want the limit", err)
	}
}

// A dialer of somebody else's gets the address as it is.
func TestOwnDialer(t *testing.T) {
	long := "/" + strings.Repeat("x", 200)
	var got string
	f := Func(func(_ context.Context, _, address string) (net.Conn, error) {
		got = address
		return nil, syscall.ECONNREFUSED
	})
	if _, err := f.Dial(t.Context(), "unix", long, 0); got != long || err == nil {
		t.Errorf("it was asked for %q, %v, want the whole path", got, err)
	}
}

// Who goes away while the backlog is full has not found out anything about the
// application; who waits in vain has.
func TestFullBacklog(t *testing.T) {
	full := Func(func(context.Context, string, string) (net.Conn, error) { return nil, syscall.EAGAIN })
	gone := errors.New("the client has gone")
	tests := []struct {
		name    string
		timeout time.Duration
		goes    time.Duration // when the client does; 0: it stays
		want    error         // nil: the time is up
	}{
		{"in time", time.Minute, time.Second, gone},
		{"without a limit", 0, time.Second, gone},
		{"never", time.Minute, 0, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				if tt.goes > 0 {
					time.AfterFunc(tt.goes, func() { cancel(gone) })
				}
				_, err := full.Dial(ctx, "unix", "/x", tt.timeout)
				if tt.want != nil {
					if err != tt.want {
						t.Errorf("Dial = %v, want %v", err, tt.want)
					}
				} else if late, ok := err.(Timeout); !ok || !strings.Contains(string(late), "backlog") {
					t.Errorf("Dial = %v, want a timeout that names the backlog", err)
				}
			})
		})
	}
}
