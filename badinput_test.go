package sluice

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/testpeer"
)

// A badCommand is an application that does not come up, and what the log says
// of it. The program is the file DIR/app, which has been found good before.
type badCommand struct {
	name    string
	program string                            // what is in the file
	edit    func(*testing.T, *config.Backend) // what else is configured
	later   func(app string) error            // what happens to it before it is needed
	exit    string                            // how it ended
	words   string                            // a part of its last ones
	advice  string                            // a part of it
}

const (
	sleeps = "#!/bin/sh\nexec sleep 60\n"
	counts = "#!/bin/sh\nwhile :; do :; done\n"
)

var badCommands = []badCommand{
	{name: "missing", program: sleeps, later: os.Remove,
		exit: "not started: the command DIR/app is not there", advice: "correct the path, or install it"},
	{name: "not executable", program: sleeps, later: func(app string) error { return os.Chmod(app, 0o644) },
		exit: "not started: the command DIR/app is not executable", advice: "chmod +x DIR/app"},
	{name: "a folder", program: sleeps, later: func(app string) error { return errors.Join(os.Remove(app), os.Mkdir(app, 0o755)) },
		exit: "not started: the command DIR/app is a folder", advice: "name the program in it"},
	{name: "its folder is missing", program: sleeps, edit: startsIn("work"),
		later: func(app string) error { return os.Remove(filepath.Join(filepath.Dir(app), "work")) },
		exit:  "not started: its folder DIR/work: no such file or directory", advice: "make the folder, or change dir"},
	{name: "script without its interpreter", program: "#!/no/such/python -u\n",
		exit: "not started: the command DIR/app wants /no/such/python, which is not there", advice: "correct its first line, or install that"},
	{name: "neither program nor script", program: "hello\n",
		exit: "not started: the command DIR/app: exec format error", advice: "it is neither a program for this machine nor a script that begins with #!"},
	{name: "for another machine", program: "\x7fELF\x02\x01\x01" + strings.Repeat("\x00", 200),
		exit: "not started: the command DIR/app: exec format error", advice: "it is neither a program for this machine nor a script that begins with #!"},
	{name: "closed to its user", program: sleeps, edit: asNobodyIn("/"), later: func(app string) error { return os.Chmod(filepath.Dir(app), 0o700) },
		exit: "not started: the command DIR/app: permission denied", advice: "user 65534 must be allowed to execute it and to enter its folders"},

	{name: "ends with status 3", program: "#!/bin/sh\nexit 3\n",
		exit: "exit status 3", advice: "it wrote nothing: run it by hand to see more: cd DIR; DIR/app"},
	{name: "ends with status 0", program: "#!/bin/sh\nexit 0\n",
		exit: "exit status 0", advice: "it must stay in the foreground and accept connections on descriptor 0"},
	{name: "prints lines and dies", program: "#!/bin/sh\necho loading\necho no database >&2\nexit 4\n",
		exit: "exit status 4", words: "no database", advice: "its last lines say why; run it by hand"},
	{name: "prints megabytes without a line and dies", program: "#!/bin/sh\nhead -c 8000000 /dev/zero | tr '\\0' x\nexit 5\n",
		exit: "exit status 5", words: strings.Repeat("x", 4000), advice: "its last lines say why; run it by hand"},
	{name: "its command is killed", program: "#!/bin/sh\nsh -c 'kill -SEGV $$'\n",
		exit: "exit status 139", words: "Segmentation fault", advice: "139 is a shell's word for a command that was killed by SIGSEGV (segmentation fault); run it by hand"},

	{name: "never accepts", program: sleeps, edit: startsWithin(300 * time.Millisecond),
		exit: "did not answer for 300ms after its start (killed by SIGKILL (killed))", advice: "it must accept connections on descriptor 0 and speak FastCGI"},
	{name: "listens elsewhere", edit: listensElsewhere,
		exit: "did not answer for 2s after its start (killed by SIGKILL (killed))", words: "ready to handle connections", advice: "and not listen at an address of its own"},

	{name: "limit of CPU time", program: counts, edit: limited("cpu", "1:2"),
		exit: "killed by SIGXCPU (CPU time limit exceeded)", advice: "its CPU time is used up (limit cpu=1:2, in seconds)"},
	{name: "hard limit of CPU time", program: counts, edit: limited("cpu", "1"),
		exit: "killed by SIGKILL (killed)", advice: "its CPU time may be used up (limit cpu=1:1, in seconds), or somebody killed it, or the kernel did because memory ran out"},
	{name: "no memory for a library", program: counts, edit: limited("as", "1000000"),
		exit: "exit status 127", words: "error while loading shared libraries", advice: "be it for its limits (as=1000000:1000000)"},
	{name: "no memory", program: "#!/usr/bin/perl\nmy $x = 'x' x 500_000_000;\n", edit: limited("as", "100000000"),
		exit: "exit status 12", words: "Out of memory", advice: "its last lines say why; run it by hand to see more: cd DIR; prlimit --as=100000000:100000000 DIR/app"},
	{name: "no descriptor for a library", program: counts, edit: limited("nofile", "3"),
		exit: "exit status 127", words: "Error 24", advice: "be it for its limits (nofile=3:3)"},
	{name: "no descriptor", program: "#!/usr/bin/perl\nfor (1 .. 99) { open($f[$_], '<', '/dev/null') or die \"cannot open: $!\\n\" }\n", edit: limited("nofile", "16"),
		exit: "exit status 24", words: "cannot open: Too many open files", advice: "prlimit --nofile=16:16 DIR/app"},
	{name: "no process", program: "#!/bin/sh\nsleep 60 & wait\n", edit: func(t *testing.T, b *config.Backend) { asNobodyIn("")(t, b); limited("nproc", "0")(t, b) },
		exit: "exit status 2", words: "Cannot fork", advice: "prlimit --nproc=0:0 DIR/app"},
	{name: "limit of a file", program: "#!/bin/sh\necho x > DIR/file\n", edit: limited("fsize", "0"),
		exit: "killed by SIGXFSZ (file size limit exceeded)", advice: "it wrote more to a file than it may (limit fsize=0:0, in bytes)"},

	{name: "crashes", program: "#!/bin/sh\nkill -SEGV $$\n",
		exit: "killed by SIGSEGV (segmentation fault)", advice: "the application, or a library in it, has a bug: run it by hand"},
	{name: "leaves a core", program: "#!/bin/sh\nkill -SEGV $$\n", edit: leavesCore,
		exit: "killed by SIGSEGV (segmentation fault), core dumped", advice: "has a bug"},
	{name: "is killed", program: "#!/bin/sh\nkill -KILL $$\n",
		exit: "killed by SIGKILL (killed)", advice: "somebody killed it, or the kernel did because memory ran out (dmesg says so)"},
	{name: "is told to end", program: "#!/bin/sh\nkill -TERM $$\n",
		exit: "killed by SIGTERM (terminated)", advice: "somebody sent it this signal"},
}

