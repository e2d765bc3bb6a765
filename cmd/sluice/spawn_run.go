package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/internal/address"
	"github.com/sluice-gateway/sluice/internal/dial"
	"github.com/sluice-gateway/sluice/process"
)

// This file is all that a supervisor has to do with package process.

// An application is the processes that a supervisor looks after.
type application interface {
	start() error
	look() []processView
	want(n int)
	restart(ctx context.Context) error // replace them; it returns when that is done
	signal(syscall.Signal)
	stop(ctx context.Context, sig syscall.Signal, timeout time.Duration) error // and give back what is held
}

// A processView is what the supervisor sees of one process and its
// predecessors.
type processView struct {
	ready  bool
	gaveUp bool   // they keep dying
	last   *death // nil if none has died
}

// A death is how a process ended.
type death struct {
	started bool               // else it could not be
	status  syscall.WaitStatus // if it was started
	reason  string
	advice  string
	output  []string // its last lines
}

// group is the application that package process runs.
type group struct{ *process.Group }

var _ application = group{}

// A takenError is that of an address where somebody else listens.
type takenError struct{ address string }

func (e *takenError) Error() string {
	return "somebody else listens on " + e.address + ": end that program, or choose another address"
}

func (e *takenError) Unwrap() error { return syscall.EADDRINUSE }

// newApplication makes the socket. Nothing is started yet.
func (p *spawnPlan) newApplication(ctx context.Context, log *slog.Logger) (application, *readiness, error) {
	if path, isUnix := strings.CutPrefix(p.address, "unix:"); isUnix && listened(ctx, path) {
		return nil, nil, &takenError{p.address}
	}
	r := &readiness{patience: p.startAtMost, ask: p.ping}
	spec := process.Spec{
		Args: p.args, Dir: p.dir, Env: p.env, Log: log,
		Socket:    process.Socket{Address: p.address, Mode: p.mode, UID: p.socketUID, GID: p.sockGID, Backlog: p.backlog},
		Isolation: process.Isolation{Chroot: p.chroot, Umask: p.umask, Nice: p.nice, NoNewPrivs: p.noNewPrivs},
		Ping:      r.ping, StartTimeout: -1, // ping has a limit itself
		StopSignal: p.rule.stop, StopTimeout: limited(p.rule.stopTimeout),
		MaxAge: p.maxAge, MaxMemory: p.maxMemory,
		Backoff: process.Backoff{Min: pauseMin, Healthy: p.healthy, Limit: -1},
	}
	if p.retry >= 0 {
		spec.Backoff.Limit = p.retry + 1
	}
	for _, l := range p.limits {
		spec.Isolation.Limits = append(spec.Isolation.Limits, process.Limit{Name: l.name, Soft: l.soft, Hard: l.hard})
	}
	if id := p.identity; id != nil {
		spec.Credential = &process.Credential{UID: uint32(id.uid), GID: uint32(id.gid)}
		for _, g := range id.groups {
			spec.Credential.Groups = append(spec.Credential.Groups, uint32(g))
		}
	}
	g, err := process.NewGroup(spec, p.min, "")
	if err != nil {
		return nil, nil, err
	}
	return group{g}, r, nil
}

// listened reports whether somebody takes connections on a unix socket.
func listened(ctx context.Context, path string) bool {
	c, err := dial.Dial(ctx, "unix", path, time.Second)
	if err == nil {
		c.Close()
	}
	timeout, ok := errors.AsType[net.Error](err)
	return err == nil || ok && timeout.Timeout() // its queue is full
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

func (g group) look() []processView {
	all := g.Status()
	views := make([]processView, len(all))
	for i, s := range all {
		views[i] = processView{ready: s.State == process.Ready, gaveUp: s.State == process.CrashLoop}
		if e := s.Last; e != nil {
			views[i].last = &death{e.PID != 0, e.Status, e.Reason, e.Advice, e.Output}
		}
	}
	return views
}

// A readiness finds out whether processes take requests.
//
// They share a socket, so one that is starting cannot be told from the others
// by a connection: the first one that reacts shows how long a start takes, and every
// later one is taken for ready when it has run for twice as long.
type readiness struct {
	patience time.Duration
	ask      bool
	first    atomic.Int64 // nanoseconds until the first reaction; 0: there was none yet
	silent   atomic.Bool  // a process did not react in time
}

// ping waits until a process that has just been started is taken for ready. Its
// error is that of ctx, which is done when the process has died.
func (r *readiness) ping(ctx context.Context, network, at string) error {
	start := time.Now()
	if !r.ask {
		return sleep(ctx, runsFor)
	}
	if !reacts(ctx, network, at, r.patience) {
		if ctx.Err() == nil {
			r.silent.Store(true)
		}
		return ctx.Err()
	}
	if r.first.CompareAndSwap(0, max(int64(time.Since(start)), 1)) {
		return nil
	}
	return sleep(ctx, min(2*time.Duration(r.first.Load())+pauseMin, r.patience)-time.Since(start))
}

// waited returns how long a connection to the application waits until somebody
// reacts, at most scaleEvery.
func (r *readiness) waited(ctx context.Context, at address.Address) time.Duration {
	start := time.Now()
	reacts(ctx, at.Network, at.Address, scaleEvery)
	return time.Since(start)
}

// reacts connects, and reports whether the application closes the connection, or
// says something, within the time: then it has accepted it. What it gets is the
// end of a request before its beginning, which is the one thing that all
// applications read alike. FCGI_GET_VALUES would not do: libfcgi goes on reading
// after it, and serves nobody else meanwhile.
func reacts(ctx context.Context, network, at string, within time.Duration) bool {
	asked, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	c, err := dial.Dial(asked, network, at, 0)
	if err != nil {
		<-asked.Done() // we may not connect to it: we cannot know
		return false
	}
	defer c.Close()
	defer context.AfterFunc(asked, func() { c.SetDeadline(time.Unix(1, 0)) })()
	if half, ok := c.(interface{ CloseWrite() error }); ok {
		half.CloseWrite()
	}
	_, err = c.Read(make([]byte, 1))
	return !errors.Is(err, os.ErrDeadlineExceeded)
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
