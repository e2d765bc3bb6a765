package dial

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// shorten names the folder of a path by a descriptor, which takes a dozen bytes
// however deep it lies.
func shorten(path string) (name string, done func(), err error) {
	dir, last := filepath.Split(path)
	f, err := os.OpenFile(dir+".", unix.O_PATH|syscall.O_DIRECTORY, 0)
	if err != nil {
		return "", nil, errors.Unwrap(err)
	}
	in := fmt.Sprintf("/proc/self/fd/%d/", f.Fd())
	if most := MaxPath - len(in); len(last) > most {
		f.Close()
		return "", nil, tooLong("the last part of the socket's path", len(last), most)
	}
	return in + last, func() { f.Close() }, nil
}
