package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/testpeer"
)

// The reader of the access log goes away: the gateway serves on, and says so.
func TestReaderOfAccessLogEnds(t *testing.T) {
	ctx := bounded(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := startWriting(ctx, t, w, "serve", t.TempDir(), "--listen", "127.0.0.1:0")
	w.Close()
	if status := statusOf(ctx, t, p.url); status != 403 {
		t.Fatalf("status %d, want 403: the folder is empty", status)
	}
	r.Close()
	for range 3 {
		if status := statusOf(ctx, t, p.url); status != 403 {
			t.Errorf("status %d, want 403", status)
		}
	}
	if !strings.Contains(p.log.String(), "access log lost") {
		t.Error("the loss is not logged")
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if <-p.done; p.err != nil {
		t.Errorf("the gateway ended with %v", p.err)
	}
}

// Even SIGKILL leaves no process behind, not those of php-fpm either, which
// are not ours but its own.
func TestNoOrphans(t *testing.T) {
	for name, program := range map[string]string{
		"php-fpm": testpeer.Need(t, "php-fpm*", "php-fpm"),
		"php-cgi": testpeer.Need(t, "php-cgi", "php-cgi"),
	} {
		t.Run(name, func(t *testing.T) {
			ctx := bounded(t)
			dir := t.TempDir()
			for at := dir; at != filepath.Dir(os.TempDir()) && at != os.TempDir(); at = filepath.Dir(at) {
				if err := os.Chmod(at, 0o755); err != nil { // as root, PHP runs as somebody else
					t.Fatal(err)
				}
			}
			file := filepath.Join(dir, "sluice.toml")
			text := "listen = [\"127.0.0.1:0\"]\nroot = \".\"\n[backend.php]\nphp = \"" + program + "\"\n[[route]]\npath = \"*.php\"\nbackend = \"php\"\n"
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			p := startProgram(ctx, t, "serve", "-c", file)
			var left []proc
			for len(left) < 4 && ctx.Err() == nil { // until they are there
				left = descendants(t, p.cmd.Process.Pid)
				time.Sleep(10 * time.Millisecond)
			}
			if len(left) < 4 {
				t.Fatalf("processes: %v, want some of PHP", left)
			}
			if err := p.cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			<-p.done
			for _, was := range left {
				for lives(was) {
					if ctx.Err() != nil {
						t.Fatalf("process %d (%s) is left", was.pid, was.name)
					}
					time.Sleep(10 * time.Millisecond)
				}
			}
		})
	}
}

// A php-fpm behind a script that does not become it is no descendant of the script
// any more when that ends, and has written over its environment: it ends all the
// same.
func TestFPMBehindScript(t *testing.T) {
	fpm := testpeer.Need(t, "php-fpm*", "php-fpm")
	ctx := bounded(t)
	dir := t.TempDir()
	file, around := filepath.Join(dir, "sluice.toml"), filepath.Join(dir, "php-fpm")
	text := "listen = [\"127.0.0.1:0\"]\nroot = \".\"\n[backend.php]\nphp = \"./php-fpm\"\nprocesses.max = 1\n[[route]]\npath = \"*.php\"\nbackend = \"php\"\n"
	if err := errors.Join(os.WriteFile(file, []byte(text), 0o600), os.WriteFile(around, []byte("#!/bin/sh\n"+fpm+" \"$@\"\n"), 0o755)); err != nil {
		t.Fatal(err)
	}
	p := startProgram(ctx, t, "serve", "-c", file)
	all := func(not []proc) (found []proc) { // the script, a master and its process
		for len(found) < 3 && ctx.Err() == nil {
			found = slices.DeleteFunc(descendants(t, p.cmd.Process.Pid), func(p proc) bool { return slices.Contains(not, p) || p.state == "Z" })
			time.Sleep(10 * time.Millisecond)
		}
		if len(found) < 3 {
			t.Fatalf("processes: %v, want a script, a php-fpm and what it has started", found)
		}
		return found
	}
	ended := func(left []proc) {
		for _, was := range left {
			for lives(was) {
				if ctx.Err() != nil {
					t.Fatalf("process %d (%s) is left", was.pid, was.name)
				}
				time.Sleep(10 * time.Millisecond)
			}
		}
	}
	first := all(nil)
	if err := syscall.Kill(first[0].pid, syscall.SIGKILL); err != nil { // the script
		t.Fatal(err)
	}
	ended(first)
	second := all(first)
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.done
	ended(second)
}

// lives reports whether a process is still there.
func lives(was proc) bool {
	now, err := readProc(was.pid)
	return err == nil && now.start == was.start && now.state != "Z"
}
