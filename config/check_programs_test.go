package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A script whose interpreter is not there is as good as one that is not there
// itself.
func TestCheckFindsInterpreters(t *testing.T) {
	tests := []struct {
		name, text string
		want       string // DIR is the folder of the file; empty: no problem
	}{
		{"shell", "#!/bin/sh\n", ""},
		{"with arguments", "#! /bin/sh -e -u\necho\n", ""},
		{"by env", "#!/usr/bin/env python3\n", ""},
		{"relative to its folder", "#!bin/run\n", ""},
		{"no end of line", "#!/bin/sh", ""},
		{"not a script", "\x7fELF#!/no/such\n", ""},
		{"no name", "#!\n", ""},
		{"empty", "", ""},
		{"missing", "#!/no/such/python -u\n", `DIR/app: its interpreter "/no/such/python" is not there (correct its first line, or install that)`},
		{"behind a tab", "#!\t/no/such\tx\n", `DIR/app: its interpreter "/no/such" is not there (correct its first line, or install that)`},
		{"not executable", "#!plain\n", `DIR/app: its interpreter "plain" is not executable (correct its first line, or install that)`},
		{"from Windows", "#!/bin/sh\r\necho\r\n", `DIR/app: its interpreter "/bin/sh\r" is not there (correct its first line, or install that)`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range map[string]string{"app": tt.text, "bin/run": "#!/bin/sh\n", "plain": ""} {
				os.Mkdir(filepath.Join(dir, "bin"), 0o755)
				mode := os.FileMode(0o755)
				if name == "plain" {
					mode = 0o644
				}
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
					t.Fatal(err)
				}
			}
			for name, command := range map[string]string{"by path": `["./app"]`, "in PATH": `["app"]`} {
				src := "[[route]]\nbackend = \"app\"\n[backend.app]\nenv = { PATH = \"" + dir + "\" }\ncommand = " + command + "\n"
				cfg, problems := Parse("s.toml", []byte(src))
				if len(problems) > 0 {
					t.Fatal(problems)
				}
				want := tt.want
				if want != "" {
					want = `s.toml:5:12: command in backend "app": ` + want
				}
				if got := listed(Check(cfg, dir), dir); got != want {
					t.Errorf("%s: Check found\n%s, want\n%s", name, got, want)
				}
			}
		})
	}
}

func listed(problems []Problem, dir string) string {
	var list []string
	for _, p := range problems {
		list = append(list, strings.ReplaceAll(p.String(), dir, "DIR"))
	}
	return strings.Join(list, "\n")
}

// Paths in a chroot are not ours: what they name is not looked for here.
func TestCheckLeavesChrootsAlone(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "jail"), 0o755); err != nil {
		t.Fatal(err)
	}
	for chroot, want := range map[string]string{
		"jail":   "",
		"prison": `s.toml:4:10: chroot in backend "app": the folder DIR/prison is not there (make it, or correct the path)`,
	} {
		src := "[[route]]\nbackend = \"app\"\n[backend.app]\nchroot = \"" + chroot + "\"\ncommand = [\"/in/the/jail\"]\ndir = \"/there/too\"\n"
		cfg, problems := Parse("s.toml", []byte(src))
		if len(problems) > 0 {
			t.Fatal(problems)
		}
		if got := listed(Check(cfg, dir), dir); got != want {
			t.Errorf("chroot %s: Check found %q, want %q", chroot, got, want)
		}
	}
}