func limited(name, value string) func(*testing.T, *config.Backend) {
	return func(_ *testing.T, b *config.Backend) { b.Limits = map[string]string{name: value} }
}

func startsWithin(d time.Duration) func(*testing.T, *config.Backend) {
	return func(_ *testing.T, b *config.Backend) { b.Processes.StartTimeout = d }
}

func startsIn(name string) func(*testing.T, *config.Backend) {
	return func(t *testing.T, b *config.Backend) {
		b.Dir = filepath.Join(b.Dir, name)
		if err := os.Mkdir(b.Dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

// asNobodyIn starts it as nobody in a folder, "" for its own.
func asNobodyIn(dir string) func(*testing.T, *config.Backend) {
	return func(t *testing.T, b *config.Backend) {
		if os.Geteuid() != 0 {
			t.Skip("only root can")
		}
		b.As.User = "nobody"
		if dir != "" {
			b.Dir = dir
		}
	}
}

// listensElsewhere makes it a php-fpm with a configuration of its own.
func listensElsewhere(t *testing.T, b *config.Backend) {
	write(t, b.Dir, "fpm.conf", "[global]\nerror_log=/proc/self/fd/2\n[x]\nuser=nobody\nlisten="+b.Dir+"/s\npm=static\npm.max_children=1\n")
	b.Command = []string{testpeer.Need(t, "php-fpm*", "php-fpm"), "-F", "-y", filepath.Join(b.Dir, "fpm.conf")}
	b.Processes.StartTimeout = 2 * time.Second
}

func leavesCore(t *testing.T, b *config.Backend) {
	pattern, err := os.ReadFile("/proc/sys/kernel/core_pattern")
	if err != nil || len(pattern) < 2 || strings.ContainsAny(string(pattern[0]), "|/") {
		t.Skip("the kernel does not leave cores where the process is")
	}
	limited("core", "unlimited")(t, b)
}

// Whatever is wrong with a command, the request that it was started for is told
// so in bounded time, and the log says how it ended, its last words, and what
// to do.
func TestBadCommands(t *testing.T) {
	t.Run("comes up at the third start", comesUpLate)
	for _, tt := range badCommands {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g, dir := tt.start(t)
			begin := time.Now()
			(<-g.ask("/")).busy(t)
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("the request was told so after %v", took)
			}
			says := func(text string) string {
				quoted := strconv.Quote(strings.ReplaceAll(text, "DIR", dir))
				return quoted[1 : len(quoted)-1]
			}
			var deaths []string
			await(t, "a death", func() bool {
				deaths = append(g.log.With("process died"), g.log.With("process not started")...)
				return len(deaths) > 0
			})
			for _, want := range []string{"level=WARN", "backend=app", `exit="` + says(tt.exit) + `"`, `advice="`, says(tt.advice)} {
				if !strings.Contains(deaths[0], want) {
					t.Errorf("the log says\n%s, want %s in it", deaths[0], want)
				}
			}
			if tt.words != "" && len(g.log.With(`msg="process output"`, "backend=app", says(tt.words))) == 0 {
				t.Errorf("its last words %.60q are not in the log:\n%.2000s", tt.words, g.log)
			}
			if n := len(g.log.String()); n > 6<<20 {
				t.Errorf("%d bytes were logged", n)
			}
			if len(g.log.With("level=ERROR", "status=503", "backend=app", "no worker")) != 1 {
				t.Errorf("the log does not say what became of the request:\n%.4000s", g.log)
			}
		})
	}
}

