package process

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// privateDir makes the folder at path, open to us alone, or accepts the one
// that is there if nobody else can put, remove or replace anything in it, and
// returns its path without symbolic links. Its parent must exist. The error of
// a folder that is refused says why.
//
// Who can write to the folder of a socket, or to one above it, can put another
// in its place and be given the requests.
func privateDir(path string) (string, error) {
	if err := os.Mkdir(path, 0o700); err != nil && !os.IsExist(err) {
		return "", fmt.Errorf("make folder %s: %w", path, reason(err))
	}
	dir, err := trust{users: []int{0, os.Geteuid()}, alone: true}.resolve(path)
	if err != nil {
		return "", fmt.Errorf("folder %s cannot hold our sockets: %w", path, err)
	}
	return dir, nil
}

// CanHold reports whether a folder of sockets can be made in the folder at path:
// nobody else could put another one in its place.
func CanHold(path string) bool {
	_, err := trust{users: []int{0, os.Geteuid()}}.resolve(path)
	return err == nil && unix.Access(path, unix.W_OK|unix.X_OK) == nil
}

// A trust says who may put something else in the place of a folder, or of what
// is in it.
type trust struct {
	users []int // and root's group, and groups in which there is nobody else
	alone bool  // nobody else may put anything into it, not even where what is there is safe, as in /tmp
}

// resolve returns the folder at path without symbolic links, which others could
// replace, unless somebody who is not trusted could put something else in its
// place, or in that of what is in it: then the error is a *startError.
func (t trust) resolve(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	above := trust{users: t.users}
	at := "/"
	for links, rest := 0, path; rest != ""; {
		var name string
		name, rest, _ = strings.Cut(rest, "/")
		next := filepath.Join(at, name)
		if next == at {
			continue
		}
		if err := above.folder(at); err != nil {
			return "", err
		}
		target, err := above.link(next)
		switch {
		case err != nil:
			return "", err
		case target == "":
			at = next
			continue
		case filepath.IsAbs(target):
			at = "/"
		}
		if links++; links > maxLinks {
			return "", fmt.Errorf("%s: %w", next, syscall.ELOOP)
		}
		rest = target + "/" + rest
	}
	return at, t.folder(at)
}

// folder says why somebody else could replace what is in a folder.
func (t trust) folder(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("%s: %w", path, reason(err))
	}
	perm := info.Mode().Perm()
	who := ""
	switch group := groupOf(info); {
	case !info.IsDir():
		return &startError{path + " is not a folder", "choose another path"}
	case !t.has(userOf(info)):
		return &startError{fmt.Sprintf("%s belongs to user %d, who may put something else into it", path, userOf(info)), "choose another path"}
	case info.Mode()&fs.ModeSticky != 0 && !t.alone: // what is there can only be replaced by its owner
	case perm&0o002 != 0:
		who = "anybody"
	case perm&0o020 != 0 && (t.alone || !t.hasAll(group)):
		who = fmt.Sprintf("group %d", group)
	}
	if who == "" {
		return nil
	}
	how := "chmod +t " // then only what is one's own can be replaced
	if t.alone {
		how = "chmod go-w "
	}
	return &startError{fmt.Sprintf("%s may put something else into %s, for its mode is %04o", who, path, perm), how + path + ", or choose another path"}
}

// link returns where a symbolic link leads, "" if the file at path is none. One
// of somebody else's, as may be in /tmp, leads where that one likes.
func (t trust) link(path string) (target string, err error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, reason(err))
	}
	if info.Mode()&fs.ModeSymlink == 0 {
		return "", nil
	}
	if !t.has(userOf(info)) {
		return "", &startError{fmt.Sprintf("the link %s belongs to user %d, who may let it lead elsewhere", path, userOf(info)), "name the folder itself"}
	}
	return os.Readlink(path)
}

// has reports whether a user is trusted. Whoever our user namespace does not
// know is nobody in it: that is how root's folders of the system outside look.
func (t trust) has(uid int) bool {
	return slices.Contains(t.users, uid) || uid == overflowID && !mapsAll()
}

// hasAll reports whether all users in a group are trusted.
func (t trust) hasAll(gid int) bool {
	if gid == 0 || gid == overflowID && !mapsAll() {
		return true
	}
	groups, err := os.ReadFile("/etc/group")
	if err != nil {
		return false
	}
	users, err := os.ReadFile("/etc/passwd")
	return err == nil && onlyMembers(string(groups), string(users), gid, t.users)
}

// onlyMembers reports whether there is nobody but users in a group, as far as
// the texts of /etc/group and /etc/passwd tell: many systems give each user a
// group of the own, and new folders that this group may write to.
func onlyMembers(groups, users string, gid int, trusted []int) bool {
	in := make(map[string]bool)
	known := false
	id := fmt.Sprint(gid)
	for line := range strings.Lines(groups) { // name:password:gid:names
		if f := strings.Split(strings.TrimSpace(line), ":"); len(f) == 4 && f[2] == id {
			known = true
			for name := range strings.SplitSeq(f[3], ",") {
				in[name] = name != ""
			}
		}
	}
	ids := make(map[string]bool)
	for _, uid := range trusted {
		ids[fmt.Sprint(uid)] = true
	}
	for line := range strings.Lines(users) { // name:password:uid:gid: and more
		f := strings.Split(line, ":")
		if len(f) < 4 {
			continue
		}
		if ids[f[2]] {
			delete(in, f[0])
		} else if f[3] == id {
			return false
		}
	}
	delete(in, "")
	return known && len(in) == 0
}

// overflowID is the user, and the group, of files whose real one is not known
// in our user namespace (user_namespaces(7)).
const overflowID = 65534

// mapsAll reports whether our user namespace knows all users.
func mapsAll() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	return err != nil || completeMap(string(b))
}

// completeMap reports whether a uid_map has all of the 2^32-1 ids.
func completeMap(text string) bool {
	var n, total uint64
	for line := range strings.Lines(text) {
		if _, err := fmt.Sscan(line, new(uint64), new(uint64), &n); err == nil {
			total += n
		}
	}
	return total >= 1<<32-1
}

func userOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Uid) }

func groupOf(info fs.FileInfo) int { return int(info.Sys().(*syscall.Stat_t).Gid) }
