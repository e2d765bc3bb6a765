package backend

import (
	"os"
	"testing"

	"github.com/sluice-gateway/sluice/process"
)

// Sockets go where nobody else can put another one: not to the runtime folder of
// another user, nor to a /tmp that is open to anybody, as in some containers.
func TestRuntimeDir(t *testing.T) {
	ours, open, theirs := t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.Chmod(open, 0o777); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chown(theirs, 12345, 12345); err != nil {
			t.Fatal(err)
		}
	} else {
		theirs = open
	}
	for _, tt := range []struct{ xdg, tmp, want string }{
		{ours, open, ours},
		{"", ours, ours},
		{theirs, ours, ours},
		{theirs, open, "/dev/shm"},
		{"", ours + "/none", ours + "/none"},
	} {
		if tt.want == "/dev/shm" && !process.CanHold(tt.want) {
			continue
		}
		t.Setenv("XDG_RUNTIME_DIR", tt.xdg)
		t.Setenv("TMPDIR", tt.tmp)
		if got := runtimeDir(); got != tt.want {
			t.Errorf("with %+v: %s", tt, got)
		}
	}
}
