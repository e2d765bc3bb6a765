package spawn

import (
	"cmp"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/sluice-gateway/sluice/cmd/sluice/outcome"
)

// planPaths makes paths whole: the supervisor works in / later.
func (f *flags) planPaths(p *plan) error {
	here, err := os.Getwd()
	if err != nil {
		return outcome.Fail(err)
	}
	whole := func(path string) string {
		if path == "" || filepath.IsAbs(path) {
			return path
		}
		return filepath.Join(here, path)
	}
	if p.background { // as spawn-fcgi does
		p.pidFile = whole(f.pidFile)
	}
	p.logFile = whole(f.logFile)
	for _, path := range f.watch {
		p.watch = append(p.watch, whole(path))
	}
	p.chroot = whole(f.chroot)
	if p.chroot == "" {
		p.dir = cmp.Or(whole(f.dir), here)
		return checkFolder("chdir", f.dir, p.dir, os.Stat)
	}
	p.dir = filepath.Join("/", f.dir)
	if err := checkFolder("chroot", p.chroot, p.chroot, os.Stat); err != nil {
		return err
	}
	root, err := os.OpenRoot(p.chroot)
	if err != nil {
		return outcome.Fail(err)
	}
	defer root.Close()
	return checkFolder("chdir", f.dir, filepath.Join(".", p.dir), root.Stat)
}

// checkFolder complains as spawn-fcgi does about a call that would fail, with what
// was said to it. Where symbolic links lead that begin at the root of a chroot
// cannot be asked from outside of it: the process finds out.
func checkFolder(call, said, path string, stat func(string) (fs.FileInfo, error)) error {
	info, err := stat(path)
	if err == nil && !info.IsDir() {
		err = syscall.ENOTDIR
	}
	if !errors.As(err, new(syscall.Errno)) {
		return nil
	}
	return outcome.Failf("%s('%s') failed: %s", call, said, errnoText(err))
}
