package watch

import (
	"io/fs"
	"syscall"
)

// inodeOf returns the number of a file's inode, and when it changed: nobody can
// set that time.
func inodeOf(info fs.FileInfo) (number uint64, changed int64) {
	s := info.Sys().(*syscall.Stat_t)
	return s.Ino, s.Ctim.Nano()
}
