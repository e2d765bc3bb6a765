package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sluice-gateway/sluice/internal/testproc"
)

// What would keep processes from starting, and can be known before.
func TestCheckProcesses(t *testing.T) {
	const command = "command = [\"./good\"]\n"
	const inApp = `s.toml: backend "app": `
	tests := []struct {
		name, backend string
		nobody        bool   // as the user nobody, and not as ourselves
		root          bool   // only root can
		want          string // DIR is the folder of the file; empty: no problem
	}{
		{name: "good", backend: command + "umask = \"027\"\nlimits = { nofile = \"64:128\", core = \"0\" }\nno_new_privileges = true"},
		{name: "missing", backend: `command = ["./none"]`,
			want: `s.toml:2:12: command in backend "app": DIR/none is not there (build or install it, or correct the path)`},
		{name: "not executable", backend: `command = ["./plain"]`,
			want: `s.toml:2:12: command in backend "app": DIR/plain is not executable (build or install it, or correct the path)`},
		{name: "a folder", backend: `command = ["./folder"]`,
			want: `s.toml:2:12: command in backend "app": DIR/folder is a folder (build or install it, or correct the path)`},
		{name: "no interpreter", backend: `command = ["./script"]`,
			want: `s.toml:2:12: command in backend "app": DIR/script: its interpreter "/no/such" is not there (correct its first line, or install that)`},
		{name: "no folder", backend: command + `dir = "none"`,
			want: `s.toml:3:7: dir in backend "app": the folder DIR/none is not there (make it, or correct the path)`},

		{name: "no user", backend: command + `user = "nosuch"`, want: inApp + `there is no user "nosuch" on this machine`},
		{name: "no group", backend: command + "user = \"nobody\"\ngroup = \"nosuch\"", want: inApp + `there is no group "nosuch" on this machine`},
		{name: "no user, of PHP", backend: "php = \"./good\"\nuser = \"nosuch\"", want: inApp + `there is no user "nosuch" on this machine`},
		{name: "user, not by root", nobody: true, backend: command + `user = "daemon"`,
			want: inApp + "process: start app: it shall run as user 1 and group 1, and we are user 65534 and group 65534: only root may choose: start us as root, or leave its user out"},

		{name: "limit upside down", backend: command + `limits = { nofile = "200:100" }`,
			want: `s.toml:3:21: nofile of limits in backend "app" is "200:100", and the first, which counts, is above the second, to which it may be raised (write "100:200")`},
		{name: "limit above what there is", backend: command + `limits = { nofile = "unlimited" }`,
			want: inApp + "process: start app: limit nofile=unlimited:unlimited: no process may have more than NR_OPEN files: lower it, or raise sysctl fs.nr_open"},
		{name: "limit above ours", nobody: true, backend: command + `limits = { nofile = "64:300" }`,
			want: inApp + "process: start app: limit nofile=64:300: our own hard limit is 256: only root may go above (or CAP_SYS_RESOURCE): start us as root, or lower it"},
		{name: "limit above ours, of PHP", nobody: true, backend: "php = \"./good\"\nlimits = { nofile = \"64:300\" }",
			want: inApp + "process: start app: limit nofile=64:300: our own hard limit is 256: only root may go above (or CAP_SYS_RESOURCE): start us as root, or lower it"},
		{name: "limit with another name", backend: command + `limits = { nofiles = "1" }`,
			want: `s.toml:3:12: a name in limits in backend "app" is "nofiles" (did you mean "nofile"?)`},
		{name: "umask", backend: command + `umask = "0888"`,
			want: `s.toml:3:9: umask in backend "app" is "0888", want up to three octal digits (write "027")`},
		{name: "nice, not by root", nobody: true, backend: command + `nice = -5`,
			want: inApp + "process: start app: nice -5 is not permitted: ours is 0: only root may go below (or CAP_SYS_NICE): start us as root, or choose 0 to 19"},

		{name: "chroot", root: true, backend: "command = [\"/bin/app\"]\nchroot = \"jail\"\ndir = \"/bin\""},
		{name: "chroot without the program", root: true, backend: command + `chroot = "jail"`,
			want: inApp + "process: start app: the command /good is not there in chroot DIR/jail: copy it there, with all that it needs, or correct the path"},
		{name: "chroot without the folder", root: true, backend: "command = [\"/bin/app\"]\nchroot = \"jail\"\ndir = \"/srv\"",
			want: inApp + "process: start app: its folder /srv: no such file or directory in chroot DIR/jail: make the folder, or change dir"},
		{name: "chroot that is missing", backend: command + `chroot = "prison"`,
			want: `s.toml:3:10: chroot in backend "app": the folder DIR/prison is not there (make it, or correct the path)`},
		{name: "chroot that others may write to", root: true, backend: "command = [\"/bin/app\"]\nchroot = \"open\"",
			want: inApp + "process: start app: chroot DIR/open: anybody may put something else into DIR/open, for its mode is 0777: chmod go-w DIR/open, or choose another path"},
		{name: "chroot, not by root", nobody: true, backend: "command = [\"/bin/app\"]\nchroot = \"jail\"",
			want: inApp + "process: start app: chroot DIR/jail is not permitted: only root may: start us as root (or with CAP_SYS_CHROOT), or leave it out"},
		{name: "chroot for php-fpm", root: true, backend: "php = \"./php-fpm\"\nchroot = \"jail\"",
			want: inApp + "chroot is not for php-fpm, whose configuration is outside: take a php-cgi"},
		{name: "memory of php-fpm", backend: "php = \"./php-fpm\"\nprocesses.max_memory = \"1MiB\"",
			want: inApp + "processes.max_memory is not for php-fpm, whose processes we do not see: take processes.max_requests, or a php-cgi"},
	}
	dir := checkedFolder(t)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if (tt.root || tt.nobody) && os.Geteuid() != 0 {
				t.Skip("only root can do that")
			}
			src := "[backend.app]\n" + tt.backend + "\n[[route]]\npath = \"\"\nbackend = \"app\"\n"
			if strings.Contains(tt.backend, "php = ") {
				src = strings.Replace(src, "[backend.app]", "root = \".\"\n[backend.app]", 1)
			}
			if err := os.WriteFile(filepath.Join(dir, "s.toml"), []byte(src), 0o644); err != nil {
				t.Fatal(err)
			}
			code, said := check(t, dir, tt.nobody)
			want, status := "s.toml: ok\n", 0
			if tt.want != "" {
				want, status = tt.want+"\n", 1
			}
			if strings.Contains(want, "NR_OPEN") {
				most, err := os.ReadFile("/proc/sys/fs/nr_open")
				if err != nil {
					t.Fatal(err)
				}
				want = strings.Replace(want, "NR_OPEN", strings.TrimSpace(string(most)), 1)
			}
			said = strings.Replace(strings.ReplaceAll(said, dir, "DIR"), "sluice: 1 problem\n", "", 1)
			if said != want || code != status {
				t.Errorf("sluice check: status %d\n%swant %d\n%s", code, said, status, want)
			}
		})
	}
}

