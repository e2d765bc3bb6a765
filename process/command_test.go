package process

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestCleanEnv(t *testing.T) {
	for name, value := range map[string]string{"PATH": "/bin", "LANG": "C", "TZ": "UTC", "HOME": "/home/me", "SECRET": "x", "LISTEN_FDS": "1"} {
		t.Setenv(name, value)
	}
	tests := []struct {
		name  string
		extra []string
		want  []string
	}{
		{"ours", nil, []string{"PATH=/bin", "LANG=C", "TZ=UTC", "HOME=/home/me"}},
		{"more", []string{"A=b=c", "E="}, []string{"PATH=/bin", "LANG=C", "TZ=UTC", "HOME=/home/me", "A=b=c", "E="}},
		{"instead", []string{"TZ=CET", "TZ=EET"}, []string{"PATH=/bin", "LANG=C", "HOME=/home/me", "TZ=EET"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := CleanEnv(tt.extra...); !slices.Equal(got, tt.want) {
				t.Errorf("CleanEnv(%q) = %q, want %q", tt.extra, got, tt.want)
			}
		})
	}
	os.Unsetenv("TZ")
	if got := CleanEnv(); slices.ContainsFunc(got, func(e string) bool { return strings.HasPrefix(e, "TZ") }) {
		t.Errorf("CleanEnv() without TZ = %q", got)
	}
}

// What is wrong with a command is said before anything is started, and so is
// what to do.
func TestCheck(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, plain := write("good", 0o755), write("plain", 0o644)
	tests := []struct {
		name string
		spec Spec
		want string // "" is good; DIR is the folder
	}{
		{"whole path", Spec{Args: []string{good}}, ""},
		{"from PATH", Spec{Args: []string{"good"}, Env: []string{"PATH=/nowhere:" + dir}}, ""},
		{"relative to Dir", Spec{Args: []string{"./good"}, Dir: dir}, ""},
		{"no command", Spec{}, "no command is given"},
		{"empty command", Spec{Args: []string{""}}, "no command is given"},
		{"NUL", Spec{Args: []string{"a", "b\x00"}}, `argument "b\x00" has a NUL in it`},
		{"missing", Spec{Args: []string{dir + "/missing"}}, "the command DIR/missing is not there: correct the path, or install it"},
		{"missing, relative", Spec{Args: []string{"./missing"}, Dir: dir}, "the command DIR/missing is not there: correct the path, or install it"},
		{"not executable", Spec{Args: []string{plain}}, "the command DIR/plain is not executable: chmod +x DIR/plain"},
		{"a folder", Spec{Args: []string{dir}}, "the command DIR is a folder: name the program in it"},
		{"a device", Spec{Args: []string{"/dev/null"}}, "the command /dev/null is not a file: correct the path"},
		{"below a file", Spec{Args: []string{good + "/x"}}, "the command DIR/good/x: not a directory: correct the path, or the rights of its folders"},
		{"not in PATH", Spec{Args: []string{"missing"}, Env: []string{"PATH=/nowhere:" + dir}},
			"the command missing is not in PATH of its environment, /nowhere:DIR: install it, or give the whole path"},
		{"no PATH", Spec{Args: []string{"missing"}, Env: []string{}},
			"the command missing is not in PATH: its environment has none: install it, or give the whole path"},
		{"relative PATH", Spec{Args: []string{"good"}, Env: []string{"PATH=.:x"}, Dir: dir},
			"the command good is not in PATH, but in its folder: write ./good"},
		{"not executable in PATH", Spec{Args: []string{"plain"}, Env: []string{"PATH=" + dir}},
			"the command DIR/plain is not executable: chmod +x DIR/plain"},
		{"no folder", Spec{Args: []string{good}, Dir: dir + "/missing"},
			"its folder DIR/missing: no such file or directory: make the folder, or change dir"},
		{"folder is a file", Spec{Args: []string{good}, Dir: good}, "its folder DIR/good is not a folder: change dir"},
		{"environment", Spec{Args: []string{good}, Env: []string{"A=b", "C"}}, `environment entry "C" is not NAME=value`},
		{"environment without a name", Spec{Args: []string{good}, Env: []string{"=b"}}, `environment entry "=b" is not NAME=value`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.spec.Name = "api"
			got := ""
			if err := tt.spec.Check(); err != nil {
				got = strings.ReplaceAll(err.Error(), dir, "DIR")
			}
			want := tt.want
			if want != "" {
				want = "process: start api: " + want
			}
			if got != want {
				t.Errorf("Check() = %q, want %q", got, want)
			}
			g, err := NewGroup(tt.spec, 1, shortDir(t))
			if (err != nil) != (want != "") {
				t.Errorf("NewGroup: %v, want what Check says", err)
			}
			if err == nil {
				stop(t, g)
			}
		})
	}
}

