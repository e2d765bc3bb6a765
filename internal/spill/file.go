package spill

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// An Error reports that the file of a Queue could not be used.
type Error struct {
	Op  string // "create", "write" or "read"
	Dir string // where the file is
	Err error  // why, for example syscall.ENOSPC
}

func (e *Error) Error() string {
	return "spill: " + e.Op + " a file in " + e.Dir + ": " + e.Err.Error()
}

func (e *Error) Unwrap() error { return e.Err }

// newError makes an Error. The text of err would repeat what it says itself.
func newError(op string, s *Store, err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		err = p.Err
	}
	return &Error{Op: op, Dir: s.dir(), Err: err}
}

// A file is the part of a queue that is on disk; there is none until something
// is written. What has been read is given back: all of the file when its reader
// has caught up, else its beginning, which becomes a hole. The quota counts
// what is really there, so that it holds where holes cannot be made, too; a
// reader that never catches up then runs into it some day.
type file struct {
	f       *os.File
	hole    int64 // where the hole ends, a multiple of punchStep
	at      int64 // what is before has been read
	end     int64
	granted int64 // bytes that the store counts
}

func (f *file) len() int64 { return f.end - f.at }

// write adds p, all of it or nothing.
func (f *file) write(s *Store, p []byte) error {
	end := f.end + int64(len(p))
	more := max(pages(end)-f.hole-f.granted, 0)
	if !reserve(&s.files, more, s.maxFiles()) {
		return fmt.Errorf("%w: all files together may take %d bytes", ErrFull, s.maxFiles())
	}
	f.granted += more
	if f.f == nil {
		var err error
		if f.f, err = unnamed(s.dir()); err != nil {
			f.settle(s)
			return newError("create", s, err)
		}
	}
	if _, err := f.f.WriteAt(p, f.end); err != nil {
		// A part of p may be there. It stays counted unless it goes.
		if f.f.Truncate(f.end) == nil {
			f.settle(s)
		}
		return newError("write", s, err)
	}
	f.end = end
	return nil
}

// read takes as much as there is and fits into b: all of that or nothing.
func (f *file) read(s *Store, b []byte) (int, error) {
	b = b[:min(int64(len(b)), f.len())]
	if _, err := f.f.ReadAt(b, f.at); err == io.EOF {
		return 0, newError("read", s, io.ErrUnexpectedEOF)
	} else if err != nil {
		return 0, newError("read", s, err)
	}
	f.at += int64(len(b))
	f.reclaim(s)
	return len(b), nil
}

// reclaim gives back what has been read. What cannot be given back stays
// counted, until it can or the file is closed.
func (f *file) reclaim(s *Store) {
	switch hole := f.at &^ (punchStep - 1); {
	case f.at == f.end && f.f.Truncate(0) == nil:
		f.hole, f.at, f.end = 0, 0, 0
	case hole > f.hole && punch(f.f, f.hole, hole-f.hole) == nil:
		f.hole = hole
	}
	f.settle(s)
}

// settle makes the store count what the file takes, and no more.
func (f *file) settle(s *Store) {
	takes := pages(f.end) - f.hole
	s.files.Add(takes - f.granted)
	f.granted = takes
}

func (f *file) close(s *Store) {
	if f.f != nil {
		f.f.Close() // nothing of it is wanted any more
	}
	s.files.Add(-f.granted)
	*f = file{}
}

// pages returns n, rounded up to whole pages.
func pages(n int64) int64 { return (n + page - 1) &^ (page - 1) }

// named makes a file in dir and takes its name away.
func named(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "sluice-spill-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
