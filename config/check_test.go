package config

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// site makes a folder with a file, a program and a socket.
func site(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{"public", "log", "work"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for file, mode := range map[string]os.FileMode{"file": 0o644, "app": 0o755, "work/run": 0o755, "php-fpm": 0o755} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte("#!/bin/sh\ntouch started\n"), mode); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("unix", filepath.Join(dir, "sock"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return dir
}

func TestCheck(t *testing.T) {
	app := func(keys string) string {
		return "root = \"public\"\n[[route]]\nbackend = \"app\"\n[backend.app]\n" + keys + "\n"
	}
	const in = ` in backend "app": `
	tests := []struct {
		name, src string
		want      string // DIR is the folder of the file; empty: no problem
	}{
		{"all is there", app(`command = ["./app"]`) + "[backend.b]\nconnect = [\"unix:sock\", \"unix:later.sock\", \"unix:@x\", \"localhost:1\"]\n", ""},
		{"root is missing", `root = "www"`, "1:8: root: the folder DIR/www is not there (make it, or correct the path)"},
		{"root is a file", `root = "file"`, "1:8: root: DIR/file is not a folder (correct the path)"},
		{"root is below a file", `root = "file/a"`, "1:8: root: DIR/file/a: not a directory (make it readable, or correct the path)"},
		{"access log in a folder", "root = \"public\"\naccess_log = \"log/access.log\"", ""},
		{"access log is off", "root = \"public\"\naccess_log = \"off\"", ""},
		{"access log without its folder", "root = \"public\"\naccess_log = \"logs/a\"", "2:14: access_log: the folder DIR/logs is not there (make it, or correct the path)"},
		{"access log is a folder", "root = \"public\"\naccess_log = \"log\"", "2:14: access_log: DIR/log is a folder (add the name of a file)"},
		{"listener without its folder", "root = \"public\"\nlisten = [\":80\", \"unix:run/s\"]", "2:18: listen: the folder DIR/run is not there (make it, or correct the path)"},
		{"listener where a file is", "root = \"public\"\nlisten = [\"unix:file\"]", "2:11: listen: DIR/file is there and is not a socket (correct the path)"},
		{"worker without its folder", app(`connect = ["unix:run/s"]`), "5:12: connect" + in + "the folder DIR/run is not there (make it, or correct the path)"},
		{"worker where a file is", app(`connect = ["unix:file"]`), "5:12: connect" + in + "DIR/file is there and is not a socket (correct the path)"},
		{"command is missing", app(`command = ["./ap"]`), "5:12: command" + in + "DIR/ap is not there (build or install it, or correct the path)"},
		{"command is not executable", app(`command = ["./file"]`), "5:12: command" + in + "DIR/file is not executable (build or install it, or correct the path)"},
		{"command is a folder", app(`command = ["./work"]`), "5:12: command" + in + "DIR/work is a folder (build or install it, or correct the path)"},
		{"command with its arguments", app(`command = ["./app -v"]`), "5:12: command" + in + "DIR/app -v is not there (write each argument by itself: [\"./app\", …])"},
		{"what is watched", app("command = [\"./app\"]\nwatch = [\"file\", \"work\"]"), ""},
		{"what is watched is missing", app("command = [\"./app\"]\nwatch = [\"file\", \"lib\"]"), "6:18: watch" + in + "DIR/lib: no such file or directory (correct the path)"},
		{"command in PATH", app(`command = ["sh"]`), ""},
		{"command in PATH with its arguments", app(`command = ["sh -c"]`), "5:12: command" + in + "\"sh -c\" is not in PATH (write each argument by itself: [\"sh\", …])"},
		{"command not in PATH", app(`command = ["no-such-program"]`), "5:12: command" + in + "\"no-such-program\" is not in PATH (install it, or give the whole path)"},
		{"command beside the file", app(`command = ["app"]`), "5:12: command" + in + "\"app\" is not in PATH (write \"./app\")"},
		{"command not in its own PATH", app("command = [\"sh\"]\nenv = { PATH = \"/no\" }"), "5:12: command" + in + "\"sh\" is not in PATH (install it, or give the whole path)"},
		{"command below its folder", app("command = [\"./run\"]\ndir = \"work\""), ""},
		{"command not below its folder", app("command = [\"./app\"]\ndir = \"work\""), "5:12: command" + in + "DIR/work/app is not there (build or install it, or correct the path)"},
		{"folder is missing", app("command = [\"./app\"]\ndir = \"no\""), "6:7: dir" + in + "the folder DIR/no is not there (make it, or correct the path)"},
		{"php by itself", app(`php = "auto"`), ""},
		{"php by path", app(`php = "./php-fpm"`), ""},
		{"php is missing", app(`php = "./php-cgi"`), "5:7: php" + in + "DIR/php-cgi is not there (write \"auto\", or correct the path)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := site(t)
			cfg, _ := Parse("s.toml", []byte(tt.src))
			var got []string
			for _, p := range Check(cfg, dir) {
				got = append(got, strings.ReplaceAll(p.String(), dir, "DIR"))
			}
			want := tt.want
			if want != "" {
				want = "s.toml:" + want
			}
			if strings.Join(got, "\n") != want {
				t.Errorf("Check found\n%s, want\n%s", strings.Join(got, "\n"), want)
			}
			if _, err := os.Stat(filepath.Join(dir, "started")); err == nil {
				t.Error("Check started a program")
			}
		})
	}
}

// A configuration that comes from a command line has no places.
func TestCheckWithoutAFile(t *testing.T) {
	problems := Check(&Config{Root: "/no/such"}, "/")
	if len(problems) != 1 || problems[0].String() != "root: the folder /no/such is not there (make it, or correct the path)" {
		t.Errorf("Check found %v", problems)
	}
}

func TestCheckFindsLongSockets(t *testing.T) {
	cfg := &Config{Listen: []string{"unix:" + strings.Repeat("s", 90)}}
	problems := Check(cfg, "/"+strings.Repeat("d", 60))
	if len(problems) != 1 || !strings.Contains(problems[0].Text, "name of 90 bytes, want at most 88") {
		t.Errorf("Check found %v, want that the path is too long", problems)
	}
}
