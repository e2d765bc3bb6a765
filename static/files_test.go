package static

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestSplit(t *testing.T) {
	f := tree(t)
	tests := []struct {
		name, path string
		file, rest string
		folder     bool
		err        error
	}{
		{"file", "/a.txt", "/a.txt", "", false, nil},
		{"file and a slash", "/a.txt/", "/a.txt", "/", false, nil},
		{"file and more", "/blog/index.php/2024/may", "/blog/index.php", "/2024/may", false, nil},
		{"first file wins", "/upload/x.jpg/a.php", "/upload/x.jpg", "/a.php", false, nil},
		{"dots behind the file are its own", "/blog/index.php/dav/.git/x", "/blog/index.php", "/dav/.git/x", false, nil},
		{"root", "/", "/", "", true, nil},
		{"folder", "/docs/", "/docs/", "", true, nil},
		{"folder without slash", "/docs", "/docs", "", true, nil},
		{"folder named like a script", "/dir.php/readme.txt", "/dir.php/readme.txt", "", false, nil},
		{"space", "/docs/a b.txt", "/docs/a b.txt", "", false, nil},
		{"not UTF-8", "/\xff\xfe.txt", "/\xff\xfe.txt", "", false, nil},
		{"link", "/in.txt", "/in.txt", "", false, nil},
		{"link with a rest", "/in.txt/x", "/in.txt", "/x", false, nil},
		{"link to a folder", "/in-dir/er/file.txt", "/in-dir/er/file.txt", "", false, nil},
		{"link up and down inside", "/in-up.txt", "/in-up.txt", "", false, nil},
		{"well-known", "/.well-known/security.txt", "/.well-known/security.txt", "", false, nil},
		{"well-known itself", "/.well-known", "/.well-known", "", true, nil},

		{"nothing", "/nothing", "", "", false, fs.ErrNotExist},
		{"nothing in a folder", "/docs/nothing/x.php", "", "", false, fs.ErrNotExist},
		{"case counts", "/A.TXT", "", "", false, fs.ErrNotExist},
		{"link out", "/out.txt", "", "", false, ErrEscape},
		{"link out with a rest", "/out.txt/x", "", "", false, ErrEscape},
		{"absolute link out", "/out-abs.txt", "", "", false, ErrEscape},
		{"link to the folder above", "/out-dir/secret.txt", "", "", false, ErrEscape},
		{"link to a device", "/zero", "", "", false, ErrEscape},
		{"dots out", "/../secret.txt", "", "", false, ErrEscape},
		{"dots out from below", "/docs/../../secret.txt", "", "", false, ErrEscape},
		{"loop", "/loop-a", "", "", false, syscall.ELOOP},
		{"dangling link", "/dangling.txt", "", "", false, fs.ErrNotExist},
		{"hidden file", "/.env", "", "", false, ErrHidden},
		{"hidden file with a rest", "/.env/x", "", "", false, ErrHidden},
		{"in a hidden folder", "/.git/config", "", "", false, ErrHidden},
		{"hidden folder", "/.git/", "", "", false, ErrHidden},
		{"hidden further down", "/docs/.htaccess", "", "", false, ErrHidden},
		{"hidden in well-known", "/.well-known/.hidden", "", "", false, ErrHidden},
		{"nearly well-known", "/.well-known-not/a.txt", "", "", false, ErrHidden},
		{"well-known further down", "/docs/.well-known/a.txt", "", "", false, ErrHidden},
		{"fifo", "/fifo", "", "", false, ErrNotRegular},
		{"fifo with a rest", "/fifo/x", "", "", false, ErrNotRegular},
		{"long name", "/" + strings.Repeat("x", 300), "", "", false, syscall.ENAMETOOLONG},
		{"long rest", "/a.txt" + strings.Repeat("/x", 5000), "/a.txt", strings.Repeat("/x", 5000), false, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			file, rest, info, err := f.Split(tt.path)
			if !errors.Is(err, tt.err) {
				t.Fatalf("Split(%.80q): %v, want %v", tt.path, err, tt.err)
			}
			if file != tt.file || rest != tt.rest || info != nil && info.IsDir() != tt.folder {
				t.Errorf("Split(%.80q) = %q, %.80q, folder %v; want %q, %.80q, folder %v",
					tt.path, file, rest, info != nil && info.IsDir(), tt.file, tt.rest, tt.folder)
			}
			if err != nil && !strings.HasPrefix(err.Error(), "static: find /") {
				t.Errorf("text of the error %q", err)
			}
		})
	}
}

func TestStatus(t *testing.T) {
	tests := []struct {
		name string
		err  error
		want int
	}{
		{"not there", fs.ErrNotExist, 404},
		{"file as a folder", syscall.ENOTDIR, 404},
		{"name too long", syscall.ENAMETOOLONG, 404},
		{"loop of links", syscall.ELOOP, 404},
		{"socket opened", syscall.ENXIO, 404},
		{"hidden", ErrHidden, 404},
		{"out of the root", ErrEscape, 404},
		{"fifo", ErrNotRegular, 404},
		{"folder", ErrFolder, 403},
		{"not readable", syscall.EACCES, 403},
		{"method", ErrMethod, 405},
		{"out of descriptors", syscall.EMFILE, 500},
		{"disk", syscall.EIO, 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Status(&fs.PathError{Op: "x", Path: "/x", Err: tt.err}); got != tt.want {
				t.Errorf("Status(%v) = %d, want %d", tt.err, got, tt.want)
			}
		})
	}
}

func TestOpenRoot(t *testing.T) {
	top := t.TempDir()
	write(t, filepath.Join(top, "release-2/a.txt"), "a")
	if err := os.Symlink("release-2", filepath.Join(top, "current")); err != nil {
		t.Fatal(err)
	}
	f, err := Open(filepath.Join(top, "current"))
	if err != nil {
		t.Fatal(err)
	}
	real, err := filepath.EvalSymlinks(filepath.Join(top, "release-2"))
	if err != nil {
		t.Fatal(err)
	}
	if f.Dir() != real {
		t.Errorf("Dir() = %q, want %q", f.Dir(), real)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if _, _, _, err := f.Split("/a.txt"); Status(err) != 500 {
		t.Errorf("Split after Close: %v, want an error with status 500", err)
	}
	for _, dir := range []string{filepath.Join(top, "nothing"), filepath.Join(top, "release-2/a.txt")} {
		if f, err := Open(dir); err == nil {
			f.Close()
			t.Errorf("Open(%q) succeeded, want an error", dir)
		} else if !strings.HasPrefix(err.Error(), "static: open root: ") {
			t.Errorf("Open(%q): text of the error %q", dir, err)
		}
	}
}

// A socket cannot even be opened.
func TestSocket(t *testing.T) {
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", filepath.Join(dir, "app.sock"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, _, _, err := f.Split("/app.sock"); !errors.Is(err, ErrNotRegular) {
		t.Errorf("Split of a socket: %v, want ErrNotRegular", err)
	}
	if _, _, err := f.open("/app.sock"); Status(err) != 404 {
		t.Errorf("open of a socket: %v, want an error with status 404", err)
	}
}
