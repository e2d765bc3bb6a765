package process

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/testlog"
)

// A signal reaches every process, and the end may be asked for with another
// signal, and time, than the Spec's.
func TestSignalAndStopWith(t *testing.T) {
	var log testlog.Buffer
	g, err := NewGroup(Spec{Name: "ears", Log: log.Logger(), StopSignal: syscall.SIGQUIT, StopTimeout: time.Nanosecond, Args: []string{"/bin/sh", "-c",
		`trap 'echo heard USR2' USR2; trap 'echo heard USR1; exit 0' USR1; echo listening; while :; do sleep 0.01; done`}}, 2, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	defer g.Stop(ctx)
	if err := g.Start(); err != nil {
		t.Fatal(err)
	}
	said := func(what string) {
		t.Helper()
		for len(log.With("process output", what)) < 2 {
			if ctx.Err() != nil {
				t.Fatalf("not both have said %q:\n%s", what, log.String())
			}
			time.Sleep(time.Millisecond)
		}
	}
	said("listening")
	g.Signal(syscall.SIGUSR2)
	said("heard USR2")
	if err := g.StopWith(ctx, syscall.SIGUSR1, -1); err != nil {
		t.Fatal(err)
	}
	said("heard USR1")
	for _, s := range g.Status() {
		if s.Last == nil || s.Last.Status != 0 || !strings.Contains(s.Last.Reason, "exit status 0") {
			t.Errorf("slot %d ended with %+v, want status 0", s.Slot, s.Last)
		}
	}
	g.Signal(syscall.SIGUSR2) // nobody is there
}
