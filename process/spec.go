package process

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

// A Spec says what the processes of a group are. It must not be changed once
// it has been handed over.
type Spec struct {
	// Name is that of the backend, for log lines and names of sockets.
	Name string

	// Args is the command and its arguments. A command without a slash is
	// looked up in the PATH of Env, a relative one in Dir.
	Args []string

	// Dir is where the process starts. Empty means our own folder, or / if
	// there is a chroot.
	Dir string

	// Env is the whole environment of the process. Nil means CleanEnv(): what
	// our own environment holds is ours (it may hold passwords).
	Env []string

	// Credential says as whom the process runs. Nil means as ourselves.
	Credential *Credential

	// Isolation says what else the process must do without.
	Isolation Isolation

	// Listen says how the process finds its listening socket.
	Listen Listen

	// Socket is one that all processes share, at an address that others know.
	// The zero Socket gives each slot a private one: then it is known who serves
	// what, and no request is lost to a process that ends.
	Socket Socket

	// StopSignal asks a process to end. Zero means SIGTERM. What is left of it
	// when it has ended, as the children of php-cgi with PHP_FCGI_CHILDREN are
	// that still have a request, gets the signal, too. After StopTimeout all of
	// it gets SIGKILL; what a process leaves that has crashed, at once.
	StopSignal  syscall.Signal
	StopTimeout time.Duration // zero means DefaultStopTimeout; negative, no limit

	// AbortSignal is what a hung process gets (Group.Abort): one that makes it
	// say where it hangs. Zero means SIGABRT. SIGKILL follows after
	// AbortTimeout.
	AbortSignal  syscall.Signal
	AbortTimeout time.Duration // zero means DefaultAbortTimeout; negative, no limit

	// Ping asks a process whether it takes requests, and fails until it does.
	// Nil takes every process that runs for ready: what it cannot take yet waits
	// in the socket's queue.
	Ping func(ctx context.Context, network, address string) error

	// StartTimeout bounds the time until a process is ready. Zero means
	// DefaultStartTimeout; negative, no limit.
	StartTimeout time.Duration

	// Idle waits until nobody talks to a process any more that has left the
	// list of Watch, or until ctx is done. Then it gets the stop signal. Nil
	// sends that at once.
	Idle func(ctx context.Context, m Member)

	// Load returns how much a process has to do now. When there are more
	// processes than are wanted, those with the least go first. It must not
	// block, nor call the group. Nil: that is not known.
	Load func(m Member) int

	// DrainTimeout bounds Idle. Zero means DefaultDrainTimeout; negative, no
	// limit.
	DrainTimeout time.Duration

	// A process that is older than MaxAge, or that has more than MaxMemory
	// bytes of resident memory, its process group included, is replaced: when
	// its successor is ready, it drains and ends. Zero means no limit.
	MaxAge    time.Duration
	MaxMemory int64

	// Trial judges processes that share a Socket.
	Trial Trial

	Backoff Backoff

	stopping *atomic.Pointer[stopping] // set by StopWith; nil in a Spec that has no group

	// Refusal is what a connection gets, before it is closed, that was made
	// while no process is there and none will be until a pause is over: the
	// protocol's word for "not now". It was never read, so it is
	// safe to ask somebody else. Nil leaves it waiting.
	Refusal []byte

	// Log takes the life of the processes and, line by line, what they write
	// to stdout and stderr. Nil discards it.
	Log *slog.Logger
}

// A Credential is who a process runs as.
type Credential struct {
	UID, GID uint32
	Groups   []uint32 // besides GID; it has no others, whatever groups we are in
}

// A Listen is a way in which a process finds its listening socket, which the
// group makes and holds open.
type Listen uint8

const (
	// OnDescriptor0: as descriptor 0 (FastCGI 1.0 §2.2).
	OnDescriptor0 Listen = iota

	// AlsoOnDescriptor3: the same, and as descriptor 3, for programs that want
	// descriptor 0 for something else. How they learn of that is left to Args
	// and Env. A php-fpm takes FPM_SOCKETS=NAME=3, with the NAME that is "listen"
	// in its configuration. It removes the file of that name when it ends, so
	// that must not be the socket's.
	AlsoOnDescriptor3

	// ListenFDs: the same, and as systemd does it (sd_listen_fds(3)): the process
	// gets LISTEN_FDS=1, LISTEN_FDNAMES with the Name, and LISTEN_PID. Nobody
	// knows the last before the process is there, so /bin/sh is started, sets
	// it, and becomes the program. It must be there, inside the chroot if there
	// is one; the program's own name, its argument 0, is then its whole path;
	// and variables that a shell cannot have (with a "-" or a "." in the name)
	// may be lost.
	ListenFDs
)

