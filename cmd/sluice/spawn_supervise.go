package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/internal/sdnotify"
	"github.com/sluice-gateway/sluice/internal/watch"
	"github.com/sluice-gateway/sluice/process"
)

// A supervisor looks after an application until it is told to end.
type supervisor struct {
	app      application
	rule     signalRule
	giveUp   bool // when all of it keeps dying, before it was up as well
	log      *slog.Logger
	signals  <-chan os.Signal
	changed  <-chan struct{}    // files have changed; may be nil
	measured <-chan measurement // may be nil
	scale    scale
	patience time.Duration // for processes that replace others
	up       func()        // called once, when the application is up
	progress func(s state) // called when the supervisor's own state has changed

	isUp    bool
	failure *process.Exit // why it was given up
	ending  bool          // the order to end has been given
	rolled  chan error    // of the restart under way; nil if there is none
	again   bool          // another one is to follow
	stopped chan error    // gets the end of the application
	runs    sync.WaitGroup
}

// A state is that of the supervisor as the service manager sees it.
type state uint8

const (
	running state = iota
	reloading
	stopping
)

// replaceAtMost is how long new processes may take to prove themselves, besides
// twice what the first one may take to react: those that end again and again
// with status 0 are otherwise not found out.
const replaceAtMost = 20 * time.Second

// run returns when nothing of the application is left. The death, if it is not
// nil, is why it was given up.
//
// Its goroutines wait for the application's restart and stop; both end with the
// application, and run waits for them.
func (s *supervisor) run(ctx context.Context) (*process.Exit, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer s.runs.Wait()
	defer cancel()
	s.stopped = make(chan error, 1)
	if err := s.app.start(); err != nil {
		return nil, err
	}
	for {
		select {
		case sig := <-s.signals:
			s.obey(ctx, sig.(syscall.Signal))
		case <-s.look(ctx):
		case <-s.changed:
			s.log.Info("files have changed")
			s.replace(ctx)
		case m := <-s.measured:
			s.rescale(m)
		case err := <-s.rolled:
			s.replaced(ctx, err)
		case err := <-s.stopped:
			return s.failure, err
		case <-ctx.Done():
			s.end(context.WithoutCancel(ctx), order{do: end, signal: s.rule.stop, timeout: s.rule.stopTimeout})
			return s.failure, <-s.stopped
		}
	}
}

// obey does what a signal asks for.
func (s *supervisor) obey(ctx context.Context, sig syscall.Signal) {
	switch o := s.rule.order(sig, s.ending); o.do {
	case pass:
		s.log.Info("signal passed on", slog.String("signal", sig.String()))
		s.app.signal(o.signal)
	case end:
		s.log.Info("ending", slog.String("signal", sig.String()), slog.String("hint", "once more passes it on"))
		s.end(ctx, o)
	case replace:
		s.replace(ctx)
	}
}

// end ends the application. What it does is over when stopped gets something.
func (s *supervisor) end(ctx context.Context, o order) {
	if s.ending {
		return
	}
	s.ending = true
	s.progress(stopping)
	s.runs.Go(func() { s.stopped <- s.app.stop(context.WithoutCancel(ctx), o.signal, o.timeout) })
}

// replace puts new processes in the place of the old ones. Being asked while it
// does so, or before the application is up, means that it is to be done then.
func (s *supervisor) replace(ctx context.Context) {
	switch {
	case s.ending:
		return
	case s.rolled != nil, !s.isUp:
		s.again = true
		return
	}
	s.log.Info("replacing the processes")
	s.progress(reloading)
	rolled := make(chan error, 1)
	s.rolled = rolled
	s.runs.Go(func() {
		tooLong := fmt.Errorf("the new processes have not proved themselves for %v", s.patience)
		ctx, cancel := context.WithTimeoutCause(ctx, s.patience, tooLong)
		defer cancel()
		rolled <- s.app.restart(ctx)
	})
}

// asked does what replace has put off.
func (s *supervisor) asked(ctx context.Context) {
	if s.again {
		s.again = false
		s.replace(ctx)
	}
}

// replaced takes note of the end of a restart.
func (s *supervisor) replaced(ctx context.Context, err error) {
	s.rolled = nil
	if s.ending {
		return
	}
	if err != nil {
		s.log.Error("the old processes stay", slog.Any("err", err))
	} else {
		s.log.Info("processes replaced")
	}
	s.progress(running)
	s.asked(ctx)
}

func (s *supervisor) rescale(m measurement) {
	if s.ending || !m.says(s.app.look(), time.Now()) {
		return
	}
	was := s.scale.n
	if s.scale = s.scale.see(m.wait); s.scale.n != was {
		s.log.Info("number of processes changed", slog.Int("from", was), slog.Int("to", s.scale.n), slog.Duration("wait", m.wait))
		s.app.want(s.scale.n)
	}
}

// look finds out whether the application is up, or has failed. It returns what is
// closed when it is time to look again, nil if that will never be.
func (s *supervisor) look(ctx context.Context) (again <-chan struct{}) {
	if s.ending || s.isUp && !s.giveUp {
		return nil
	}
	again = s.app.changed()
	switch v, death := judge(s.app.look(), s.isUp, s.giveUp); v {
	case gotUp:
		s.isUp = true
		s.up()
		s.asked(ctx)
	case failed:
		s.failure = death
		s.log.Error("given up", slog.String("exit", death.Reason))
		s.end(ctx, order{do: end, signal: s.rule.stop, timeout: s.rule.stopTimeout})
	}
	return again
}