// checkedFolder makes the folder of the configuration, with good and bad programs,
// and sluice as one that everybody may execute.
func checkedFolder(t *testing.T) string {
	t.Helper()
	dir := testproc.ShortDir(t)
	for name, mode := range map[string]os.FileMode{"folder": 0o755, "jail": 0o755, "jail/bin": 0o755, "open": 0o777, "open/bin": 0o755} {
		if err := errors.Join(os.MkdirAll(filepath.Join(dir, name), 0o755), os.Chmod(filepath.Join(dir, name), mode)); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{
		"good": "#!/bin/sh\n", "plain": "#!/bin/sh\n", "script": "#!/no/such -u\n", "php-fpm": "#!/bin/sh\n",
		"jail/bin/app": "", "jail/php-fpm": "", "open/bin/app": "",
	} {
		mode := os.FileMode(0o755)
		if name == "plain" {
			mode = 0o644
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	from, err := os.Open(ours(t, "sluice"))
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := os.OpenFile(filepath.Join(dir, "sluice"), os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(to, from); err != nil {
		t.Fatal(err)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// check runs "sluice check" in a folder, with a hard limit of 256 files.
func check(t *testing.T, dir string, nobody bool) (code int, said string) {
	t.Helper()
	cmd := exec.CommandContext(bounded(t), "/bin/sh", "-c", fmt.Sprintf("ulimit -n 256; exec %s/sluice check s.toml", dir))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GORACE="+quickRace())
	if nobody {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	return code, out.String()
}