// CleanEnv returns the environment of a process that must not see ours: PATH,
// LANG, TZ and HOME of it, as far as they are set, and extra, entries
// "NAME=value" that come last and win.
func CleanEnv(extra ...string) []string {
	env := make([]string, 0, 4+len(extra))
	for _, name := range []string{"PATH", "LANG", "TZ", "HOME"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	for _, e := range extra {
		name, _, _ := strings.Cut(e, "=")
		env = slices.DeleteFunc(env, func(had string) bool { return strings.HasPrefix(had, name+"=") })
		env = append(env, e)
	}
	return env
}

// Check reports what would keep the processes from starting, as far as it can
// be seen without starting one. NewGroup calls it.
func (s *Spec) Check() error {
	if err := s.check(); err != nil {
		return s.failed(err)
	}
	if err := s.possible(ourPowers()); err != nil {
		return s.failed(err)
	}
	if _, err := s.command(); err != nil {
		return s.failed(err)
	}
	if s.Listen == ListenFDs {
		if err := s.executable(shell); err != nil {
			return s.failed(err)
		}
	}
	return nil
}

// check reports what is wrong with the Spec itself.
func (s *Spec) check() error {
	if len(s.Args) == 0 || s.Args[0] == "" {
		return errors.New("no command is given")
	}
	for _, a := range s.Args {
		if strings.ContainsRune(a, 0) {
			return fmt.Errorf("argument %q has a NUL in it", a)
		}
	}
	for _, e := range s.Env {
		if name, _, ok := strings.Cut(e, "="); !ok || name == "" || strings.ContainsRune(e, 0) {
			return fmt.Errorf("environment entry %.60q is not NAME=value", e)
		}
	}
	if s.Socket != (Socket{}) {
		return s.Socket.check()
	}
	return nil
}

// failed returns err as one about starting the backend.
func (s *Spec) failed(err error) error {
	return fmt.Errorf("process: start %s: %w", cmp.Or(s.Name, "a process"), err)
}

// env returns the environment, never nil: nil would be ours.
func (s *Spec) env() []string {
	if s.Env == nil {
		return CleanEnv()
	}
	return s.Env
}

// variable returns a variable of the environment.
func (s *Spec) variable(name string) (value string) {
	for _, e := range s.env() {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			value = v
		}
	}
	return value
}

// takesFPMSockets reports whether the process is a php-fpm, which takes its
// socket from this variable.
func (s *Spec) takesFPMSockets() bool { return s.variable("FPM_SOCKETS") != "" }

// credential returns as whom the process runs, nil if as ourselves: only root
// may set ids, even to the same.
func (s *Spec) credential() *Credential {
	c := s.Credential
	if c != nil && os.Geteuid() != 0 && int64(c.UID) == int64(os.Geteuid()) && int64(c.GID) == int64(os.Getegid()) {
		return nil
	}
	return c
}

func (s *Spec) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

func (s *Spec) stopSignal() syscall.Signal { return s.howToStop().signal }

// howToStop returns how processes are asked to end.
func (s *Spec) howToStop() stopping {
	if s.stopping != nil {
		if with := s.stopping.Load(); with != nil {
			return *with
		}
	}
	return stopping{cmp.Or(s.StopSignal, syscall.SIGTERM), s.StopTimeout}
}

func (s *Spec) abortSignal() syscall.Signal {
	if s.AbortSignal == 0 {
		return syscall.SIGABRT
	}
	return s.AbortSignal
}

func (s *Spec) abortTimeout() time.Duration { return orDefault(s.AbortTimeout, DefaultAbortTimeout) }

func (s *Spec) drainTimeout() time.Duration { return orDefault(s.DrainTimeout, DefaultDrainTimeout) }

func (s *Spec) stopTimeout() time.Duration {
	return orDefault(s.howToStop().timeout, DefaultStopTimeout)
}

func (s *Spec) startTimeout() time.Duration { return orDefault(s.StartTimeout, DefaultStartTimeout) }
