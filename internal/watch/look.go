package watch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Stamps are the states of files.
type Stamps map[string]stamp

// A stamp tells one state of a file from another. A file that was renamed to
// this place can have the size and time of the one before (cp -p, rsync -t),
// but not all of the rest.
type stamp struct {
	modified time.Time
	size     int64
	mode     fs.FileMode
	inode    uint64
	changed  int64 // when the kernel says that the inode did; 0 if we cannot know
}

// Look looks at the files at and below the paths. A path may be a symbolic link
// to a folder, as to a release; links in a folder to other folders are not
// followed, for they lead to what an application writes, or in circles. What
// begins with a dot in a folder is left out: editors and version control write
// there. So is what is not a file: the application makes sockets itself.
func (f *Files) Look() (Stamps, error) {
	l := looker{found: make(Stamps), except: f.excepted()}
	for _, path := range f.Paths {
		where, err := filepath.EvalSymlinks(path)
		if err == nil {
			err = l.look(path, where)
		}
		if err != nil {
			return nil, err
		}
	}
	return l.found, nil
}

// excepted returns where the files are that do not count.
func (f *Files) excepted() (paths []string) {
	for _, path := range append(standardFiles(), f.Except...) {
		if dir, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			paths = append(paths, filepath.Join(dir, filepath.Base(path)))
		}
	}
	return paths
}

// standardFiles returns the files that a shell has led our standard output and
// standard error to: the kernel knows their paths.
func standardFiles() (paths []string) {
	for _, fd := range []string{"1", "2"} {
		if path, err := os.Readlink("/proc/self/fd/" + fd); err == nil && filepath.IsAbs(path) {
			paths = append(paths, path)
		}
	}
	return paths
}

type looker struct {
	found  Stamps
	except []string
}

// look looks at the files at and below where, which is how path is spelt without
// links.
func (l *looker) look(path, where string) error {
	return filepath.WalkDir(where, func(at string, d fs.DirEntry, err error) error {
		switch {
		case errors.Is(err, fs.ErrNotExist) && at != where:
			return nil // it has just gone
		case err != nil:
			return err
		case at != where && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir() || l.isExcepted(at):
			return nil // what is in a folder counts
		}
		info, err := os.Stat(at)
		if err != nil || !info.Mode().IsRegular() {
			return nil // a link to nowhere, or it has just gone; or nothing to be read
		}
		inode, changed := inodeOf(info)
		l.found[at] = stamp{info.ModTime(), info.Size(), info.Mode(), inode, changed}
		if len(l.found) > most {
			return fmt.Errorf("there are more than %d files below %s: watch less", most, path)
		}
		return nil
	})
}

// isExcepted reports whether a file does not count, or was one that does not:
// logrotate adds a number or a date to its name.
func (l *looker) isExcepted(path string) bool {
	for _, e := range l.except {
		if rest, ok := strings.CutPrefix(path, e); ok && (rest == "" || rotated.MatchString(rest)) {
			return true
		}
	}
	return false
}

var rotated = regexp.MustCompile(`^[.-][0-9]`)
