package listen

import (
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// give holds on to the file, so that what it has looked at is what it changes.
func (r Rights) give(path string) (fs.FileInfo, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !justBound(info, maker()) {
		return nil, ErrReplaced
	}
	if err := chmod(fd, r.Mode.Perm()); err != nil {
		return info, &fs.PathError{Op: "chmod", Path: path, Err: err}
	}
	if r.UID < 0 && r.GID < 0 {
		return info, nil
	}
	if err := unix.Fchownat(fd, "", r.UID, r.GID, unix.AT_EMPTY_PATH); err != nil {
		return info, &fs.PathError{Op: "chown", Path: path, Err: err}
	}
	return info, nil
}

// chmod changes the mode of what a descriptor names that cannot be read.
func chmod(fd int, mode fs.FileMode) error {
	if unix.Fchmodat(fd, "", uint32(mode), unix.AT_EMPTY_PATH) == nil {
		return nil
	}
	// Before Linux 6.6.
	return unix.Chmod(fmt.Sprintf("/proc/self/fd/%d", fd), uint32(mode))
}

// maker returns the user to whom the files belong that this thread makes.
func maker() int {
	if uid, err := unix.SetfsuidRetUid(-1); err == nil {
		return uid
	}
	return os.Geteuid()
}
