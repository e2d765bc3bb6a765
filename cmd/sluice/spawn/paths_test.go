package spawn

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a folder in a chroot is, is for the chroot to say.
func TestFolderInChroot(t *testing.T) {
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	err := errors.Join(os.MkdirAll(at("releases/7"), 0o755), os.WriteFile(at("file"), nil, 0o644),
		os.Symlink("/releases/7", at("current")), os.Symlink("releases/7", at("relative")),
		os.Symlink("releases/8", at("dangling")))
	if err != nil {
		t.Fatal(err)
	}
	for dir, want := range map[string]string{
		"":           "",
		"/":          "",
		"/releases":  "",
		"releases/7": "",
		"/current":   "", // outside there is no /releases/7
		"/relative":  "",
		"/../..":     "",
		"/dangling":  "chdir('/dangling') failed: No such file or directory",
		"/none":      "chdir('/none') failed: No such file or directory",
		"/file":      "chdir('/file') failed: Not a directory",
	} {
		p := new(plan)
		err := (&flags{chroot: root, dir: dir}).planPaths(p)
		if (err == nil) != (want == "") || err != nil && err.Error() != want {
			t.Errorf("folder %q: %v, want %q", dir, err, want)
		}
		if p.dir != filepath.Join("/", dir) || p.chroot != root {
			t.Errorf("folder %q: %s in chroot %s", dir, p.dir, p.chroot)
		}
	}
	for chroot, want := range map[string]string{
		at("none"): "chroot('" + at("none") + "') failed: No such file or directory",
		at("file"): "chroot('" + at("file") + "') failed: Not a directory",
	} {
		if err := (&flags{chroot: chroot}).planPaths(new(plan)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("chroot %s: %v, want %q", chroot, err, want)
		}
	}
}
