package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/testlog"
	"github.com/sluice-gateway/sluice/internal/testpeer"
	"github.com/sluice-gateway/sluice/internal/testproc"
)

const unitFolder = "../../packaging/systemd"

// The units are what systemd understands.
func TestUnits(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("there is no systemd-analyze (package systemd)")
	}
	files, err := os.ReadDir(unitFolder)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	args := []string{"verify"}
	for _, f := range files {
		text, err := os.ReadFile(filepath.Join(unitFolder, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		// It wants to find the programs.
		text = bytes.ReplaceAll(text, []byte("/usr/bin/sluice"), []byte(ours(t, "sluice")))
		if err := os.WriteFile(filepath.Join(dir, f.Name()), text, 0o644); err != nil {
			t.Fatal(err)
		}
		args = append(args, filepath.Join(dir, strings.Replace(f.Name(), "@.", "@app.", 1)))
	}
	cmd := exec.CommandContext(bounded(t), analyze, args...)
	cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
	out, err := cmd.CombinedOutput()
	for line := range strings.Lines(string(out)) {
		if strings.Contains(line, dir) || strings.Contains(line, "sluice") { // the rest is about the system
			t.Error(strings.TrimSpace(line))
		}
	}
	if err != nil {
		t.Errorf("%v: %v\n%s", cmd, err, out)
	}
	if len(args) < 6 {
		t.Errorf("%d units, want at least 5", len(args)-1)
	}
}

// unitCommand returns the command line of a unit, with its variables set.
func unitCommand(t *testing.T, unit string, variables *strings.Replacer) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(unitFolder, unit))
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile(`(?m)^ExecStart=/usr/bin/(.*)$`).FindSubmatch(text)
	if m == nil {
		t.Fatalf("%s has no ExecStart of ours", unit)
	}
	return strings.Fields(variables.Replace(string(m[1])))
}

// What the units start does as systemd wants: it takes the socket that is
// handed over, and says how it is with it.
func TestUnitsServe(t *testing.T) {
	php := testpeer.NeedPHP(t, "php-cgi", "php-cgi")
	for _, tt := range []struct {
		unit string
		ask  func(ctx context.Context, socket string) error
	}{
		{"sluice-spawn@.service", func(ctx context.Context, socket string) error { return request(ctx, "unix", socket) }},
		{"sluice-activated.service", func(ctx context.Context, socket string) error {
			out, err := exec.CommandContext(ctx, "http-get", socket, "/").CombinedOutput()
			if err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		}},
	} {
		t.Run(tt.unit, func(t *testing.T) {
			ctx := bounded(t)
			dir := testproc.ShortDir(t)
			file := filepath.Join(dir, "sluice.toml")
			if err := os.WriteFile(file, []byte("root = \".\"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			args := unitCommand(t, tt.unit, strings.NewReplacer("/etc/sluice/sluice.toml", file, "$OPTIONS", "--forks 2", "$COMMAND", php+" -n"))
			socket := filepath.Join(dir, "s")
			manager := startManaged(ctx, t, dir, socket, args)
			manager.says("READY=1")
			if err := tt.ask(ctx, socket); err != nil {
				t.Error(err)
			}
			manager.signal(syscall.SIGHUP)
			manager.says("RELOADING=1")
			manager.says("READY=1")
			if err := tt.ask(ctx, socket); err != nil {
				t.Errorf("after reload: %v", err)
			}
			manager.signal(syscall.SIGTERM)
			manager.says("STOPPING=1")
			if err := manager.cmd.Wait(); err != nil {
				t.Errorf("it ended with %v", err)
			}
		})
	}
}

// A succession under a service manager: it hears of the new main process from
// the old one, whose word it takes.
func TestUnitSuccession(t *testing.T) {
	ctx := bounded(t)
	dir := testproc.ShortDir(t)
	file, socket := filepath.Join(dir, "sluice.toml"), filepath.Join(dir, "s")
	if err := os.WriteFile(file, []byte("root = \".\"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	manager := startManaged(ctx, t, dir, socket, unitCommand(t, "sluice-activated.service", strings.NewReplacer("/etc/sluice/sluice.toml", file)))
	manager.says("READY=1")
	manager.signal(syscall.SIGUSR2)
	manager.says("RELOADING=1")
	said := manager.says("READY=1\nMAINPID=")
	await(t, "the end of the old one", func() bool { return !runs(manager.cmd.Process.Pid) })
	if out, err := exec.CommandContext(ctx, "http-get", socket, "/").CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	pid, err := strconv.Atoi(strings.TrimPrefix(said, "READY=1\nMAINPID="))
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	manager.says("STOPPING=1")
	if err := manager.cmd.Wait(); err != nil { // and both have closed the log
		t.Errorf("the old one ended with %v", err)
	}
}

// A manager is a service manager of one service.
type manager struct {
	t      *testing.T
	notify *net.UnixConn
	cmd    *exec.Cmd
}

// startManaged starts a program as systemd does: with a listening socket as
// descriptor 3, and one for its messages.
func startManaged(ctx context.Context, t *testing.T, dir, socket string, args []string) *manager {
	t.Helper()
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram", Name: filepath.Join(dir, "notify")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { notify.Close() })
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	f, err := l.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	// Only the shell knows the number that its successor will have.
	cmd := exec.CommandContext(ctx, "/bin/sh", append([]string{"-c", `LISTEN_PID=$$ exec "$@"`, "sh"}, args...)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = programEnd
	cmd.Env = append(os.Environ(), "GORACE="+quickRace(), "LISTEN_FDS=1", "NOTIFY_SOCKET="+filepath.Join(dir, "notify"))
	cmd.ExtraFiles = []*os.File{f}
	cmd.Dir = dir
	var log testlog.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Signal(syscall.SIGTERM)
			cmd.Wait()
		}
		if t.Failed() {
			t.Logf("%q:\n%s", args, &log)
		}
	})
	return &manager{t, notify, cmd}
}

func (m *manager) signal(sig syscall.Signal) {
	m.t.Helper()
	if err := m.cmd.Process.Signal(sig); err != nil {
		m.t.Fatal(err)
	}
}

// says wants the next message to begin so, and returns it.
func (m *manager) says(want string) string {
	m.t.Helper()
	m.notify.SetReadDeadline(time.Now().Add(3 * patience))
	b := make([]byte, 4096)
	n, err := m.notify.Read(b)
	if err != nil || !strings.HasPrefix(string(b[:n]), want) {
		m.t.Fatalf("the service manager hears %q, %v, want %s", b[:n], err, want)
	}
	return string(b[:n])
}
