package spill

import (
	"os"

	"golang.org/x/sys/unix"
)

// unnamed makes a file in dir that never has a name, and can get none; or, on
// a file system that cannot (NFS, some of FUSE), one that loses it at once.
func unnamed(dir string) (*os.File, error) {
	// The error may be EOPNOTSUPP, EISDIR or, on a bad file system, another;
	// if it is no matter of O_TMPFILE, it comes again.
	if f, err := os.OpenFile(dir, os.O_RDWR|os.O_EXCL|unix.O_TMPFILE, 0o600); err == nil {
		return f, nil
	}
	return named(dir)
}

// punch gives a part of f back to the file system; what is behind it stays
// where it is.
func punch(f *os.File, from, n int64) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, from, n)
}
