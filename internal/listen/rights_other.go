//go:build !linux

package listen

import (
	"io/fs"
	"os"
)

// give can only look first here.
func (r Rights) give(path string) (fs.FileInfo, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !justBound(info, os.Geteuid()) {
		return nil, ErrReplaced
	}
	if err := os.Chmod(path, r.Mode.Perm()); err != nil {
		return info, err
	}
	if r.UID < 0 && r.GID < 0 {
		return info, nil
	}
	return info, os.Lchown(path, r.UID, r.GID)
}
