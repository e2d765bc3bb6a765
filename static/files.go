package static

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Files are the files of one folder. The paths that its methods take are those
// of URLs, decoded: they start with "/", which is the folder itself. It is safe
// for concurrent use.
type Files struct {
	root *os.Root
	dir  string
}

// Reasons not to serve what is there. They come wrapped in an *fs.PathError,
// beside those of package fs and the operating system; Status reads them all.
var (
	ErrHidden     = errors.New("hidden: its name, or a folder's on the way, starts with a dot")
	ErrEscape     = errors.New("a symbolic link on the way leads out of the root, or is absolute")
	ErrNotRegular = errors.New("neither a regular file nor a folder")
	ErrFolder     = errors.New("a folder without an index")
	ErrMethod     = errors.New("a file is not changed by a request")
)

// Allow is what the Allow field says of a file, beside status 405.
const Allow = "GET, HEAD, OPTIONS"

// Open opens a folder. Close must be called when no request needs it any more.
func Open(dir string) (*Files, error) {
	abs, err := filepath.Abs(dir)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return nil, fmt.Errorf("static: open root: %w", err)
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("static: open root: %w", err)
	}
	return &Files{root: root, dir: abs}, nil
}

// Close gives the folder up. Files that are being sent are not affected.
func (f *Files) Close() error { return f.root.Close() }

// Dir returns the absolute path of the folder, as it was when it was opened,
// without symbolic links.
func (f *Files) Dir() string { return f.dir }

// Split walks path from the root to the first regular file on the way, and
// returns the path of that file and the rest, which starts with "/" if it is
// not empty: SCRIPT_NAME and PATH_INFO. Asking the file system is the one way
// to split a path that cannot be fooled: "/upload/x.jpg/a.php" is the file
// x.jpg, whatever the name behind it.
//
// If path leads to a folder, file is path, rest is empty, and info tells.
func (f *Files) Split(path string) (file, rest string, info fs.FileInfo, err error) {
	file = path
	info, err = f.stat(path)
	if errors.Is(err, syscall.ENOTDIR) {
		file, info, err = f.first(path)
	}
	if err != nil {
		return "", "", nil, f.failed(path, err)
	}
	if !info.IsDir() {
		file = strings.TrimSuffix(file, "/")
	}
	if err := servable(file, info.Mode()); err != nil {
		return "", "", nil, f.failed(path, err)
	}
	return file, path[len(file):], info, nil
}

// first looks at one name of path after the other, for a path with something
// on the way that is not a folder. It takes as many steps as the tree is deep,
// however long the path.
func (f *Files) first(path string) (file string, info fs.FileInfo, err error) {
	for i := 1; i < len(path); i++ {
		if path[i] != '/' {
			continue
		}
		if info, err = f.stat(path[:i]); err != nil || !info.IsDir() {
			return path[:i], info, err
		}
	}
	return "", nil, fs.ErrNotExist // it was there a moment ago
}

// stat follows symbolic links, inside the root. A "/" at the end of path means
// nothing to it.
func (f *Files) stat(path string) (fs.FileInfo, error) {
	return f.root.Stat(inRoot(strings.TrimRight(path, "/")))
}

// open opens a file or folder for reading. O_NONBLOCK: a FIFO without a
// writer would block.
func (f *Files) open(path string) (*os.File, fs.FileInfo, error) {
	file, err := f.root.OpenFile(inRoot(path), os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, f.failed(path, err)
	}
	info, err := file.Stat()
	if err == nil {
		err = servable(path, info.Mode())
	}
	if err != nil {
		file.Close()
		return nil, nil, f.failed(path, err)
	}
	return file, info, nil
}

// inRoot turns a URL path into a name for os.Root.
func inRoot(path string) string {
	if path = strings.TrimLeft(path, "/"); path == "" {
		return "."
	}
	return path
}

// servable says why a file that is there is not for clients.
func servable(path string, mode fs.FileMode) error {
	switch {
	case hidden(path):
		return ErrHidden
	case !mode.IsRegular() && !mode.IsDir():
		return ErrNotRegular
	}
	return nil
}

// hidden reports whether a name on the way starts with a dot. What lies under
// /.well-known/ is made to be found (RFC 8615).
func hidden(path string) bool {
	if rest, ok := strings.CutPrefix(path, "/.well-known"); ok && (rest == "" || rest[0] == '/') {
		path = rest
	}
	return strings.Contains(path, "/.")
}

// failed makes the error for a path: the client's, not one of this machine.
// os.Root has no name for its own refusal to leave the root; it is the error
// that does not come from the system.
func (f *Files) failed(path string, err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		err = at.Err
		if _, ok := errors.AsType[syscall.Errno](err); !ok && !errors.Is(err, fs.ErrClosed) {
			err = ErrEscape
		}
	}
	return &fs.PathError{Op: "static: find", Path: path, Err: err}
}

// Status returns what a client is told of an error: a status as for HTTP. What
// is hidden or leads out of the root looks as if it were not there.
func Status(err error) int {
	for _, e := range []error{fs.ErrNotExist, ErrHidden, ErrEscape, ErrNotRegular, syscall.ENOTDIR, syscall.ENAMETOOLONG, syscall.ELOOP, syscall.ENXIO} {
		if errors.Is(err, e) {
			return http.StatusNotFound
		}
	}
	switch {
	case errors.Is(err, ErrFolder), errors.Is(err, fs.ErrPermission):
		return http.StatusForbidden
	case errors.Is(err, ErrMethod):
		return http.StatusMethodNotAllowed
	}
	return http.StatusInternalServerError
}
