package spawn

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"sync"

	"github.com/sluice-gateway/sluice/cmd/sluice/outcome"
	"github.com/sluice-gateway/sluice/cmd/sluice/service"
	"github.com/sluice-gateway/sluice/internal/sdnotify"
	"github.com/sluice-gateway/sluice/internal/watch"
	"github.com/sluice-gateway/sluice/process"
)

// supervise is the command in the foreground, or the one in the background that
// whoever started it has a report of.
func (p *plan) supervise(ctx context.Context, stderr io.Writer, report *reporter) error {
	refuse := func(err error) error { return p.refused(report, err) }
	// Signals count from before the first process is started, so that none
	// is left behind.
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, heeded...)
	defer signal.Stop(signals)
	service.OutliveReaders()
	log, err := p.openLog(stderr)
	if err != nil {
		return refuse(err)
	}
	defer log.close()
	pid, err := openPIDFile(p.pidFile)
	if err != nil {
		return refuse(outcome.Fail(err))
	}
	defer pid.close()
	defer service.Adopt(log.Logger)()
	app, ready, err := p.newApplication(log.Logger)
	if err != nil {
		return refuse(p.socketError(err))
	}
	s := &supervisor{app: app, rule: p.rule, giveUp: p.retry >= 0, log: log.Logger, signals: signals,
		scale: scale{min: p.min, max: p.max, n: p.min}, patience: 2*p.startAtMost + replaceAtMost}
	stop, err := p.look(ctx, s, ready)
	if err != nil {
		app.stop(ctx, p.rule.stop, p.rule.stopTimeout)
		return refuse(outcome.Fail(err))
	}
	defer stop()
	s.progress = func(now state) { p.tell(log.Logger, now) }
	s.up = func() { p.announce(s, log, pid, report, ready) }
	d, err := s.run(ctx)
	return p.finish(s, report, d, err)
}

// look starts what a supervisor needs to look at besides its processes, and
// returns what ends that and waits for it.
func (p *plan) look(ctx context.Context, s *supervisor, ready *readiness) (stop func(), _ error) {
	ctx, cancel := context.WithCancel(ctx)
	var runs sync.WaitGroup
	stop = func() { cancel(); runs.Wait() }
	if len(p.watch) > 0 {
		files := watch.Files{Paths: p.watch, Except: p.ownFiles(), Log: s.log}
		first, err := files.Look()
		if err != nil {
			stop()
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
	return stop, nil
}

// ownFiles returns the files that we write, which may lie among those that are
// watched.
func (p *plan) ownFiles() (paths []string) {
	for _, path := range []string{p.logFile, p.pidFile} {
		if filepath.IsAbs(path) {
			paths = append(paths, path)
		}
	}
	return paths
}

// announce says that the application is up.
func (p *plan) announce(s *supervisor, log *supervisorLog, pid *pidFile, report *reporter, ready *readiness) {
	const what = "application runs, but has not accepted a connection"
	const advice = "it must accept connections on descriptor 0; --start-timeout waits for longer, --no-ping does not look"
	var message []string
	ready.up()
	if ready.silent() {
		s.log.Warn(what, slog.Duration("for", p.startAtMost), slog.String("advice", advice))
		message = append(message, fmt.Sprintf("%s for %v", what, p.startAtMost), "hint: "+advice)
	}
	if err := pid.write(os.Getpid()); err != nil {
		message = append(message, err.Error())
	}
	p.tell(s.log, running)
	if !report.awaited() {
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
func (p *plan) tell(log *slog.Logger, now state) {
	switch now {
	case running:
		service.Told(log, sdnotify.Ready(fmt.Sprintf("%s at %s", p.args[0], p.address)))
	case reloading:
		service.Told(log, sdnotify.Reloading())
	case stopping:
		service.Told(log, sdnotify.Stopping())
	}
}

// finish returns how the command ends.
func (p *plan) finish(s *supervisor, report *reporter, d *process.Exit, err error) error {
	switch {
	case d != nil:
		return p.refused(report, deathFailure(d, s.isUp))
	case err != nil:
		return p.refused(report, outcome.Fail(err))
	case !s.isUp && report != nil:
		return p.refused(report, outcome.Failf("it was ended before the application was up"))
	}
	return nil
}

// refused hands an error on to whoever waits for the report, or returns it.
func (p *plan) refused(report *reporter, err error) error {
	if !report.awaited() {
		return err
	}
	status := outcome.Problem
	if p.compat {
		status = compatStatus(err)
	}
	report.send(startReport{Status: status, Message: outcome.Lines(err)})
	return outcome.Code(status)
}
