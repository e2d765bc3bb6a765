package spawn

import (
	"context"
	"log/slog"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/process"
)

// This file is all that a supervisor has to do with package process.

// An application is the processes that a supervisor looks after.
type application interface {
	start() error
	look() []process.Status
	changed() <-chan struct{} // closed when look will find something else
	want(n int)
	restart(ctx context.Context) error // replace them; it returns when that is done
	signal(syscall.Signal)
	stop(ctx context.Context, sig syscall.Signal, timeout time.Duration) error // and give back what is held
}

// group is the application that package process runs.
type group struct{ *process.Group }

var _ application = group{}

// newApplication makes the socket. Nothing is started yet.
func (p *plan) newApplication(log *slog.Logger) (application, *readiness, error) {
	r := &readiness{patience: p.startAtMost, ask: p.ping, alone: p.min == 1}
	g, err := process.NewGroup(p.spec(r, log), p.min, "")
	if err != nil {
		return nil, nil, err
	}
	return group{g}, r, nil
}

// spec puts the plan in the words of package process.
func (p *plan) spec(r *readiness, log *slog.Logger) process.Spec {
	spec := process.Spec{
		Args: p.args, Dir: p.dir, Env: p.env, Log: log,
		Socket:    process.Socket{Address: p.address, Mode: p.mode, UID: p.socketUID, GID: p.sockGID, Backlog: p.backlog},
		Isolation: process.Isolation{Chroot: p.chroot, Umask: p.umask, Nice: p.nice, NoNewPrivs: p.noNewPrivs, Limits: p.limits},
		Ping:      r.ping, StartTimeout: -1, // ping has a limit itself
		Trial:      process.Trial{Length: r.trial, Finished: r.finished},
		Credential: p.credential,
		StopSignal: p.rule.stop, StopTimeout: limited(p.rule.stopTimeout),
		MaxAge: p.maxAge, MaxMemory: p.maxMemory,
		Backoff: process.Backoff{Min: pauseMin, Healthy: limited(p.healthy), Limit: -1},
	}
	if p.retry >= 0 {
		spec.Backoff.Limit = p.retry + 1
	}
	return spec
}

// pauseMin is the first pause between a death and the next start.
const pauseMin = 100 * time.Millisecond

// limited says "at once" in the words of package process, where zero means the
// default.
func limited(d time.Duration) time.Duration {
	if d == 0 {
		return 1
	}
	return d
}

func (g group) start() error                      { return g.Start() }
func (g group) want(n int)                        { g.Want(n) }
func (g group) restart(ctx context.Context) error { return g.Restart(ctx) }
func (g group) signal(sig syscall.Signal)         { g.Signal(sig) }

func (g group) stop(ctx context.Context, sig syscall.Signal, timeout time.Duration) error {
	return g.StopWith(ctx, sig, limited(timeout))
}

func (g group) look() []process.Status   { return g.Status() }
func (g group) changed() <-chan struct{} { return g.Changed() }