// What only the kernel finds out is said as well.
func TestRefused(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	tests := []struct {
		name, text string
		want       string // of the exit's reason and advice
	}{
		{"interpreter", "#!/no/such/python -u\n",
			"not started: the command DIR/interpreter wants /no/such/python, which is not there; correct its first line, or install that"},
		{"windows", "#!/bin/sh\r\necho\r\n",
			`not started: the command DIR/windows wants /bin/sh\r, which is not there; correct its first line, or install that`},
		{"text", "hello\n",
			"not started: the command DIR/text: exec format error; it is neither a program for this machine nor a script that begins with #!"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g, log := startGroup(t, Spec{Name: "app", Args: []string{write(tt.name, tt.text)}}, 1)
			eventually(t, "a failed start", func() bool { return g.Status()[0].Last != nil })
			last := g.Status()[0].Last
			if got := strings.ReplaceAll(last.Reason+"; "+last.Advice, dir, "DIR"); got != tt.want || last.PID != 0 {
				t.Errorf("exit = %q, pid %d, want %q, 0", got, last.PID, tt.want)
			}
			if got := log.With(`msg="process not started"`, "advice="); len(got) != 1 {
				t.Errorf("logged %q, want one line", got)
			}
		})
	}
}

func TestExitInWords(t *testing.T) {
	spec := Spec{Name: "app", Args: []string{"./app", "it's", "-v"}, Dir: "/srv"}
	onThree, fpm := spec, spec
	onThree.Listen, fpm.Env = AlsoOnDescriptor3, []string{"FPM_SOCKETS=x=3"}
	const byHand = `run it by hand to see more: cd /srv; ./app 'it'\''s' -v`
	tests := []struct {
		name   string
		spec   Spec
		status syscall.WaitStatus // as wait(2) on Linux: signal | core 0x80 | code << 8
		quiet  bool
		want   string
		advice string
	}{
		{"success", spec, 0, true, "exit status 0",
			"it must stay in the foreground and accept connections on descriptor 0, as FastCGI applications do"},
		{"success, another descriptor", onThree, 0, true, "exit status 0",
			"it must stay in the foreground and accept connections on descriptor 0 or 3, as FastCGI applications do"},
		{"failure", spec, 3 << 8, false, "exit status 3", "its last lines say why; " + byHand},
		{"failure without a word", spec, 3 << 8, true, "exit status 3", "it wrote nothing: " + byHand},
		{"shell did not find it", spec, 127 << 8, false, "exit status 127",
			"127 is a shell's word for a command, or a loader's for a library, that it did not find"},
		{"shell may not", spec, 126 << 8, false, "exit status 126", "126 is a shell's word for a command that it may not execute"},
		{"78", spec, 78 << 8, false, "exit status 78", "its last lines say why; " + byHand},
		{"78 of php-fpm", fpm, 78 << 8, false, "exit status 78",
			"78 is php-fpm's word for a configuration that it does not take, or for a socket that it did not find, because something around it has taken FPM_SOCKETS out of its environment; its last lines say which"},
		{"killed", spec, 9, true, "killed by SIGKILL (killed)",
			"somebody killed it, or the kernel did because memory ran out (dmesg says so)"},
		{"crash", spec, 11 | 0x80, true, "killed by SIGSEGV (segmentation fault), core dumped",
			"the application, or a library in it, has a bug: " + byHand},
		{"told to end", spec, 15, true, "killed by SIGTERM (terminated)", "somebody sent it this signal"},
		{"real-time signal", spec, 40, true, "killed by signal 40 (signal 40)", "somebody sent it this signal"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := inWords(tt.status); got != tt.want {
				t.Errorf("inWords(%#x) = %q, want %q", tt.status, got, tt.want)
			}
			if got := tt.spec.advice(tt.status, tt.quiet); got != tt.advice {
				t.Errorf("advice(%#x, %v) = %q, want %q", tt.status, tt.quiet, got, tt.advice)
			}
		})
	}
}
