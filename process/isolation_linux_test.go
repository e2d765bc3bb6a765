package process

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

const nobody = 65534

// newChroot returns a folder with a shell, the programs that are named, and the
// libraries that they need.
func newChroot(t *testing.T, programs ...string) string {
	t.Helper()
	root := shortDir(t)
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, program := range append(programs, shell) {
		out, _ := exec.Command("ldd", program).Output()
		files := []string{program}
		for _, word := range strings.Fields(string(out)) {
			if strings.HasPrefix(word, "/") {
				files = append(files, word)
			}
		}
		for _, file := range files {
			copyFile(t, file, root+file)
		}
	}
	return root
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err == nil {
		err = os.WriteFile(to, b, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// statusOf returns some lines of /proc/PID/status.
func statusOf(t *testing.T, pid int, names ...string) (values []string) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if name, value, _ := strings.Cut(line, ":"); slices.Contains(names, name) {
			values = append(values, name+" "+strings.Join(strings.Fields(value), " "))
		}
	}
	slices.Sort(values)
	return values
}

// limitsOf returns some lines of /proc/PID/limits.
func limitsOf(t *testing.T, pid int, names ...string) (values []string) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		for _, name := range names {
			if rest, ok := strings.CutPrefix(line, name); ok {
				f := strings.Fields(rest)
				values = append(values, name+" "+f[0]+" "+f[1])
			}
		}
	}
	slices.Sort(values)
	return values
}

// A process is what was asked for in every respect, and nothing else is
// changed, here least of all.
func TestIsolated(t *testing.T) {
	needRoot(t)
	root := newChroot(t, "/bin/sleep")
	if err := os.Mkdir(root+"/data", 0o755); err != nil {
		t.Fatal(err)
	}
	before := statusOf(t, os.Getpid(), "Umask", "NoNewPrivs", "Uid")
	spec := script(`echo "in $(pwd), files $(ulimit -n)"; exec sleep 60`)
	spec.Dir = "/data"
	spec.Credential = &Credential{UID: nobody, GID: 12346, Groups: []uint32{12349, 12347}}
	spec.Isolation = Isolation{
		Chroot: root, Umask: umask(0o137), Nice: 7, NoNewPrivs: true,
		Limits: []Limit{{"nofile", 50, 60}, {"core", 0, 0}, {"stack", 1 << 20, Unlimited}, {"nproc", 1000, 2000}},
	}
	g, _ := startGroup(t, spec, 1)
	if got, want := untilOutput(t, g, "in "), "/data, files 50"; got != want {
		t.Errorf("the process says %q, want %q", got, want)
	}
	pid := untilState(t, g, Ready).PID
	got := statusOf(t, pid, "Uid", "Gid", "Groups", "NoNewPrivs", "Umask", "TracerPid", "CapEff")
	want := []string{"CapEff 0000000000000000", "Gid 12346 12346 12346 12346", "Groups 12347 12349", "NoNewPrivs 1", "TracerPid 0",
		"Uid 65534 65534 65534 65534", "Umask 0137"}
	if !slices.Equal(got, want) {
		t.Errorf("status %q, want %q", got, want)
	}
	got = limitsOf(t, pid, "Max open files", "Max core file size", "Max stack size", "Max processes")
	want = []string{"Max core file size 0 0", "Max open files 50 60", "Max processes 1000 2000", "Max stack size 1048576 unlimited"}
	if !slices.Equal(got, want) {
		t.Errorf("limits %q, want %q", got, want)
	}
	for link, want := range map[string]string{"root": root, "cwd": root + "/data"} {
		if got, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", pid, link)); got != want {
			t.Errorf("%s is %s, %v, want %s", link, got, err, want)
		}
	}
	if n, err := niceness(pid); n != 7 || err != nil {
		t.Errorf("niceness %d, %v, want 7", n, err)
	}
	if after := statusOf(t, os.Getpid(), "Umask", "NoNewPrivs", "Uid"); !slices.Equal(after, before) {
		t.Errorf("we are now %q, and were %q", after, before)
	}
	tasks, _ := filepath.Glob("/proc/self/task/*")
	for _, task := range tasks {
		if b, err := os.ReadFile(task + "/status"); err == nil && parseStatus(b)["Uid"] != "0\t0\t0\t0" {
			t.Errorf("thread %s has the ids %q", filepath.Base(task), parseStatus(b)["Uid"])
		}
	}
	if n, err := niceness(os.Getpid()); n != 0 || err != nil {
		t.Errorf("our niceness is %d, %v", n, err)
	}
}

