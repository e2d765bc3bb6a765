package process

import (
	"os"
	"path/filepath"
	"strings"
)

// dir returns where the process starts, "" for our own folder. A process with
// a chroot must not start outside of it, or it could leave it by "..".
func (s *Spec) dir() string {
	if s.Isolation.Chroot == "" {
		return s.Dir
	}
	return filepath.Join("/", s.Dir)
}

// outside returns our path of the file that the process sees at path.
func (s *Spec) outside(path string) string {
	if s.Isolation.Chroot == "" {
		return path
	}
	return within(s.Isolation.Chroot, path)
}

// inChroot ends a sentence about a path that is not one of ours.
func (s *Spec) inChroot() string {
	if s.Isolation.Chroot == "" {
		return ""
	}
	return " in chroot " + s.Isolation.Chroot
}

// maxLinks is how many symbolic links the kernel follows.
const maxLinks = 40

// within returns the path outside of root of what a process with that root
// finds at path, with all symbolic links followed as it would follow them: an
// absolute one begins at root, and ".." ends there. What is missing is left as
// it is.
func within(root, path string) string {
	at := "/"
	for links := 0; path != ""; {
		var name string
		name, path, _ = strings.Cut(path, "/")
		at = filepath.Join(at, name)
		target, err := os.Readlink(filepath.Join(root, at))
		if err != nil {
			continue
		}
		if links++; links > maxLinks {
			break
		}
		if at = filepath.Dir(at); filepath.IsAbs(target) {
			at = "/"
		}
		path = target + "/" + path
	}
	return filepath.Join(root, at)
}
