package listen

import (
	"errors"
	"net"
	"os"
	"syscall"
	"testing"
)

// boundAt makes a socket's file.
func boundAt(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Nothing but the socket that has just been bound gets its rights, whatever
// somebody has put in its place since.
func TestRights(t *testing.T) {
	tests := []struct {
		name  string
		swap  func(t *testing.T, path, other string)
		given bool
	}{
		{"the socket", func(*testing.T, string, string) {}, true},
		{"a link to a file", func(t *testing.T, path, other string) {
			if err := errors.Join(os.WriteFile(other, nil, 0o600), os.Remove(path), os.Symlink(other, path)); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"a link to another socket", func(t *testing.T, path, other string) {
			boundAt(t, other)
			if err := errors.Join(os.Remove(path), os.Symlink(other, path)); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"another name of a file", func(t *testing.T, path, other string) {
			if err := errors.Join(os.WriteFile(other, nil, 0o600), os.Remove(path), os.Link(other, path)); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"another name of another socket", func(t *testing.T, path, other string) {
			boundAt(t, other)
			if err := errors.Join(os.Remove(path), os.Link(other, path)); err != nil {
				t.Fatal(err)
			}
		}, false},
		{"another's socket", func(t *testing.T, path, other string) {
			if os.Geteuid() != 0 {
				t.Skip("only root may give files to others")
			}
			boundAt(t, other)
			if err := errors.Join(os.Chown(other, 12345, 0), os.Rename(other, path)); err != nil {
				t.Fatal(err)
			}
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := shortDir(t)
			path, other := dir+"/s", dir+"/other"
			boundAt(t, path)
			tt.swap(t, path, other)
			before, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			info, err := Rights{Mode: 0o666, UID: -1, GID: os.Getegid()}.Give(path)
			if tt.given != (err == nil) || !tt.given && (info != nil || !errors.Is(err, ErrReplaced)) {
				t.Errorf("Give = %v, %v, want it given: %v", info, err, tt.given)
			}
			after, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			if want := os.FileMode(0o666); tt.given && after.Mode().Perm() != want {
				t.Errorf("its mode is %v, want %v", after.Mode(), want)
			} else if !tt.given && after.Mode() != before.Mode() {
				t.Errorf("the mode of something else is now %v, and was %v", after.Mode(), before.Mode())
			}
		})
	}
	if _, err := (Rights{}).Give(shortDir(t) + "/none"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("Give of nothing = %v, want ENOENT", err)
	}
}
