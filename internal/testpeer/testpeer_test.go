package testpeer

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A recorder is a test that is told to end.
type recorder struct {
	testing.TB
	skipped, failed string
}

func (r *recorder) Helper() {}

func (r *recorder) Skipf(format string, args ...any) {
	r.skipped = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.failed = fmt.Sprintf(format, args...)
	runtime.Goexit()
}

func record(f func(t testing.TB)) *recorder {
	r := &recorder{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	return r
}

func TestNeed(t *testing.T) {
	one, two := t.TempDir(), t.TempDir()
	write := func(path string, mode os.FileMode) string {
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write(filepath.Join(one, "peer"), 0o644) // not a program
	plain := write(filepath.Join(two, "peer"), 0o755)
	old := write(filepath.Join(one, "peer8.1"), 0o755)
	current := write(filepath.Join(one, "peer8.2"), 0o755)
	write(filepath.Join(two, "peer9"), 0o755) // in a later folder
	t.Setenv("PATH", one+string(os.PathListSeparator)+two)

	tests := []struct {
		name, program, want string
	}{
		{"name", "peer", plain},
		{"name with a version", "peer8.1", old},
		{"newest of several", "peer[0-9]*", current},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Need(t, tt.program, "peer"); got != tt.want {
				t.Errorf("Need(%q) = %q, want %q", tt.program, got, tt.want)
			}
		})
	}
}

func TestMissing(t *testing.T) {
	tests := []struct {
		name string
		need func(t testing.TB)
		want string
	}{
		{"program", func(t testing.TB) { Need(t, "no-such-program", "some-package") }, "some-package"},
		{"file", func(t testing.TB) { NeedFile(t, "/no/such/*.h", "some-package") }, "some-package"},
		{"Perl module", func(t testing.TB) { NeedPerl(t, "No::Such::Module", "some-package") }, "package"},
		{"DokuWiki", func(t testing.TB) { DokuWiki(t, "/nowhere") }, "tools/install-dokuwiki"},
	}
	t.Setenv("SLUICE_DOKUWIKI", t.TempDir())
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("CI", "")
			if r := record(tt.need); !strings.Contains(r.skipped, tt.want) || r.failed != "" {
				t.Errorf("skipped with %q, failed with %q, want it skipped and to say %q", r.skipped, r.failed, tt.want)
			}
			t.Setenv("CI", "true")
			if r := record(tt.need); !strings.Contains(r.failed, tt.want) || r.skipped != "" {
				t.Errorf("in CI: skipped with %q, failed with %q, want it failed and to say %q", r.skipped, r.failed, tt.want)
			}
		})
	}
}
