package process

import (
	"fmt"
	"os"
	"strings"
)

// shell is the one that POSIX asks for.
const shell = "/bin/sh"

// byShell returns the program that is started for the one at path, and its
// arguments. It is /bin/sh if something can be said only from inside the new
// process: its own number, or a umask that we may not set (setUmask). The shell
// then becomes the program.
func (s *Spec) byShell(path string, setUmask bool) (program string, args []string) {
	var script strings.Builder
	if setUmask && s.Isolation.Umask != nil {
		fmt.Fprintf(&script, "umask %04o; ", uint32(*s.Isolation.Umask))
	}
	if s.Listen == ListenFDs {
		script.WriteString("export LISTEN_PID=$$; ")
	}
	if script.Len() == 0 {
		return path, s.Args
	}
	script.WriteString(`exec "$0" "$@"`)
	return shell, append([]string{shell, "-c", script.String(), path}, s.Args[1:]...)
}

// activated adds to attr what a process needs to find its socket elsewhere than
// as descriptor 0, but for LISTEN_PID.
func (s *Spec) activated(attr *os.ProcAttr, sock *socket) {
	if s.Listen == OnDescriptor0 {
		return
	}
	attr.Files = append(attr.Files, sock.file)
	if s.Listen != ListenFDs {
		return
	}
	env := make([]string, 0, len(attr.Env)+2)
	for _, e := range attr.Env {
		if !strings.HasPrefix(e, "LISTEN_PID=") && !strings.HasPrefix(e, "LISTEN_FDS=") && !strings.HasPrefix(e, "LISTEN_FDNAMES=") {
			env = append(env, e)
		}
	}
	attr.Env = append(env, "LISTEN_FDS=1", "LISTEN_FDNAMES="+descriptorName(s.Name))
}

// descriptorName returns a name as one of a descriptor: at most 255 printable
// ASCII characters, none of them a colon.
func descriptorName(name string) string {
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == ':' {
			return '_'
		}
		return r
	}, name)
	return name[:min(len(name), 255)]
}
