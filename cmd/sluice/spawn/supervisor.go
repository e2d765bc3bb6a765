package spawn

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"

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
