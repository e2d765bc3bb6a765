package process

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// privateDir makes the folder at path, open to us alone, or accepts the one
// that is there if nobody else can put, remove or replace anything in it. Its
// parent must exist. The error of a folder that is refused says why.
//
// Who can write to the folder of a socket can put another in its place and be
// given the requests.
func privateDir(path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("folder %s: %w", path, err)
	}
	if err := os.Mkdir(path, 0o700); err != nil && !os.IsExist(err) {
		return fmt.Errorf("make folder %s: %w", path, reason(err))
	}
	info, err := os.Lstat(path)
	if err != nil {
		return fmt.Errorf("folder %s: %w", path, reason(err))
	}
	if why := notPrivate(info, os.Geteuid()); why != "" {
		return fmt.Errorf("folder %s cannot hold our sockets: %s", path, why)
	}
	if err := irreplaceable(path); err != nil {
		return fmt.Errorf("folder %s cannot hold our sockets: %w", path, err)
	}
	return nil
}

// irreplaceable reports whether anybody could put something else in the place
// of the file at path, for who can write to a folder can rename what is in it.
func irreplaceable(path string) error {
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return reason(err)
	}
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Lstat(dir)
		if err != nil {
			return reason(err)
		}
		if info.Mode()&0o002 != 0 && info.Mode()&fs.ModeSticky == 0 {
			return fmt.Errorf("anybody may replace it, for %s has mode %04o and is not sticky: chmod o-w %s", dir, info.Mode().Perm(), dir)
		}
		if dir == filepath.Dir(dir) {
			return nil
		}
	}
}

// notPrivate says why a folder is not private to uid, "" if it is.
func notPrivate(info fs.FileInfo, uid int) string {
	switch {
	case info.Mode()&fs.ModeSymlink != 0:
		return "it is a symbolic link: name the folder itself"
	case !info.IsDir():
		return "it is not a folder: remove it, or choose another path"
	}
	if owner := userOf(info); owner != uid {
		return fmt.Sprintf("it belongs to user %d, and we are %d: remove it, or choose another path", owner, uid)
	}
	if perm := info.Mode().Perm(); perm&0o022 != 0 {
		return fmt.Sprintf("others may write to it (mode %04o): chmod 0700 it, or choose another path", perm)
	}
	return ""
}
