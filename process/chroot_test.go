package process

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A path inside a root is found where a process in it would find it, whatever
// links there are.
func TestWithin(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	for _, dir := range []string{"usr/bin", "srv/app"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{
		"bin": "usr/bin", "abs": "/usr/bin", "out": "../../../../etc", "srv/app/up": "../../usr", "loop": "loop", "gone": "/none/x", "usr/bin/sh": "dash",
	} {
		if err := os.Symlink(to, filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	tests := []struct{ name, path, want string }{
		{"plain", "/usr/bin/app", "/usr/bin/app"},
		{"the root", "/", ""},
		{"empty", "", ""},
		{"missing", "/none/at/all", "/none/at/all"},
		{"not clean", "//usr/./bin//app", "/usr/bin/app"},
		{"above the root", "/../../usr/bin", "/usr/bin"},
		{"relative link", "/bin/app", "/usr/bin/app"},
		{"absolute link", "/abs/app", "/usr/bin/app"},
		{"link to a link", "/abs/sh", "/usr/bin/dash"},
		{"link out of the root", "/out/passwd", "/etc/passwd"},
		{"link upwards", "/srv/app/up/bin/x", "/usr/bin/x"},
		{"link to nothing", "/gone/y", "/none/x/y"},
		{"up from behind a link", "/abs/../lib", "/usr/lib"},
		{"link to itself", "/loop/x", "/loop"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := within(root, tt.path); got != root+tt.want {
				t.Errorf("within(%s) = %s, want %s", tt.path, strings.TrimPrefix(got, root), tt.want)
			}
		})
	}
}
