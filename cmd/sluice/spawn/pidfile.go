package spawn

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"syscall"
)

// A pidFile is the file of -P. It is opened early, so that a supervisor which
// cannot write it never starts anything, and written late, so that the PID of
// one that runs is not lost to one that fails.
type pidFile struct {
	path    string
	file    *os.File
	made    bool // it was not there
	written bool
}

// openPIDFile opens the file at path. A nil pidFile stands for no path.
func openPIDFile(path string) (*pidFile, error) {
	if path == "" {
		return nil, nil
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err == nil {
		return &pidFile{path: path, file: f, made: true}, nil
	}
	if !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("opening PID-file '%s' failed: %s", path, errnoText(err))
	}
	// A symbolic link, in a folder that others may write to, could lead
	// anywhere; a pipe would block.
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		return nil, fmt.Errorf("PID-file exists and isn't regular file: '%s'", path)
	}
	if f, err = os.OpenFile(path, os.O_WRONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0); err != nil {
		return nil, fmt.Errorf("opening PID-file '%s' failed: %s", path, errnoText(err))
	}
	return &pidFile{path: path, file: f}, nil
}

// write writes the number of a process, as spawn-fcgi does: without the end of
// a line.
func (p *pidFile) write(pid int) error {
	if p == nil {
		return nil
	}
	p.written = true
	text := strconv.Itoa(pid)
	_, err := p.file.WriteAt([]byte(text), 0)
	if err == nil {
		err = p.file.Truncate(int64(len(text)))
	}
	if err != nil {
		return fmt.Errorf("writing PID-file '%s' failed: %s", p.path, errnoText(err))
	}
	return nil
}

// close removes the file if it is ours: made by us, or with our number in it,
// and not replaced.
func (p *pidFile) close() {
	if p == nil {
		return
	}
	defer p.file.Close()
	ours, err := p.file.Stat()
	if err != nil || !p.made && !p.written {
		return
	}
	if there, err := os.Lstat(p.path); err == nil && os.SameFile(ours, there) {
		os.Remove(p.path)
	}
}