// supervise is the command in the foreground, or the one in the background that
// whoever started it has a report of.
func (p *spawnPlan) supervise(ctx context.Context, stderr io.Writer, report *reporter) error {
	refuse := func(err error) error { return p.refused(report, err) }
	p.background = report != nil
	// Signals count from before the first process is started, so that none
	// is left behind.
	signals := make(chan os.Signal, 16)
	for _, sig := range spawnSignals {
		signal.Notify(signals, sig)
	}
	defer signal.Stop(signals)
	// A reader of our output that goes away must not end us: caught and not
	// ignored, because processes that we start would inherit that.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)

	log, err := p.openLog(stderr)
	if err != nil {
		return refuse(err)
	}
	defer log.close()
	pid, err := openPIDFile(p.pidFile)
	if err != nil {
		return refuse(fail(err))
	}
	defer pid.close()
	defer adopt(log.Logger)()
	app, ready, err := p.newApplication(log.Logger)
	if err != nil {
		return refuse(p.socketError(err))
	}
	s := &supervisor{app: app, rule: p.rule, giveUp: p.retry >= 0, log: log.Logger, signals: signals,
		scale: scale{min: p.min, max: p.max, n: p.min}, patience: 2*p.startAtMost + replaceAtMost}
	stop, err := p.look(ctx, s, ready)
	if err != nil {
		app.stop(ctx, p.rule.stop, p.rule.stopTimeout)
		return refuse(fail(err))
	}
	defer stop()
	s.progress = func(now state) { p.tell(log.Logger, now) }
	s.up = func() { p.announce(s, log, pid, report, ready) }
	d, err := s.run(ctx)
	return p.finish(s, report, d, err)
}

// look starts what a supervisor needs to look at besides its processes, and
// returns what ends that and waits for it.
func (p *spawnPlan) look(ctx context.Context, s *supervisor, ready *readiness) (stop func(), _ error) {
	ctx, cancel := context.WithCancel(ctx)
	var runs sync.WaitGroup
	if len(p.watch) > 0 {
		files := watch.Files{Paths: p.watch, Except: p.ownFiles(), Log: s.log}
		first, err := files.Look()
		if err != nil {
			cancel()
			runs.Wait()
			return nil, fmt.Errorf("--watch: %w", err)
		}
		changed := make(chan struct{})
		s.changed = changed
		runs.Go(func() {
			files.Watch(ctx, first, func() {
				select {
				case changed <- struct{}{}:
				case <-ctx.Done():
				}
			})
		})
	}
	if p.max > p.min {
		found := make(chan measurement)
		s.measured = found
		runs.Go(func() { measure(ctx, ready, found) })
	}
	return func() { cancel(); runs.Wait() }, nil
}

// ownFiles returns the files that we write, which may lie among those that are
// watched.
func (p *spawnPlan) ownFiles() (paths []string) {
	for _, path := range []string{p.logFile, p.pidFile} {
		if filepath.IsAbs(path) {
			paths = append(paths, path)
		}
	}
	return paths
}

// announce says that the application is up.
func (p *spawnPlan) announce(s *supervisor, log *spawnLog, pid *pidFile, report *reporter, ready *readiness) {
	var message []string
	ready.up()
	if ready.silent() {
		const what, advice = "application runs, but has not accepted a connection", "it must accept connections on descriptor 0; --start-timeout waits for longer, --no-ping does not look"
		s.log.Warn(what, slog.Duration("for", p.startAtMost), slog.String("advice", advice))
		message = append(message, fmt.Sprintf("%s for %v", what, p.startAtMost), "hint: "+advice)
	}
	if err := pid.write(os.Getpid()); err != nil {
		message = append(message, err.Error())
	}
	p.tell(s.log, running)
	if report == nil {
		return
	}
	if log.nowhere {
		message = append(message, "hint: there is no system log, and nobody sees what the application writes: give --log-file")
	}
	if err := log.detach(); err != nil {
		message = append(message, err.Error())
	}
	report.send(startReport{Up: true, Message: message})
}

// tell tells the service manager how it is with us, if there is one.
func (p *spawnPlan) tell(log *slog.Logger, now state) {
	switch now {
	case running:
		tellManager(log, sdnotify.Ready(fmt.Sprintf("%s at %s", p.args[0], p.address)))
	case reloading:
		tellManager(log, sdnotify.Reloading())
	case stopping:
		tellManager(log, sdnotify.Stopping())
	}
}

// finish returns how the command ends.
func (p *spawnPlan) finish(s *supervisor, report *reporter, d *process.Exit, err error) error {
	switch {
	case d != nil:
		return p.refused(report, deathFailure(d, s.isUp))
	case err != nil:
		return p.refused(report, fail(err))
	case !s.isUp && report != nil:
		return p.refused(report, failf("it was ended before the application was up"))
	}
	return nil
}

// refused hands an error on to whoever waits for the report, or returns it.
func (p *spawnPlan) refused(report *reporter, err error) error {
	if report == nil || report.file == nil {
		return err
	}
	status := exitProblem
	if p.compat {
		status = exitSpawnFCGI
		if e, ok := errors.AsType[*spawnError](err); ok {
			status = e.status
		}
	}
	report.send(startReport{Status: status, Message: messageLines(err)})
	return exitCode(status)
}

// socketError says of an error about the socket what spawn-fcgi says.
func (p *spawnPlan) socketError(err error) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE) && strings.HasPrefix(p.address, "unix:"):
		return failf("socket is already in use, can't spawn: %w", err)
	case errors.Is(err, syscall.EADDRINUSE):
		return failf("bind failed: %s: %w", errnoText(syscall.EADDRINUSE), err)
	case errors.As(err, new(syscall.Errno)):
		return failf("bind failed: %s: %w", errnoText(err), err)
	}
	return fail(err)
}
