package spawn

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cmd/sluice/outcome"
	"github.com/sluice-gateway/sluice/process"
	"github.com/spf13/cobra"
)

// planOf reads a command line as the program does.
func planOf(t *testing.T, name string, args ...string) (*plan, error) {
	t.Helper()
	cmd := newCommand(name, "test")
	f := &flags{compat: name == spawnFCGI}
	cmd.ResetFlags()
	f.define(cmd)
	var plan *plan
	cmd.RunE = func(cmd *cobra.Command, args []string) (err error) {
		plan, err = f.plan(args)
		return err
	}
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.SetArgs(args)
	cmd.SetOut(io.Discard)
	cmd.SetErr(io.Discard)
	return plan, cmd.Execute()
}

func TestPlan(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o027))
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	app := []string{"--", "/bin/sh", "-n"}
	tests := []struct {
		name string
		args []string
		got  func(*plan) any
		want any
	}{
		{"command", []string{"-s", "/a"}, func(p *plan) any { return p.args }, []string{"/bin/sh", "-n"}},
		{"command wins over -f", []string{"-s", "/a", "-f", "x"}, func(p *plan) any { return p.args }, []string{"/bin/sh", "-n"}},
		{"unix socket", []string{"-s", "/run/a"}, func(p *plan) any { return p.address }, "unix:/run/a"},
		{"relative socket", []string{"-s", "a"}, func(p *plan) any { return p.address }, "unix:" + here + "/a"},
		{"a path that looks like an address", []string{"-s", "h:1"}, func(p *plan) any { return p.address }, "unix:" + here + "/h:1"},
		{"abstract socket", []string{"-s", "@a"}, func(p *plan) any { return p.address }, "unix:@a"},
		{"port", []string{"-p", "9000"}, func(p *plan) any { return p.address }, "0.0.0.0:9000"},
		{"IPv6", []string{"-a", "::1", "-p", "9000"}, func(p *plan) any { return p.address }, "[::1]:9000"},
		{"-a without -p is not used", []string{"-a", "nonsense", "-s", "/a"}, func(p *plan) any { return p.address }, "unix:/a"},
		{"outside of no chroot", []string{"-S", "-s", "/a"}, func(p *plan) any { return p.address }, "unix:/a"},
		{"mode as the umask has it", []string{"-s", "/a"}, func(p *plan) any { return p.mode }, fs.FileMode(0o640)},
		{"mode", []string{"-s", "/a", "-M", "0606"}, func(p *plan) any { return p.mode }, fs.FileMode(0o606)},
		{"flags in one word", []string{"-nF3", "-s/a"}, func(p *plan) any { return p.min }, 3},
		{"backlog", []string{"-s", "/a"}, func(p *plan) any { return p.backlog }, 1024},
		{"min and max", []string{"-s", "/a", "--min", "2", "--max", "5"}, func(p *plan) any { return []int{p.min, p.max} }, []int{2, 5}},
		{"forks and max", []string{"-s", "/a", "-F", "2", "--max", "5"}, func(p *plan) any { return []int{p.min, p.max} }, []int{2, 5}},
		{"in the background", []string{"-s", "/a"}, func(p *plan) any { return p.background }, true},
		{"in the foreground", []string{"-s", "/a", "-n"}, func(p *plan) any { return p.background }, false},
		{"PID file", []string{"-s", "/a", "-P", "x"}, func(p *plan) any { return p.pidFile }, here + "/x"},
		{"PID file with -n", []string{"-s", "/a", "-n", "-P", "/nonexistent/x"}, func(p *plan) any { return p.pidFile }, ""},
		{"umask", []string{"-s", "/a", "--umask", "027"}, func(p *plan) any { return *p.umask }, fs.FileMode(0o027)},
		{"limits", []string{"-s", "/a", "--limit", "nofile=10", "--limit", "core=0:unlimited", "--limit", "AS=1GiB"},
			func(p *plan) any { return p.limits }, []process.Limit{{Name: "nofile", Soft: 10, Hard: 10}, {Name: "core", Soft: 0, Hard: process.Unlimited}, {Name: "as", Soft: 1 << 30, Hard: 1 << 30}}},
		{"memory", []string{"-s", "/a", "--max-memory", "64MiB"}, func(p *plan) any { return p.maxMemory }, int64(64 << 20)},
		{"folder", []string{"-s", "/a", "-d", "/usr"}, func(p *plan) any { return p.dir }, "/usr"},
		{"no folder", []string{"-s", "/a"}, func(p *plan) any { return p.dir }, here},
		{"stop signal", []string{"-s", "/a", "--stop-signal", "sigquit"}, func(p *plan) any { return p.rule.stop }, syscall.SIGQUIT},
		{"multiwatch", []string{"-s", "/a", "--signal", "USR1"}, func(p *plan) any { return p.rule },
			signalRule{syscall.SIGUSR1, syscall.SIGTERM, 10 * time.Second, -1}},
		{"multiwatch with a limit", []string{"-s", "/a", "--signal", "INT", "--stop-timeout", "1s"}, func(p *plan) any { return p.rule },
			signalRule{syscall.SIGINT, syscall.SIGTERM, time.Second, time.Second}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, err := planOf(t, "spawn", append(tt.args, app...)...)
			if err != nil {
				t.Fatal(err)
			}
			if got := tt.got(p); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("%q: %v, want %v", tt.args, got, tt.want)
			}
		})
	}
	p, err := planOf(t, "spawn", "-s", "/a", "-f", "/bin/ls -l")
	if want := []string{"/bin/sh", "-c", "exec /bin/ls -l"}; err != nil || !reflect.DeepEqual(p.args, want) {
		t.Errorf("-f: %v, %v, want %v", p, err, want)
	}
}

