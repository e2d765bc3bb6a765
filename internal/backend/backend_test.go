package backend

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/pool"
)

// own is the configuration of a backend that is this test's binary.
func own(t *testing.T, processes int) config.Backend {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return config.Backend{
		Name: "app", Command: []string{self}, Env: map[string]string{workerVariable: "1"},
		Processes: config.Processes{Max: processes},
	}
}

// begin starts a backend that takes requests. runtime is where its folder is.
func begin(t *testing.T, cfg config.Backend) (b *Backend, runtime string) {
	t.Helper()
	runtime = t.TempDir()
	t.Setenv("XDG_RUNTIME_DIR", runtime)
	b, err := Start(cfg, Setting{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := b.WaitReady(ctx); err != nil {
		t.Error(err)
	}
	return b, runtime
}

// The last user ends a backend, and with it the processes and their folder.
func TestLastUserEndsIt(t *testing.T) {
	b, runtime := begin(t, own(t, 2))
	b.Use()
	if err := b.Release(t.Context()); err != nil {
		t.Error(err)
	}
	s := b.Status()
	for end := time.Now().Add(10 * time.Second); len(s.Pool.Workers) != 2; s = b.Status() { // until the pool has heard
		if time.Now().After(end) {
			t.Fatalf("with a user left: %+v, want two workers", s)
		}
		time.Sleep(time.Millisecond)
	}
	if b.Ready() != 2 || len(s.Processes) != 2 || len(s.Members) != 2 {
		t.Fatalf("with a user left: %d ready, %+v, want two of each", b.Ready(), s)
	}
	if s.Members[0].Address != s.Pool.Workers[0].Address || s.Members[0].PID != s.Processes[0].PID {
		t.Errorf("%+v: the first member is not the first worker, or not the first process", s)
	}
	if err := b.Release(t.Context()); err != nil {
		t.Error(err)
	}
	for _, m := range s.Members {
		if err := syscall.Kill(m.PID, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("process %d after the end: %v", m.PID, err)
		}
	}
	if left, err := os.ReadDir(runtime); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	if _, err := b.ForGateway(own(t, 2)).Pool.Acquire(t.Context(), 0, nil); !errors.Is(err, pool.ErrClosed) {
		t.Errorf("Acquire after the end: %v, want %v", err, pool.ErrClosed)
	}
}

// Somebody else's application has no processes of ours, and is there at once.
func TestForeign(t *testing.T) {
	cfg := config.Backend{Name: "app", Connect: []string{"127.0.0.1:1", "unix:/run/app"}}
	b, runtime := begin(t, cfg)
	if s := b.Status(); !b.Foreign() || b.Ready() != 0 || s.Processes != nil || s.Members != nil || len(s.Pool.Workers) != 2 {
		t.Errorf("foreign %v, %d ready, %+v, want two workers and no process", b.Foreign(), b.Ready(), s)
	}
	if b.ForGateway(cfg).Killed != nil {
		t.Error("it is known who has killed somebody else's processes")
	}
	other := cfg
	other.Queue.Max, other.Processes.Max = 1, 3
	b.Use()
	b.Adjust(other)
	b.GiveUp()
	for range 2 {
		if err := b.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if left, err := os.ReadDir(runtime); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// Counts that change while processes are being replaced are those of the
// processes that are wanted, not of both generations.
func TestAdjustWhileReplacing(t *testing.T) {
	cfg := own(t, 0)
	cfg.Command = append([]string{"/bin/sh", "-c", `sleep 1; exec "$@"`, "-"}, cfg.Command...)
	cfg.Processes = config.Processes{Scales: true, Min: 3, Max: 12, IdleTimeout: time.Hour}
	b, _ := begin(t, cfg)
	defer b.Release(context.Background())
	over := make(chan error, 1)
	go func() { over <- b.group.Restart(t.Context()) }()
	for len(b.Status().Processes) < 6 { // until both generations are there
		time.Sleep(time.Millisecond)
	}
	cfg.Processes.Max = 13
	b.Adjust(cfg)
	if err := <-over; err != nil {
		t.Error(err)
	}
	if n := b.group.Wanted(); n != 3 {
		t.Errorf("%d processes are wanted, want 3", n)
	}
}

// What cannot be started leaves nothing behind, wherever it has failed.
func TestStartFails(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(*config.Backend)
		want string
	}{
		"account": {func(b *config.Backend) { b.As.User = "nobody-there" }, "nobody-there"},
		"watch":   {func(b *config.Backend) { b.Watch = []string{"/nonexistent"} }, "watch: "},
		"command": {func(b *config.Backend) { b.Command = []string{"/nonexistent"} }, "/nonexistent"},
	} {
		t.Run(name, func(t *testing.T) {
			runtime := t.TempDir()
			t.Setenv("XDG_RUNTIME_DIR", runtime)
			cfg := own(t, 1)
			tt.edit(&cfg)
			b, err := Start(cfg, Setting{}, slog.New(slog.DiscardHandler))
			if err == nil {
				b.Release(t.Context())
				t.Fatal("no error")
			}
			if !strings.HasPrefix(err.Error(), `backend "app": `) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want the backend, and %q", err, tt.want)
			}
			if left, err := os.ReadDir(runtime); err != nil || len(left) > 0 {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}

// It begins with as many processes as that had which it replaces, within what
// its own rule allows.
func TestStartsAsWarm(t *testing.T) {
	for _, tt := range []struct{ ready, want int }{{0, 1}, {2, 2}, {9, 3}} {
		cfg := own(t, 3)
		cfg.Processes.Min, cfg.Processes.Scales = 1, true
		t.Setenv("XDG_RUNTIME_DIR", t.TempDir())
		b, err := Start(cfg, Setting{Ready: tt.ready}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if n := len(b.Status().Processes); n != tt.want {
			t.Errorf("in the place of %d processes: %d, want %d", tt.ready, n, tt.want)
		}
		if err := b.Release(t.Context()); err != nil {
			t.Error(err)
		}
	}
}
