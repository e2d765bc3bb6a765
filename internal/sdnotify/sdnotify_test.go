package sdnotify

import (
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// manager listens as a service manager does, and returns what it reads next.
func manager(t *testing.T, name string) (next func() string) {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: name})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	t.Setenv(variable, name)
	return func() string {
		t.Helper()
		b := make([]byte, 4096)
		c.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func TestDatagrams(t *testing.T) {
	dir, err := os.MkdirTemp("", "n")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	for _, name := range []string{filepath.Join(dir, "s"), "@sluice-notify-" + filepath.Base(dir)} {
		next := manager(t, name)
		for _, tt := range []struct {
			send func() error
			want string // a regular expression for all of it
		}{
			{func() error { return Ready("2 processes\nat /run/a") }, `READY=1\nSTATUS=2 processes at /run/a`},
			{Reloading, `RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*`},
			{Stopping, `STOPPING=1`},
		} {
			if err := tt.send(); err != nil {
				t.Fatal(err)
			}
			if got := next(); !regexp.MustCompile("^" + tt.want + "$").MatchString(got) {
				t.Errorf("%s: %q, want %s", name, got, tt.want)
			}
		}
	}
}

// Nobody wants to know: that is no error. A manager that is gone is one.
func TestNobody(t *testing.T) {
	for name, want := range map[string]string{"": "", "/nonexistent/s": "no such file", "relative": "want a path"} {
		t.Setenv(variable, name)
		err := Stopping()
		if (err != nil) != (want != "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s=%q: %v, want %q", variable, name, err, want)
		}
	}
}