// What was not asked for is as ours.
func TestNotIsolated(t *testing.T) {
	g, _ := startGroup(t, Spec{Name: "app", Args: []string{"/bin/sleep", "60"}}, 1)
	pid := untilState(t, g, Ready).PID
	names := []string{"Uid", "Gid", "Groups", "NoNewPrivs", "Umask"}
	if got, want := statusOf(t, pid, names...), statusOf(t, os.Getpid(), names...); !slices.Equal(got, want) {
		t.Errorf("status %q, want ours, %q", got, want)
	}
}

// A command is looked for inside the chroot.
func TestChrootCommand(t *testing.T) {
	needRoot(t)
	root := newChroot(t)
	for name, text := range map[string]string{"/bin/script": "#!/no/python\n", "/bin/plain": "x"} {
		if err := os.WriteFile(root+name, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	os.Chmod(root+"/bin/plain", 0o644)
	copyFile(t, "/bin/sleep", root+"/opt/sleep")
	os.Symlink("/bin/sh", root+"/bin/link") // the link is one inside
	os.RemoveAll(root + "/lib/none")
	tests := []struct {
		name string
		spec Spec
		want string // of Check; ROOT is the chroot
	}{
		{"there", Spec{Args: []string{"/bin/sh"}}, ""},
		{"behind a link", Spec{Args: []string{"/bin/link"}}, ""},
		{"from PATH", Spec{Args: []string{"sh"}, Env: []string{"PATH=/usr/bin:/bin"}}, ""},
		{"relative", Spec{Args: []string{"./sh"}, Dir: "bin"}, ""},
		{"missing inside", Spec{Args: []string{"/bin/ls"}},
			"the command /bin/ls is not there in chroot ROOT: copy it there, with all that it needs, or correct the path"},
		{"not in PATH inside", Spec{Args: []string{"ls"}, Env: []string{"PATH=/bin"}},
			"the command ls is not in PATH of its environment, /bin in chroot ROOT: install it, or give the whole path"},
		{"not executable", Spec{Args: []string{"/bin/plain"}}, "the command /bin/plain is not executable in chroot ROOT: chmod +x ROOT/bin/plain"},
		{"no folder", Spec{Args: []string{"/bin/sh"}, Dir: "/tmp"},
			"its folder /tmp: no such file or directory in chroot ROOT: make the folder, or change dir"},
		{"no shell for LISTEN_FDS", Spec{Args: []string{"/opt/sleep"}, Listen: ListenFDs}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.spec.Name, tt.spec.Isolation.Chroot = "app", root
			got := ""
			if err := tt.spec.Check(); err != nil {
				got = strings.ReplaceAll(err.Error(), root, "ROOT")
			}
			want := tt.want
			if want != "" {
				want = "process: start app: " + want
			}
			if got != want {
				t.Errorf("Check() = %q, want %q", got, want)
			}
		})
	}
	os.Remove(root + shell)
	spec := Spec{Name: "app", Args: []string{"/opt/sleep"}, Listen: ListenFDs, Isolation: Isolation{Chroot: root}}
	if err := spec.Check(); err == nil || !strings.Contains(err.Error(), "the command /bin/sh is not there in chroot ") {
		t.Errorf("Check() without a shell = %v", err)
	}
	// What only the kernel finds out.
	for _, tt := range []struct{ command, want string }{
		{"/bin/script", "not started: the command /bin/script wants /no/python, which is not there in chroot ROOT; correct its first line, or install that"},
		{"/opt/sleep", "not started: the command /opt/sleep wants a loader or library that is not there in chroot ROOT; copy there what ldd ROOT/opt/sleep lists"},
	} {
		os.RemoveAll(root + "/lib64")
		g, _ := startGroup(t, Spec{Name: "app", Args: []string{tt.command, "60"}, Isolation: Isolation{Chroot: root}}, 1)
		eventually(t, "a failed start", func() bool { return g.Status()[0].Last != nil })
		last := g.Status()[0].Last
		if got := strings.ReplaceAll(last.Reason+"; "+last.Advice, root, "ROOT"); got != tt.want {
			t.Errorf("exit = %q, want %q", got, tt.want)
		}
	}
}

// Everybody may have what lessens rights, and nothing else. The test starts
// itself as nobody.
func TestUnprivileged(t *testing.T) {
	if os.Geteuid() == 0 {
		asNobody(t)
		return
	}
	spec := script("exec sleep 60")
	spec.Isolation = Isolation{Umask: umask(0o77), Nice: 5, NoNewPrivs: true, Limits: []Limit{{"core", 0, 0}, {"nofile", 50, 60}}}
	g, _ := startGroup(t, spec, 1)
	pid := untilState(t, g, Ready).PID
	if got, want := statusOf(t, pid, "NoNewPrivs", "Umask"), []string{"NoNewPrivs 1", "Umask 0077"}; !slices.Equal(got, want) {
		t.Errorf("status %q, want %q", got, want)
	}
	if got, want := limitsOf(t, pid, "Max open files"), []string{"Max open files 50 60"}; !slices.Equal(got, want) {
		t.Errorf("limits %q, want %q", got, want)
	}
	stop(t, g)
	for _, tt := range []struct {
		spec Spec
		want string
	}{
		{Spec{Isolation: Isolation{Chroot: "/"}}, "chroot / is not permitted"},
		{Spec{Credential: &Credential{}}, "it shall run as user 0 and group 0, and we are user 65534"},
		{Spec{Isolation: Isolation{Nice: -1}}, "nice -1 is not permitted"},
		{Spec{Isolation: Isolation{Limits: []Limit{{"nproc", 1, Unlimited}}}}, "limit nproc=1:unlimited: our own hard limit is "},
	} {
		tt.spec.Args = []string{"/bin/true"}
		if err := tt.spec.Check(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("Check() = %v, want %s", err, tt.want)
		}
	}
	at := Socket{Address: "unix:" + shortDir(t) + "/s", UID: 0, GID: 0}
	if _, err := at.open(nil); err == nil || !strings.Contains(err.Error(), "only root may give it to user 0 and group 0") {
		t.Errorf("a socket for root: %v, want a refusal", err)
	}
	if _, err := os.Lstat(strings.TrimPrefix(at.Address, "unix:")); err == nil {
		t.Error("a socket that could not be given away is left")
	}
}

// asNobody runs the test that calls it once more, as user nobody.
func asNobody(t *testing.T) {
	t.Helper()
	dir := shortDir(t)
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "/proc/self/exe", "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=40s")
	cmd.Env = CleanEnv("TMPDIR="+dir, "GORACE=atexit_sleep_ms=0")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: "+t.Name()) {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}

// A umask of its own does not keep a process from following us to another
// folder.
func TestFollowsOurFolder(t *testing.T) {
	dir := t.TempDir()
	spec := script(`pwd; exec sleep 60`)
	spec.Isolation.Umask = umask(0o22)
	g, _ := startGroup(t, spec, 1)
	first := untilState(t, g, Ready)
	t.Chdir(dir)
	syscall.Kill(first.PID, syscall.SIGKILL)
	eventually(t, "the successor", func() bool { s := g.Status()[0]; return s.State == Ready && s.PID != first.PID })
	if got, err := os.Readlink(fmt.Sprintf("/proc/%d/cwd", g.Status()[0].PID)); got != dir {
		t.Errorf("it runs in %s, %v, want %s", got, err, dir)
	}
}
