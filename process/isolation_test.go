package process

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// umask returns a pointer to a umask.
func umask(m os.FileMode) *os.FileMode { return &m }

// What the kernel would refuse is refused before, with what to do. Whether we
// are root is a matter of the table.
func TestPossible(t *testing.T) {
	if !canIsolate {
		t.Skip("nothing of this can be had here")
	}
	dir := t.TempDir()
	good, open := mkdir(t, dir+"/good", 0o755), mkdir(t, dir+"/open", 0o777)
	below := mkdir(t, open+"/below", 0o755)
	group := mkdir(t, dir+"/group", 0o775)
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	hard := map[string]uint64{"nofile": 4096, "core": Unlimited, "nproc": 100}
	root := powers{root: true, ids: true, limits: true, nice: true, hard: hard, mostFiles: 1 << 20, nicest: 20}
	user := powers{uid: 1000, gid: 1001, groups: []int{1002}, hard: hard, mostFiles: 1 << 20, niceness: 5, nicest: 20}
	nicer := user
	nicer.nicest = -5
	boxed := powers{ids: true, root: true, hard: hard} // root in a container
	limits := func(l ...Limit) Isolation { return Isolation{Limits: l} }
	tests := []struct {
		name   string
		powers powers
		iso    Isolation
		cred   *Credential
		want   string // "" is good; DIR is the folder
	}{
		{"nothing", user, Isolation{}, nil, ""},
		{"all, by root", root, Isolation{Chroot: good, Umask: umask(0o777), Nice: -20, NoNewPrivs: true, Limits: []Limit{{"nofile", 10, 1 << 20}}}, &Credential{UID: 7}, ""},
		{"what everybody may", user, Isolation{Umask: umask(0), Nice: 19, NoNewPrivs: true, Limits: []Limit{{"nofile", 4096, 4096}}}, nil, ""},

		{"chroot, by a user", user, Isolation{Chroot: good}, nil,
			"chroot DIR/good is not permitted: only root may: start us as root (or with CAP_SYS_CHROOT), or leave it out"},
		{"chroot, relative", root, Isolation{Chroot: "good"}, nil, "chroot good is not a whole path: begin it with /"},
		{"chroot, missing", root, Isolation{Chroot: dir + "/none"}, nil,
			"chroot DIR/none is not there: make the folder, with the application and all that it needs in it"},
		{"chroot, below a file", root, Isolation{Chroot: file + "/x"}, nil, "chroot DIR/file/x: not a directory: correct the path"},
		{"chroot, a file", root, Isolation{Chroot: file}, nil, "chroot DIR/file is not a folder: name the folder that the process shall see as /"},
		{"chroot, open", root, Isolation{Chroot: open}, nil, "chroot DIR/open: anybody may put something else into DIR/open, for its mode is 0777: chmod go-w DIR/open, or choose another path"},
		{"chroot, open to the group", root, Isolation{Chroot: group}, nil, "chroot DIR/group: group " + strconv.Itoa(os.Getegid()) + " may put something else into DIR/group, for its mode is 0775: chmod go-w DIR/group, or choose another path"},
		{"chroot, may be replaced", root, Isolation{Chroot: below}, nil,
			"chroot DIR/open/below: anybody may put something else into DIR/open, for its mode is 0777: chmod +t DIR/open, or choose another path"},

		{"umask, not permissions", root, Isolation{Umask: umask(0o1000)}, nil, "umask 01000: want 0 to 0777"},

		{"nice, too low", root, Isolation{Nice: -21}, nil, "nice -21: want -20, the highest priority, to 19, the lowest"},
		{"nice, too high", root, Isolation{Nice: 20}, nil, "nice 20: want -20, the highest priority, to 19, the lowest"},
		{"nice, as ours", user, Isolation{Nice: 5}, nil, ""},
		{"nice, below ours", user, Isolation{Nice: 4}, nil,
			"nice 4 is not permitted: ours is 5: only root may go below (or CAP_SYS_NICE): start us as root, or choose 5 to 19"},
		{"nice, as everybody may", nicer, Isolation{Nice: -5}, nil, ""},
		{"nice, below that", nicer, Isolation{Nice: -6}, nil,
			"nice -6 is not permitted: ours is 5: only root may go below (or CAP_SYS_NICE): start us as root, or choose -5 to 19"},

		{"limit, unknown", root, limits(Limit{"files", 1, 1}), nil, `there is no limit "files": want one of core, nofile, nproc`},
		{"limit, upside down", root, limits(Limit{"nproc", 11, 10}), nil,
			"limit nproc=11:10: the soft one is above the hard one: lower the first, or raise the second"},
		{"limit, no soft one", root, limits(Limit{"nproc", Unlimited, 10}), nil,
			"limit nproc=unlimited:10: the soft one is above the hard one: lower the first, or raise the second"},
		{"limit, twice", root, limits(Limit{"nproc", 1, 1}, Limit{"core", 0, 0}, Limit{"nproc", 1, 1}), nil, "limit nproc is given twice: leave one out"},
		{"limit, ours", user, limits(Limit{"nofile", 1, 4096}, Limit{"core", 0, Unlimited}), nil, ""},
		{"limit, above ours", user, limits(Limit{"nofile", 1, 4097}), nil,
			"limit nofile=1:4097: our own hard limit is 4096: only root may go above (or CAP_SYS_RESOURCE): start us as root, or lower it"},
		{"limit, above ours, by root", root, limits(Limit{"nofile", 1, 4097}), nil, ""},
		{"limit, the most files", root, limits(Limit{"nofile", 1, 1 << 20}), nil, ""},
		{"limit, more files", root, limits(Limit{"nofile", 1, 1<<20 + 1}), nil,
			"limit nofile=1:1048577: no process may have more than 1048576 files: lower it, or raise sysctl fs.nr_open"},
		{"limit, unlimited files", root, limits(Limit{"nofile", Unlimited, Unlimited}), nil,
			"limit nofile=unlimited:unlimited: no process may have more than 1048576 files: lower it, or raise sysctl fs.nr_open"},
		{"limit of another user's, in a container", boxed, limits(Limit{"core", 0, 0}), &Credential{UID: 7}, ""},
		{"limit, above ours, in a container", boxed, limits(Limit{"nproc", 1, 101}), &Credential{UID: 7},
			"limit nproc=1:101: our own hard limit is 100: only root may go above (or CAP_SYS_RESOURCE): start us as root, or lower it"},

		{"as ourselves", user, Isolation{}, &Credential{UID: 1000, GID: 1001, Groups: []uint32{1001, 1002}}, ""},
		{"as another user", user, Isolation{}, &Credential{UID: 1003, GID: 1001},
			"it shall run as user 1003 and group 1001, and we are user 1000 and group 1001: only root may choose: start us as root, or leave its user out"},
		{"as another group", user, Isolation{}, &Credential{UID: 1000, GID: 1002},
			"it shall run as user 1000 and group 1002, and we are user 1000 and group 1001: only root may choose: start us as root, or leave its user out"},
		{"in another group", user, Isolation{}, &Credential{UID: 1000, GID: 1001, Groups: []uint32{1003}},
			"it shall be in group 1003, and we are not: only root may choose: start us as root, or leave that out"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := Spec{Isolation: tt.iso, Credential: tt.cred}
			got := ""
			if err := s.possible(tt.powers); err != nil {
				got = strings.ReplaceAll(err.Error(), dir, "DIR")
			}
			if got != tt.want {
				t.Errorf("possible = %q, want %q", got, tt.want)
			}
		})
	}
}