func TestPlanRefuses(t *testing.T) {
	dir := t.TempDir()
	app := []string{"-s", "/a", "--", "/bin/sh"}
	tests := []struct {
		name, want string // want is a part of the error
		failure    bool   // it is not about the command line
		args       []string
	}{
		{"no command", "no FastCGI application given", false, []string{"-s", "/a"}},
		{"no socket", "no socket given (use either -p or -s)", false, []string{"--", "/bin/sh"}},
		{"two sockets", "either a Unix domain socket or a TCP-port, but not both", false, append([]string{"-p", "1"}, app...)},
		{"port 0", "invalid port: 0", false, []string{"-p", "0", "/bin/sh"}},
		{"port 65536", "invalid port: 65536", false, []string{"-p", "65536", "/bin/sh"}},
		{"port by name", "invalid port: http", false, []string{"-p", "http", "/bin/sh"}},
		{"address by name", "'localhost' is not a valid IP address", false, []string{"-a", "localhost", "-p", "1", "/bin/sh"}},
		{"mode", "octal mode", false, append([]string{"-M", "9"}, app...)},
		{"mode 0", "octal mode", false, append([]string{"-M", "000"}, app...)},
		{"mode with more", "octal mode", false, append([]string{"-M", "1777"}, app...)},
		{"no processes", "want 1 or more", false, append([]string{"-F", "0"}, app...)},
		{"min 0", "want 1 or more", false, append([]string{"--min", "0"}, app...)},
		{"max below min", "less than", false, append([]string{"--min", "3", "--max", "2"}, app...)},
		{"min and forks", "the same", false, append([]string{"--min", "3", "-F", "2"}, app...)},
		{"max without question", "--no-ping", false, append([]string{"--max", "3", "--no-ping"}, app...)},
		{"too many", "at most 10000", false, append([]string{"-F", "10001"}, app...)},
		{"children", "-C -1", false, append([]string{"-C", "-1"}, app...)},
		{"requests", "does not see requests", false, append([]string{"--max-requests", "5"}, app...)},
		{"limit without value", "want NAME=SOFT", false, append([]string{"--limit", "nofile"}, app...)},
		{"limit in words", "want a number", false, append([]string{"--limit", "nofile=many"}, app...)},
		{"limits upside down", "above the hard one", false, append([]string{"--limit", "nofile=2:1"}, app...)},
		{"nice", "--nice 20", false, append([]string{"--nice", "20"}, app...)},
		{"umask", "--umask 8", false, append([]string{"--umask", "8"}, app...)},
		{"signal", `no signal "TREM"`, false, append([]string{"--stop-signal", "TREM"}, app...)},
		{"signal of multiwatch", `no signal "X"`, false, append([]string{"--signal", "X"}, app...)},
		{"log", `--log is "xml": want text or json`, false, append([]string{"--log", "xml"}, app...)},
		{"memory", `write "64MiB"`, false, append([]string{"--max-memory", "64M"}, app...)},
		{"variable", "want NAME=VALUE", false, append([]string{"--env", "X"}, app...)},
		{"variable to copy", "want the name", false, append([]string{"--copy-env", "X=1"}, app...)},
		{"no folder", "chdir('/nonexistent') failed: No such file or directory", true, append([]string{"-d", "/nonexistent"}, app...)},
		{"a file for a folder", "failed: Not a directory", true, append([]string{"-d", "/bin/sh"}, app...)},
		{"no program", "exec failed: /nonexistent: No such file or directory", true, []string{"-s", "/a", "/nonexistent"}},
		{"a folder for a program", "exec failed: " + dir + ": Permission denied", true, []string{"-s", "/a", dir}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := planOf(t, "spawn", tt.args...)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("%q: %v, want %q", tt.args, err, tt.want)
			}
			if _, is := errors.AsType[*outcome.Failure](err); is != tt.failure {
				t.Errorf("%q: %v: a failure: %v, want %v", tt.args, err, is, tt.failure)
			}
		})
	}
}
