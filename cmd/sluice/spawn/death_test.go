package spawn

import (
	"errors"
	"testing"

	"github.com/sluice-gateway/sluice/process"
)

// What the death of an application is reported as.
func TestDeathFailure(t *testing.T) {
	for _, tt := range []struct {
		death  process.Exit
		up     bool
		text   string
		status int
	}{
		{process.Exit{PID: 1, Status: 7 << 8, Output: []string{"a", "b"}}, false, "child exited with: 7\nit wrote: a\nit wrote: b", 7},
		{process.Exit{PID: 1}, false, "child exited with: 0", 1},
		{process.Exit{PID: 1, Status: 9}, true, "child signaled: 9 (given up, after it was up)", 1},
		{process.Exit{Reason: "not started: x"}, false, "not started: x", 255},
	} {
		err := deathFailure(&tt.death, tt.up)
		e, ok := errors.AsType[*statusError](err)
		if !ok || e.Error() != tt.text || e.status != tt.status {
			t.Errorf("%+v: %v, want %q and %d", tt.death, err, tt.text, tt.status)
		}
	}
}
