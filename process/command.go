package process

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// A startError says why a process cannot be started, and what to do about it.
type startError struct{ what, advice string }

func (e *startError) Error() string { return e.what + ": " + e.advice }

// command returns the whole path of the program.
func (s *Spec) command() (string, *startError) {
	if dir := s.dir(); dir != "" {
		if info, err := os.Stat(s.outside(dir)); err != nil {
			return "", &startError{fmt.Sprintf("its folder %s: %v%s", dir, reason(err), s.inChroot()), "make the folder, or change dir"}
		} else if !info.IsDir() {
			return "", &startError{"its folder " + dir + " is not a folder" + s.inChroot(), "change dir"}
		}
	}
	if !strings.Contains(s.Args[0], "/") {
		return s.inPath(s.Args[0])
	}
	path := s.Args[0]
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.dir(), path)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", &startError{fmt.Sprintf("the command %s: %v", s.Args[0], err), "give the whole path"}
	}
	return path, s.executable(path)
}

// inPath looks a command up in the PATH that the process will have. Relative
// folders in it are left out: what runs must not depend on where we are.
func (s *Spec) inPath(name string) (string, *startError) {
	var found *startError
	for _, dir := range filepath.SplitList(s.variable("PATH")) {
		if !filepath.IsAbs(dir) {
			continue
		}
		path := filepath.Join(dir, name)
		err := s.executable(path)
		if err == nil {
			return path, nil
		}
		if _, missing := os.Lstat(s.outside(path)); missing == nil {
			found = cmp.Or(found, err)
		}
	}
	if found != nil {
		return "", found
	}
	if here := filepath.Join(s.dir(), name); s.executable(here) == nil {
		return "", &startError{"the command " + name + " is not in PATH, but in its folder", "write ./" + name}
	}
	where := "PATH of its environment, " + s.variable("PATH")
	if s.variable("PATH") == "" {
		where = "PATH: its environment has none"
	}
	return "", &startError{"the command " + name + " is not in " + where + s.inChroot(), "install it, or give the whole path"}
}

// executable reports what keeps the program at path from being started.
func (s *Spec) executable(path string) *startError {
	outside := s.outside(path)
	info, err := os.Stat(outside)
	switch {
	case errors.Is(err, fs.ErrNotExist) && s.Isolation.Chroot != "":
		return &startError{"the command " + path + " is not there" + s.inChroot(), "copy it there, with all that it needs, or correct the path"}
	case errors.Is(err, fs.ErrNotExist):
		return &startError{"the command " + path + " is not there", "correct the path, or install it"}
	case err != nil:
		return &startError{fmt.Sprintf("the command %s: %v", path, reason(err)), "correct the path, or the rights of its folders"}
	case info.IsDir():
		return &startError{"the command " + path + " is a folder", "name the program in it"}
	case !info.Mode().IsRegular():
		return &startError{"the command " + path + " is not a file", "correct the path"}
	case unix.Access(outside, unix.X_OK) != nil:
		return &startError{"the command " + path + " is not executable" + s.inChroot(), "chmod +x " + outside}
	}
	return nil
}

// refused explains why the kernel did not start the program at path.
func (s *Spec) refused(path string, err error) *startError {
	what := fmt.Sprintf("the command %s: %v", path, reason(err))
	switch {
	case errors.Is(err, syscall.ENOENT):
		if program := interpreter(s.outside(path)); program != "" {
			return &startError{"the command " + path + " wants " + program + ", which is not there" + s.inChroot(),
				"correct its first line, or install that"}
		}
		if s.Isolation.Chroot != "" {
			return &startError{"the command " + path + " wants a loader or library that is not there" + s.inChroot(),
				"copy there what ldd " + s.outside(path) + " lists"}
		}
		return &startError{"the command " + path + " wants a loader or library that is not there",
			"ask ldd " + path + " what is missing"}
	case errors.Is(err, syscall.ENOEXEC):
		return &startError{what, "it is neither a program for this machine nor a script that begins with #!"}
	case errors.Is(err, syscall.EACCES) && s.credential() != nil:
		return &startError{what, fmt.Sprintf("user %d must be allowed to execute it and to enter its folders and dir", s.Credential.UID)}
	case errors.Is(err, syscall.EACCES):
		return &startError{what, "we must be allowed to execute it and to enter its folders, and its file system must not be mounted noexec"}
	case errors.Is(err, syscall.EPERM) && s.credential() != nil:
		return &startError{what, fmt.Sprintf("only root may start a process as user %d", s.Credential.UID)}
	case errors.Is(err, syscall.EAGAIN):
		return &startError{what, "its user has too many processes (ulimit -u), or the machine has"}
	case errors.Is(err, syscall.E2BIG):
		return &startError{what, "its arguments and environment are too long"}
	}
	return &startError{what, "it is tried again"}
}

// interpreter returns the program that the first line of a script names.
func interpreter(path string) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	line, _ := bufio.NewReaderSize(f, 256).ReadSlice('\n') // the kernel reads no more
	rest, ok := strings.CutPrefix(string(line), "#!")
	if fields := strings.Fields(rest); ok && len(fields) > 0 {
		if strings.HasSuffix(rest, "\r\n") && len(fields) == 1 {
			return fields[0] + `\r` // a script with the line ends of Windows
		}
		return fields[0]
	}
	return ""
}

// reason returns an error without the operation and path that it repeats.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.SyscallError](err); ok {
		return e.Err
	}
	return err
}
