package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sluice-gateway/sluice/internal/testproc"
)

// A socket path where somebody else could put, or has, something of his own is
// refused with the reason, nothing is started, and what was there stays.
func TestSpawnSocketRefused(t *testing.T) {
	const start, inUse = "process: start touch: ", "socket is already in use, can't spawn: process: start touch: "
	long, segment := strings.Repeat("a", 120), strings.Repeat("a", 300)
	tests := []struct {
		name  string
		root  bool
		setup func(t *testing.T, dir string)
		path  string
		want  string // DIR is the folder of the test
	}{
		{name: "name too long", path: long,
			want: start + "its socket DIR/" + long + ": the last part of the socket's path has 120 bytes, and 9"},
		{name: "name too long for a file", path: segment, want: start + "its socket DIR/" + segment + ": file name too long: choose a shorter one"},
		{name: "no folder", path: "none/s", want: start + "folder DIR/none cannot hold our socket: DIR/none: no such file or directory"},
		{name: "a file for a folder", path: "file/s", want: start + "folder DIR/file cannot hold our socket: DIR/file is not a folder: choose another path"},
		{name: "folder that others may write to", path: "open/s",
			want: start + "folder DIR/open cannot hold our socket: anybody may put something else into DIR/open, for its mode is 0777: chmod +t DIR/open, or choose another path"},
		{name: "folder that others may replace", path: "open/below/s",
			want: start + "folder DIR/open/below cannot hold our socket: anybody may put something else into DIR/open, for its mode is 0777: chmod +t DIR/open, or choose another path"},
		{name: "link to such a folder", path: "link-to-open/s",
			want: start + "folder DIR/link-to-open cannot hold our socket: anybody may put something else into DIR/open, for its mode is 0777: chmod +t DIR/open, or choose another path"},
		{name: "another's folder", root: true, path: "theirs/s",
			want: start + "folder DIR/theirs cannot hold our socket: DIR/theirs belongs to user 33, who may put something else into it: choose another path"},
		{name: "a file", path: "file", want: start + "DIR/file is there and is not a socket: remove it, or choose another path"},
		{name: "a folder", path: "open", want: start + "DIR/open is there and is not a socket: remove it, or choose another path"},
		{name: "a link to our stale socket", path: "link", want: start + "DIR/link is there and is not a socket: remove it, or choose another path"},
		{name: "a link to nothing", path: "dangling", want: start + "DIR/dangling is there and is not a socket: remove it, or choose another path"},
		{name: "somebody listens", path: "live", want: inUse + "somebody else listens on unix:DIR/live: end that program, or choose another address"},
		{name: "another's stale socket", root: true, path: "their-stale", want: start + "the socket DIR/their-stale belongs to user 33: remove it, or choose another path"},
		{name: "another's live socket", root: true, path: "their-live", want: inUse + "somebody else listens on unix:DIR/their-live: end that program, or choose another address"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.root && os.Geteuid() != 0 {
				t.Skip("only root can give files to others")
			}
			dir := socketFolder(t)
			before := inFolder(t, dir)
			for _, where := range [][]string{{"-n"}, nil} { // in the foreground and in the background
				s := &spawner{t: t, program: ours(t, "sluice"), umask: 0o022, dir: dir}
				args := append([]string{"spawn"}, where...)
				code, stdout, stderr := s.run(append(args, "-s", tt.path, "--", "/usr/bin/touch", filepath.Join(dir, "started"))...)
				stderr = strings.ReplaceAll(stderr, dir, "DIR")
				if code != 1 || stdout != "" || !strings.Contains(stderr, tt.want) {
					t.Errorf("%v: exit status %d, %q, %q, want 1 and %q", where, code, stdout, stderr, tt.want)
				}
				if after := inFolder(t, dir); after != before {
					t.Errorf("%v: there is now\n%s, and was\n%s", where, after, before)
				}
			}
		})
	}
}

// socketFolder makes a folder with everything that can be in the way.
func socketFolder(t *testing.T) string {
	t.Helper()
	dir := testproc.ShortDir(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"open", "open/below", "theirs"} {
		must(os.Mkdir(at(name), 0o755))
	}
	must(os.Chmod(at("open"), 0o777))
	must(os.WriteFile(at("file"), []byte("mine"), 0o644))
	for name, to := range map[string]string{"link": "stale", "dangling": "nowhere", "link-to-open": "open"} {
		must(os.Symlink(to, at(name)))
	}
	for _, name := range []string{"stale", "live", "their-stale", "their-live"} {
		l, err := net.Listen("unix", at(name))
		must(err)
		l.(*net.UnixListener).SetUnlinkOnClose(false)
		if strings.HasSuffix(name, "stale") {
			l.Close()
		} else {
			t.Cleanup(func() { l.Close() })
		}
	}
	if os.Geteuid() == 0 {
		for _, name := range []string{"theirs", "their-stale", "their-live"} {
			must(os.Lchown(at(name), 33, 33))
		}
	}
	return dir
}

// inFolder lists what is in a folder, and what is the same file as before.
func inFolder(t *testing.T, dir string) string {
	t.Helper()
	var list strings.Builder
	err := filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil && path != dir {
			fmt.Fprintf(&list, "%s %v %+v\n", path, info.Mode(), inode(info))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return list.String()
}

func inode(info os.FileInfo) uint64 { return info.Sys().(*syscall.Stat_t).Ino }
