// Package testpeer finds the real programs that tests talk to: php-fpm,
// nginx, Perl's FCGI.pm, a browser.
//
// Without one of them a test is skipped, so that the rest can be run on any
// machine. Where the environment has CI=true it fails instead: there
// tools/install-deps has put all of them in place, and a test that was not
// run must not look like one that passed.
package testpeer

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// folders are searched after PATH, which lacks sbin for most users.
var folders = []string{"/usr/local/sbin", "/usr/sbin", "/sbin"}

// Need returns the path of a program. The name may be a pattern as for
// filepath.Match ("php-fpm*"); of several that match, the last by name is
// taken. Without it the test ends, and says which Debian package has it.
func Need(t testing.TB, program, debianPackage string) string {
	t.Helper()
	path := find(program, append(filepath.SplitList(os.Getenv("PATH")), folders...))
	if path == "" {
		missing(t, "program "+program, debianPackage)
	}
	return path
}

// NeedFile returns the first path that matches the pattern, for example a C
// header.
func NeedFile(t testing.TB, pattern, debianPackage string) string {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		missing(t, "file "+pattern, debianPackage)
	}
	return paths[0]
}

// NeedPerl returns the path of perl, which has the module.
func NeedPerl(t testing.TB, module, debianPackage string) string {
	t.Helper()
	perl := Need(t, "perl", "perl")
	if err := exec.Command(perl, "-M"+module, "-e", "1").Run(); err != nil {
		missing(t, "Perl module "+module, debianPackage)
	}
	return perl
}

// NeedPHP returns the path of a PHP program that has the extensions.
func NeedPHP(t testing.TB, program, debianPackage string, extensions ...string) string {
	t.Helper()
	php := Need(t, program, debianPackage)
	out, err := exec.Command(php, "-m").Output()
	if err != nil {
		t.Fatalf("%s -m: %v", php, err)
	}
	loaded := strings.Fields(string(out))
	for _, e := range extensions {
		if !slices.Contains(loaded, e) {
			missing(t, "PHP extension "+e, "php-"+e)
		}
	}
	return php
}

// find returns the last program by name that matches in the first folder that
// has one.
func find(pattern string, folders []string) string {
	for _, dir := range folders {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			return ""
		}
		for _, path := range slices.Backward(paths) {
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return path
			}
		}
	}
	return ""
}

// missing ends the test.
func missing(t testing.TB, what, debianPackage string) {
	t.Helper()
	const format = "no %s: install the Debian package %s (tools/install-deps installs all of them)"
	if os.Getenv("CI") == "true" {
		t.Fatalf(format, what, debianPackage)
	}
	t.Skipf(format, what, debianPackage)
}