// start starts a Server with the bad command, which is started when the first
// request comes.
func (tt *badCommand) start(t *testing.T) (g *rig, dir string) {
	t.Helper()
	dir = readable(t)
	app := filepath.Join(dir, "app")
	cfg := oneApp(t, 1)
	b := &cfg.Backends[0]
	b.Command, b.Dir = []string{app}, dir
	b.Processes = config.Processes{Max: 1, Scales: true}
	b.Queue.Timeout = 300 * time.Millisecond
	if err := os.WriteFile(app, []byte(strings.ReplaceAll(tt.program, "DIR", dir)), 0o755); err != nil {
		t.Fatal(err)
	}
	if tt.edit != nil {
		tt.edit(t, b)
	}
	g = start(t, cfg)
	if tt.later != nil {
		if err := tt.later(app); err != nil {
			t.Fatal(err)
		}
	}
	return g, dir
}

// A request that may wait does not learn that the application has died twice
// before it came up.
func comesUpLate(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "starts")
	g := startEdited(t, func(c *config.Config) {
		b := &c.Backends[0]
		self := b.Command[0]
		b.Command = []string{"/bin/sh", "-c", "echo x >> " + file + "; [ $(wc -l < " + file + ") -ge 3 ] || exit 7; exec " + self}
		b.Processes = config.Processes{Max: 1, Scales: true}
		b.Queue.Timeout = 15 * time.Second
	})
	if r := <-g.ask("/"); r.status != 200 {
		t.Errorf("%v, want 200\n%s", r, g.log)
	}
	if n := len(g.log.With("process died", "exit status 7")); n != 2 {
		t.Errorf("%d deaths, want 2:\n%s", n, g.log)
	}
}

// Without a place for sockets nothing is started, and that is said.
func TestNoPlaceForSockets(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("TMPDIR", filepath.Join(t.TempDir(), "none"))
	s, err := New(t.Context(), oneApp(t, 1), Options{})
	if err == nil {
		s.Close()
		t.Fatal("no error")
	}
	if want := `sluice: backend "app": make a folder for its sockets: `; !strings.HasPrefix(err.Error(), want) || !strings.Contains(err.Error(), os.Getenv("TMPDIR")) {
		t.Errorf("New = %v, want %q, and where", err, want)
	}
}

// That place may lie so deep that the paths of the sockets in it are longer than
// the kernel takes: the processes are found there all the same.
func TestDeepPlaceForSockets(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("d", 120))
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("TMPDIR", dir)
	start(t, oneApp(t, 1)).pid()
}

// The last words of a program that has said too much before are in the log when
// it has died for the first time.
func TestLastWordsAfterAFlood(t *testing.T) {
	tt := badCommand{program: "#!/bin/sh\nyes | head -n 5000\necho no database >&2\nexit 5\n"}
	g, _ := tt.start(t)
	(<-g.ask("/")).busy(t)
	await(t, "its death", func() bool { return len(g.log.With("process died")) > 0 })
	if !strings.Contains(strings.Join(g.log.With("process died"), "")+strings.Join(g.log.With("process output"), ""), "no database") {
		t.Errorf("its last words are not in the log")
	}
}
