package listen

import (
	"errors"
	"io/fs"
	"syscall"
)

// Rights are what the file of a unix socket shall have.
type Rights struct {
	Mode     fs.FileMode
	UID, GID int // -1: as it is made
}

// ErrReplaced is the error of a socket in whose place there is something else
// by the time that it gets its rights.
var ErrReplaced = errors.New("somebody has put something else in its place: choose a folder that nobody else can write to")

// Give gives the socket that we have just bound at path its rights, and returns
// what it is, also with an error if it is that. Its folder may belong to somebody
// else, who can put a link there at any time: nothing but a socket of ours,
// under this name alone, gets anything.
func (r Rights) Give(path string) (fs.FileInfo, error) { return r.give(path) }

// justBound reports whether a file can be a socket that user uid has just
// bound. One with a second name may be anywhere else.
func justBound(info fs.FileInfo, uid int) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && info.Mode().Type() == fs.ModeSocket && int(st.Uid) == uid && st.Nlink == 1
}
