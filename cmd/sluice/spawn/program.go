package spawn

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sluice-gateway/sluice/cmd/sluice/outcome"
	"golang.org/x/sys/unix"
)

// planCommand says what is run.
func (f *flags) planCommand(p *plan, args []string) error {
	switch {
	case len(args) > 0:
		p.args = args
	case f.command != "":
		p.args = []string{"/bin/sh", "-c", "exec " + f.command}
	default:
		return errors.New("no FastCGI application given")
	}
	return nil
}

// checkProgram finds out early what would keep the command from being started,
// with the exit status that spawn-fcgi's child would have. A name without a
// slash is looked up in PATH later, and a path in a chroot may have links that
// mean something else there.
func (p *plan) checkProgram() error {
	path := p.args[0]
	if p.chroot != "" || !strings.Contains(path, "/") {
		return nil
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(p.dir, path)
	}
	info, err := os.Stat(path)
	if err == nil && (!info.Mode().IsRegular() || unix.Access(path, unix.X_OK) != nil) {
		err = syscall.EACCES
	}
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return nil
	}
	return &outcome.Failure{
		Err:  &statusError{fmt.Sprintf("exec failed: %s: %s", p.args[0], errnoText(errno)), int(errno)},
		Hint: "correct the path, or make it executable (chmod +x)",
	}
}
