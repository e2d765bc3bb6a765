package spawn

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// A link in a chroot must not lead us, who are root, out of it, and the folder of
// the socket is known whole wherever we are.
func TestSocketStaysInside(t *testing.T) {
	root := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(root, "run"), 0o755), os.Symlink("/tmp", filepath.Join(root, "out"))); err != nil {
		t.Fatal(err)
	}
	t.Chdir(filepath.Dir(root))
	for path, good := range map[string]bool{"/s": true, "s": true, "/run/s": true, "/run/../s": true, "/../../s": false, "/out/s": false, "/none/s": false} {
		for _, chroot := range []string{root, filepath.Base(root)} {
			f := &flags{chroot: chroot, socket: path, given: func(string) bool { return false }}
			p := new(plan)
			if err := errors.Join(f.planSocket(p), f.planPaths(p)); err != nil {
				t.Fatal(err)
			}
			if want := "unix:" + filepath.Join(root, path); p.address != want {
				t.Errorf("socket %s in chroot %s: %s, want %s", path, chroot, p.address, want)
			}
			if err := f.checkSocket(p); (err == nil) != good {
				t.Errorf("socket %s in chroot %s: %v, want good: %v", path, chroot, err, good)
			}
			f.outside = true
			if err := f.checkSocket(p); err != nil {
				t.Errorf("socket %s outside of chroot %s: %v", path, chroot, err)
			}
		}
	}
}

// A socket that was handed over has the queue that whoever made it wants, unless
// another one is asked for.
func TestBacklog(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want int
	}{
		{"ours", []string{"-s", "/a"}, 1024},
		{"a port of ours", []string{"-p", "9000"}, 1024},
		{"as asked for", []string{"-s", "/a", "-b", "7"}, 7},
		{"as short as can be", []string{"-s", "/a", "-b", "0"}, 1},
		{"handed over", []string{"-n"}, 0},
		{"handed over, and asked for", []string{"-n", "-b", "7"}, 7},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
			t.Setenv("LISTEN_FDS", "1")
			p, err := planOf(t, "spawn", append(tt.args, "--", "/bin/sh")...)
			if err != nil || p.backlog != tt.want {
				t.Errorf("%q: %+v, %v, want a backlog of %d", tt.args, p, err, tt.want)
			}
		})
	}
}

// What systemd hands over is one socket, or it is said what is wrong.
func TestHandedOver(t *testing.T) {
	pid := strconv.Itoa(os.Getpid())
	for _, tt := range []struct{ pid, fds, want, err string }{
		{pid, "1", "fd:3", ""},
		{pid, "2", "", "systemd hands over 2 sockets"},
		{pid, "17", "", "systemd hands over 17 sockets"},
		{pid, "0", "", "systemd hands over 0 sockets"},
		{pid + "1", "2", "", "no socket given"}, // not to us
		{"", "", "", "no socket given"},
	} {
		variables := map[string]string{"LISTEN_PID": tt.pid, "LISTEN_FDS": tt.fds}
		got, err := handedOver(func(name string) string { return variables[name] })
		if got != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("LISTEN_PID=%s LISTEN_FDS=%s: %q, %v, want %q, %q", tt.pid, tt.fds, got, err, tt.want, tt.err)
		}
	}
}
