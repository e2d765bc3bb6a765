package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Check looks for the files and programs that a configuration names and
// returns what is wrong with them, in the order of the file. Relative paths
// are relative to dir, as for Resolve. What Parse could not read is left out.
// Check starts nothing and writes nothing; a socket that is not there yet is
// no problem, its folder is.
func Check(cfg *Config, dir string) []Problem {
	if abs, err := filepath.Abs(dir); err == nil { // complaints show where was looked
		dir = abs
	}
	c := checker{cfg: cfg, dir: dir}
	if cfg.Root != "" {
		c.folder("root", "root", under(dir, cfg.Root))
	}
	if logsToFile(cfg.AccessLog) {
		c.file("access_log", "access_log", under(dir, cfg.AccessLog))
	}
	for i, s := range cfg.Listen {
		c.socket(fmt.Sprintf("listen[%d]", i), "listen", s)
	}
	for i := range cfg.Backends {
		c.backend(&cfg.Backends[i])
	}
	return inOrder(c.problems)
}

// A checker gathers what is wrong with files.
type checker struct {
	cfg      *Config
	dir      string
	problems []Problem
}

// report takes a problem at a value, which has no place if it does not come
// from a file.
func (c *checker) report(path, text, hint string) {
	p := c.cfg.places[path]
	c.problems = append(c.problems, Problem{c.cfg.file, p.line, p.col, text, hint})
}

// folder reports what is wrong with a folder that must be there.
func (c *checker) folder(path, name, folder string) {
	info, err := os.Stat(folder)
	switch {
	case err == nil && info.IsDir():
	case err == nil:
		c.report(path, fmt.Sprintf("%s: %s is not a folder", name, folder), "correct the path")
	case errors.Is(err, fs.ErrNotExist):
		c.report(path, fmt.Sprintf("%s: the folder %s is not there", name, folder), "make it, or correct the path")
	default:
		c.report(path, fmt.Sprintf("%s: %s: %v", name, folder, reason(err)), "make it readable, or correct the path")
	}
}

// file reports what is wrong with the place of a file that will be made.
func (c *checker) file(path, name, file string) {
	if info, err := os.Stat(file); err == nil && info.IsDir() {
		c.report(path, fmt.Sprintf("%s: %s is a folder", name, file), "add the name of a file")
		return
	}
	c.folder(path, name, filepath.Dir(file))
}

// socket reports what is wrong with the place of a unix socket.
func (c *checker) socket(path, name, addr string) {
	file, ok := socketFile(addr)
	if !ok {
		return
	}
	whole := under(c.dir, file)
	if wrong := socketPath(whole); wrong != "" {
		c.report(path, name+wrong, "choose a shorter name")
		return
	}
	info, err := os.Stat(whole)
	if err == nil && info.Mode()&fs.ModeSocket == 0 {
		c.report(path, fmt.Sprintf("%s: %s is there and is not a socket", name, whole), "correct the path")
		return
	}
	c.folder(path, name, filepath.Dir(whole))
}

func (c *checker) backend(b *Backend) {
	path, in := "backend."+b.Name+".", fmt.Sprintf(" in backend %q", b.Name)
	for i, s := range b.Connect {
		c.socket(fmt.Sprintf("%sconnect[%d]", path, i), "connect"+in, s)
	}
	if b.Chroot != "" {
		// What is in it has other paths, and is looked for by who starts it.
		c.folder(path+"chroot", "chroot"+in, under(c.dir, b.Chroot))
		return
	}
	start := b.startDir(c.dir)
	if b.Dir != "" {
		n := len(c.problems)
		if c.folder(path+"dir", "dir"+in, start); len(c.problems) > n {
			return // the command is looked for below it
		}
	}
	if len(b.Command) > 0 && b.Command[0] != "" {
		if text, hint := findCommand(b, start); text != "" {
			c.report(path+"command[0]", "command"+in+": "+text, hint)
		}
	}
	for i, name := range b.Watch {
		if _, err := os.Stat(under(c.dir, name)); err != nil {
			c.report(fmt.Sprintf("%swatch[%d]", path, i), fmt.Sprintf("watch%s: %s: %v", in, under(c.dir, name), reason(err)), "correct the path")
		}
	}
	if b.PHP != "" && b.PHP != "auto" {
		if text := executable(under(c.dir, b.PHP)); text != "" {
			c.report(path+"php", "php"+in+": "+text, `write "auto", or correct the path`)
		}
	}
}

// findCommand says why a command would not be found. start is the folder that
// it starts in.
func findCommand(b *Backend, start string) (text, hint string) {
	name := b.Command[0]
	if strings.Contains(name, "/") {
		text, hint = executable(under(start, name)), "build or install it, or correct the path"
		if text == "" {
			return interpreted(under(start, name), start)
		}
		if first, _, several := strings.Cut(name, " "); several && executable(under(start, first)) == "" {
			hint = "write each argument by itself: [" + quoted(first) + ", …]"
		}
		return text, hint
	}
	path, set := b.Env["PATH"]
	if !set {
		path = os.Getenv("PATH")
	}
	if program := inPath(name, path); program != "" {
		return interpreted(program, start)
	}
	text, hint = quoted(name)+" is not in PATH", "install it, or give the whole path"
	first, _, several := strings.Cut(name, " ")
	switch {
	case several && inPath(first, path) != "":
		hint = "write each argument by itself: [" + quoted(first) + ", …]"
	case executable(filepath.Join(start, name)) == "":
		hint = "write " + quoted("./"+name)
	}
	return text, hint
}

// inPath returns the first program of a name in the absolute folders of a PATH,
// "" if there is none; the other folders are not searched when it is started
// either.
func inPath(name, path string) (program string) {
	for _, dir := range filepath.SplitList(path) {
		if program := filepath.Join(dir, name); filepath.IsAbs(dir) && executable(program) == "" {
			return program
		}
	}
	return ""
}

// interpreted says what is wrong with the interpreter of a script, which is
// relative to the folder that it starts in.
func interpreted(script, start string) (text, hint string) {
	by := interpreter(script)
	program := under(start, by)
	if by == "" || executable(program) == "" {
		return "", ""
	}
	wrong := strings.TrimPrefix(executable(program), program)
	return script + ": its interpreter " + quoted(by) + wrong, "correct its first line, or install that"
}

// firstLine is how much of a script the kernel reads to find its interpreter.
const firstLine = 256

// interpreter returns the program that a script names in its first line, ""
// if it is no script. The kernel takes the \r of a file from Windows for a part
// of the name.
func interpreter(script string) string {
	f, err := os.Open(script)
	if err != nil {
		return "" // perhaps it is for others
	}
	defer f.Close()
	head := make([]byte, firstLine)
	n, _ := io.ReadFull(f, head) // less is enough
	line, _, _ := strings.Cut(string(head[:n]), "\n")
	rest, ok := strings.CutPrefix(line, "#!")
	if words := strings.FieldsFunc(rest, func(r rune) bool { return r == ' ' || r == '\t' }); ok && len(words) > 0 {
		return words[0]
	}
	return ""
}

// executable says what keeps a program from being started. Whether it is us
// who may start it is left to the kernel: Sluice may start it as somebody else.
func executable(path string) (wrong string) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return path + " is not there"
	case err != nil:
		return fmt.Sprintf("%s: %v", path, reason(err))
	case info.IsDir():
		return path + " is a folder"
	case !info.Mode().IsRegular():
		return path + " is not a program"
	case info.Mode().Perm()&0o111 == 0:
		return path + " is not executable"
	}
	return ""
}

// reason returns the innermost error, without the path that has been named.
func reason(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
