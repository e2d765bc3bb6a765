package process

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const stranger = 12345

// chown gives a file away, or a link.
func chown(t *testing.T, path string, uid, gid int) string {
	t.Helper()
	needRoot(t)
	if err := os.Lchown(path, uid, gid); err != nil {
		t.Fatal(err)
	}
	return path
}

// symlink makes a link.
func symlink(t *testing.T, target, path string) string {
	t.Helper()
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// A folder is good, with or without symbolic links on the way, if nobody but
// those who are trusted can put anything in its place, or in that of what is in
// it.
func TestTrust(t *testing.T) {
	us := os.Geteuid()
	const sticky = os.ModeSticky
	tests := []struct {
		name  string
		trust trust
		setup func(t *testing.T, dir string) (path string)
		want  string // the path, or what is wrong with it; DIR is the folder of the test
	}{
		{"ours", trust{}, func(t *testing.T, dir string) string { return mkdir(t, dir+"/a", 0o755) }, "DIR/a"},
		{"ours, through a link", trust{}, func(t *testing.T, dir string) string {
			mkdir(t, mkdir(t, dir+"/a", 0o755)+"/b", 0o755)
			return symlink(t, "a", dir+"/link") + "/b"
		}, "DIR/a/b"},
		{"links with dots and slashes", trust{}, func(t *testing.T, dir string) string {
			mkdir(t, mkdir(t, dir+"/a", 0o755)+"/b", 0o755)
			symlink(t, ".././/"+filepath.Base(dir)+"/a", dir+"/one")
			return symlink(t, dir+"/one/../a/b/", dir+"/two") + "/"
		}, "DIR/a/b"},
		{"links in a circle", trust{}, func(t *testing.T, dir string) string {
			symlink(t, "two", dir+"/one")
			return symlink(t, "one", dir+"/two")
		}, "DIR/two: too many levels of symbolic links"},
		{"not there", trust{}, func(_ *testing.T, dir string) string { return dir + "/a" }, "DIR/a: no such file or directory"},
		{"below a file", trust{}, func(t *testing.T, dir string) string {
			if err := os.WriteFile(dir+"/f", nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return dir + "/f/a"
		}, "DIR/f is not a folder: choose another path"},

		{"sticky", trust{}, func(t *testing.T, dir string) string { return mkdir(t, dir+"/a", 0o777|sticky) }, "DIR/a"},
		{"sticky, not alone", trust{alone: true}, func(t *testing.T, dir string) string { return mkdir(t, dir+"/a", 0o777|sticky) },
			"anybody may put something else into DIR/a, for its mode is 0777: chmod go-w DIR/a, or choose another path"},
		{"below a sticky one, alone", trust{alone: true}, func(t *testing.T, dir string) string {
			return mkdir(t, mkdir(t, dir+"/a", 0o777|sticky)+"/b", 0o700)
		}, "DIR/a/b"},
		{"open", trust{}, func(t *testing.T, dir string) string { return mkdir(t, dir+"/a", 0o777) },
			"anybody may put something else into DIR/a, for its mode is 0777: chmod +t DIR/a, or choose another path"},
		{"below an open one", trust{}, func(t *testing.T, dir string) string { return mkdir(t, mkdir(t, dir+"/a", 0o777)+"/b", 0o755) },
			"anybody may put something else into DIR/a, for its mode is 0777: chmod +t DIR/a, or choose another path"},

		{"another's", trust{}, func(t *testing.T, dir string) string { return chown(t, mkdir(t, dir+"/a", 0o755), stranger, 0) },
			"DIR/a belongs to user 12345, who may put something else into it: choose another path"},
		{"another's sticky one", trust{}, func(t *testing.T, dir string) string {
			return chown(t, mkdir(t, dir+"/a", 0o777|sticky), stranger, 0)
		}, "DIR/a belongs to user 12345, who may put something else into it: choose another path"},
		{"below another's", trust{}, func(t *testing.T, dir string) string {
			mkdir(t, mkdir(t, dir+"/a", 0o755)+"/b", 0o755)
			return chown(t, dir+"/a", stranger, 0) + "/b"
		}, "DIR/a belongs to user 12345, who may put something else into it: choose another path"},
		{"the application's", trust{users: []int{stranger}}, func(t *testing.T, dir string) string {
			mkdir(t, mkdir(t, dir+"/a", 0o755)+"/b", 0o755)
			chown(t, dir+"/a/b", stranger, 0)
			return chown(t, dir+"/a", stranger, 0) + "/b"
		}, "DIR/a/b"},
		{"another's link", trust{}, func(t *testing.T, dir string) string {
			mkdir(t, mkdir(t, dir+"/a", 0o755)+"/b", 0o755)
			return chown(t, symlink(t, dir+"/a", mkdir(t, dir+"/tmp", 0o777|sticky)+"/link"), stranger, 0) + "/b"
		}, "the link DIR/tmp/link belongs to user 12345, who may let it lead elsewhere: name the folder itself"},
		{"another's link behind ours", trust{}, func(t *testing.T, dir string) string {
			chown(t, symlink(t, "/", mkdir(t, dir+"/tmp", 0o777|sticky)+"/link"), stranger, 0)
			return symlink(t, "tmp/link", dir+"/mine")
		}, "the link DIR/tmp/link belongs to user 12345, who may let it lead elsewhere: name the folder itself"},

		{"root's group", trust{}, func(t *testing.T, dir string) string { return chown(t, mkdir(t, dir+"/a", 0o775), us, 0) }, "DIR/a"},
		{"root's group, alone", trust{alone: true}, func(t *testing.T, dir string) string { return chown(t, mkdir(t, dir+"/a", 0o775), us, 0) },
			"group 0 may put something else into DIR/a, for its mode is 0775: chmod go-w DIR/a, or choose another path"},
		{"another group", trust{}, func(t *testing.T, dir string) string { return chown(t, mkdir(t, dir+"/a", 0o775), us, stranger) },
			"group 12345 may put something else into DIR/a, for its mode is 0775: chmod +t DIR/a, or choose another path"},
		{"another group, sticky", trust{}, func(t *testing.T, dir string) string {
			return chown(t, mkdir(t, dir+"/a", 0o775|sticky), us, stranger)
		}, "DIR/a"},
		{"below one of another group", trust{}, func(t *testing.T, dir string) string {
			mkdir(t, mkdir(t, dir+"/a", 0o775)+"/b", 0o755)
			return chown(t, dir+"/a", us, stranger) + "/b"
		}, "group 12345 may put something else into DIR/a, for its mode is 0775: chmod +t DIR/a, or choose another path"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := shortDir(t)
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			tt.trust.users = append(tt.trust.users, 0, us)
			got, err := tt.trust.resolve(tt.setup(t, dir))
			if err != nil {
				got = err.Error()
			}
			if got = strings.ReplaceAll(got, dir, "DIR"); got != tt.want {
				t.Errorf("resolve = %s, want %s", got, tt.want)
			}
		})
	}
}

// The folders of common systems are good.
func TestTrustCommonFolders(t *testing.T) {
	for path, want := range map[string]string{"/": "/", "/run": "/run", "/var/run": "/run", "/tmp": "/tmp", "/var/tmp": "/var/tmp"} {
		if resolved, err := filepath.EvalSymlinks(path); err != nil || resolved != want {
			continue // this one has it otherwise
		}
		if got, err := (trust{users: []int{0, os.Geteuid()}}).resolve(path); err != nil || got != want {
			t.Errorf("resolve(%s) = %s, %v, want %s", path, got, err, want)
		}
	}
}

// A socket is bound where it was looked, not where a link leads later.
func TestBindsResolved(t *testing.T) {
	dir := shortDir(t)
	mkdir(t, dir+"/a", 0o755)
	symlink(t, "a", dir+"/link")
	s := openSocket(t, Socket{Address: dir + "/link/s", UID: -1, GID: -1}, nil)
	private, err := privateSockets(dir+"/link", "app", []int{0}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer private[0].close()
	if s.path != dir+"/a/s" || private[0].path != dir+"/a/app-0.sock" {
		t.Errorf("they are %s and %s, want them in %s/a", s.path, private[0].path, dir)
	}
}

func TestOnlyMembers(t *testing.T) {
	const (
		groups = "root:x:0:\nalice:x:1000:\nstaff:x:50:alice,bob\nmine:x:51:alice\nours:x:52:alice,www\nlost:x:53:nobodyatall\nbroken\n"
		users  = "root:x:0:0::/:/bin/sh\nalice:x:1000:1000::/:/bin/sh\nbob:x:1001:1001::/:/bin/sh\nwww:x:33:33::/:\ncarol:x:1002:54::/:\n"
	)
	for _, tt := range []struct {
		name    string
		gid     int
		trusted []int
		want    bool
	}{
		{"of one's own", 1000, []int{0, 1000}, true},
		{"of another's own", 1000, []int{0, 1001}, false},
		{"one member", 51, []int{1000}, true},
		{"two members", 50, []int{1000}, false},
		{"two members, both trusted", 52, []int{1000, 33}, true},
		{"a member who is not known", 53, []int{1000}, false},
		{"somebody's main group", 54, []int{1000}, false},
		{"not known", 99, []int{1000}, false},
	} {
		if got := onlyMembers(groups, users, tt.gid, tt.trusted); got != tt.want {
			t.Errorf("%s: onlyMembers(%d, %v) = %v, want %v", tt.name, tt.gid, tt.trusted, got, tt.want)
		}
	}
}

func TestCompleteMap(t *testing.T) {
	for text, want := range map[string]bool{
		"         0          0 4294967295\n":                 true,
		"0 1000 1\n1 100000 65536\n":                         false,
		"0 0 1\n":                                            false,
		"0 0 65535\n65535 65535 1\n65536 65536 4294901759\n": true,
		"": false,
	} {
		if got := completeMap(text); got != want {
			t.Errorf("completeMap(%q) = %v, want %v", text, got, want)
		}
	}
}

func init() {
	moreParts["namespace"] = func() error { // root of a user namespace that knows nobody else
		_, err := privateDir(os.Getenv("FOLDER"))
		return err
	}
}

// In a user namespace root's folders look as though they were nobody's.
func TestTrustInUserNamespace(t *testing.T) {
	needRoot(t)
	dir := chown(t, shortDir(t), stranger, stranger)
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe")
	cmd.Env = append(os.Environ(), childMode+"=namespace", "FOLDER="+dir+"/run", "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{HostID: stranger, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{HostID: stranger, Size: 1}},
		Credential:  &syscall.Credential{},
	}
	if err := cmd.Start(); err != nil {
		t.Skip("no user namespace can be made here: ", err)
	}
	if err := cmd.Wait(); err != nil {
		t.Error(err)
	}
}
