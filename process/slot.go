package process

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"syscall"
	"time"
)

// A slot is the place of one process in its group. It keeps the socket while
// processes come and go, until it is retired.
//
// One goroutine, in run, owns all of its fields; others learn of it what it
// publishes.
type slot struct {
	n       int
	spec    *Spec
	sock    *socket
	log     *slog.Logger
	launch  func() (*child, *startError)
	publish func(view)               // tells the group what has changed
	looping func(bool) (others bool) // tells the group that it is in a crash loop, and whether others are
	retire  <-chan struct{}
	hangs   chan hang
	again   chan struct{} // see Retry
	stop    <-chan struct{}
	kill    <-chan struct{}

	view
	child   *child
	lingers <-chan time.Time // when what a dead process left has had its moment
	doorman *doorman         // while there is a pause
	drainer *drainer         // while the process drains
	readyAt time.Time        // zero if it was not
	tried   time.Duration    // how long those before the process have run that have Finished
	killed  tally            // its processes, by others
	hung    string           // why the process is taken for hung
	useless *startError      // why it was killed, if it was
	inLoop  bool             // and it was said
	timer   *time.Timer
}

// A hang is a process that is taken for hung.
type hang struct {
	pid int
	why string
}

// A view is what others may know of a slot.
type view struct {
	Status
	pause  time.Duration        // after the last death
	output func() []string      // of the process that runs
	signal func(syscall.Signal) // the same; nil if there is none
}

// run lives through the life of the slot, until its end.
//
// It is the group's goroutine, which ends it by closing retire or stop, and
// kill if that takes too long. It blocks in wait, and in launch, as long as the
// kernel needs to start a program.
func (s *slot) run() {
	s.timer = time.NewTimer(0)
	defer s.timer.Stop()
	defer func() { s.doorman.dismiss() }()
	for s.State != Stopped {
		ev, exit := s.wait()
		s.step(ev, exit)
	}
}

// wait waits for the next event.
func (s *slot) wait() (event, Exit) {
	var ready <-chan struct{}
	var exited <-chan Exit
	var died <-chan struct{}
	if s.child != nil {
		exited = s.child.exited
		if !s.Dead {
			died = s.child.died
		}
	}
	if s.State == Starting {
		ready = s.child.ready
	}
	select {
	case <-s.timer.C:
		return evTimer, Exit{}
	case <-ready:
		if s.onTrial() {
			return s.wait()
		}
		return evReady, Exit{}
	case exit := <-exited:
		return evExit, exit
	case <-died:
		s.Dead, s.lingers = true, time.After(lingerTime)
		s.publish(s.view)
		return s.wait()
	case <-s.lingers:
		s.lingers = nil
		s.refuseAll() // what is left finishes, and the next process is not due
		return s.wait()
	case <-s.retire:
		s.retire = nil
		return evRetire, Exit{}
	case <-s.drainer.drained():
		return evIdle, Exit{}
	case h := <-s.hangs:
		if h.pid != s.PID {
			return s.wait() // that one is gone
		}
		s.hung = h.why
		return evAbort, Exit{}
	case <-s.again:
		if s.State != Down && s.State != CrashLoop {
			return s.wait() // there is no pause
		}
		return evTimer, Exit{}
	case <-s.stop:
		s.stop = nil
		return evStop, Exit{}
	case <-s.kill:
		s.stop, s.kill = nil, nil
		return evKill, Exit{}
	}
}

// step does what one event asks for.
func (s *slot) step(ev event, exit Exit) {
	tooMany := ev == evExit && s.gone(exit)
	was := s.State
	var act action
	s.State, act = next(s.State, ev, tooMany)
	if s.State == was && act == nothing {
		return
	}
	if s.State != was {
		s.Since = time.Now()
	}
	if was == Draining {
		s.drainer.end()
		s.drainer = nil
	}
	s.act(act, ev)
	s.arm(was, act)
	s.publish(s.view)
	if s.State == Draining {
		s.drainer = s.drain() // now that nobody is sent here any more
	}
	if act == pause || act == giveUp {
		s.turnAway() // the same
	}
}

// gone takes note of the end of the process, and decides whether it was one
// too many.
func (s *slot) gone(exit Exit) (tooMany bool) {
	s.doorman.dismiss()
	s.doorman, s.lingers, s.Dead = nil, nil, false
	var ready time.Duration
	if !s.readyAt.IsZero() {
		ready = exit.At.Sub(s.readyAt)
	}
	if s.useless != nil {
		exit.Reason, exit.Advice = s.useless.what+" ("+exit.Reason+")", s.useless.advice
	} else if s.State.leaving() {
		exit.Advice = "" // it was asked to
	}
	if !s.State.leaving() {
		s.Deaths, s.pause, tooMany = s.after(&exit, ready)
	}
	if s.Deaths == 0 {
		s.leaveLoop()
		if exit.clean {
			exit.Advice = ""
		}
	}
	s.Last = &exit
	s.child, s.output, s.signal, s.PID, s.readyAt, s.useless = nil, nil, nil, 0, time.Time{}, nil
	return tooMany
}

// act does what next has decided.
func (s *slot) act(a action, ev event) {
	switch a {
	case start:
		s.start()
	case admit:
		s.readyAt = time.Now()
		s.log.Info("process ready", slog.Int("pid", s.PID), slog.String("worker", s.member(s.PID).String()))
	case settle:
		s.Deaths = 0
		s.leaveLoop()
	case pause:
		s.logDeath()
	case giveUp:
		s.enterLoop()
	case drain:
		s.log.Debug("process drains", slog.Int("pid", s.PID))
	case ask:
		s.child.ask(s.spec.stopSignal())
	case abort:
		s.useless = &startError{s.hung, "what it wrote when it got the signal says where it was"}
		s.log.Warn("process aborted", slog.Int("pid", s.PID), slog.String("why", s.hung), slog.String("signal", signalName(s.spec.abortSignal())))
		s.child.signal(s.spec.abortSignal())
	case kill:
		s.end(ev)
	case finish:
		s.log.Info("process ended", slog.Int("pid", s.Last.PID), slog.String("exit", s.Last.Reason))
	}
}

// turnAway lets nobody wait at the socket for the whole of a pause.
func (s *slot) turnAway() {
	if s.pause > 0 {
		s.refuseAll()
	}
}

// refuseAll hires a doorman.
func (s *slot) refuseAll() {
	if s.spec.Refusal == nil || s.spec.Socket != (Socket{}) || s.State.leaving() {
		return // other processes may accept at a shared socket
	}
	var err error
	if s.doorman, err = hire(s.sock, s.spec.Refusal); err != nil {
		s.log.Warn("connections wait for the next process", slog.Any("err", err))
	}
}

// start starts a process. One that cannot be started is one that has died.
func (s *slot) start() {
	s.doorman.dismiss()
	s.doorman = nil
	c, err := s.launch()
	if err != nil {
		exited := make(chan Exit, 1)
		exited <- notStarted(err)
		s.child = &child{exited: exited, signal: ignore, ask: ignore, kill: func() {}}
		return
	}
	if s.Last != nil {
		s.Restarts++
	}
	s.child, s.PID, s.output, s.signal, s.Started = c, c.pid, c.output, c.signal, time.Now()
	s.log.Debug("process started", slog.Int("pid", s.PID))
}

// end kills the process group, and says why.
func (s *slot) end(ev event) {
	switch {
	case s.useless != nil: // that has been said
	case s.State == Ending:
		s.useless = s.spec.notReady()
	case ev == evTimer:
		s.log.Warn("process killed", slog.Int("pid", s.PID),
			slog.String("why", fmt.Sprintf("did not end for %v after %s", s.spec.stopTimeout(), signalName(s.spec.stopSignal()))))
	}
	s.child.kill()
}

// drain waits for the end of the requests that the process has.
func (s *slot) drain() *drainer { return newDrainer(s.spec, s.member(s.PID)) }

// arm sets the timer for the time that the state may last.
func (s *slot) arm(was State, act action) {
	if was == Ending && act == nothing {
		return // the time until SIGKILL goes on
	}
	d := time.Duration(-1)
	switch {
	case s.State == Down || s.State == CrashLoop:
		d = s.pause
	case act == start:
		d = s.spec.startTimeout()
	case s.State == Ready && was != Ready:
		d = s.spec.Backoff.healthy()
	case s.State == Draining:
		d = s.spec.drainTimeout()
	case act == ask:
		d = s.spec.stopTimeout()
	case act == abort:
		d = s.spec.abortTimeout()
	}
	s.timer.Stop()
	if d >= 0 {
		s.timer.Reset(d)
	}
}

// logDeath says that the process died, and when there will be another one.
func (s *slot) logDeath() {
	level, message := slog.LevelWarn, "process died"
	switch {
	case s.Last.PID == 0:
		message = "process not started"
	case s.Deaths == 0 && s.Last.clean:
		level, message = slog.LevelInfo, "process ended by itself"
	}
	s.log.LogAttrs(context.Background(), level, message, s.death()...)
}

// enterLoop says, once for the group, that processes keep dying.
func (s *slot) enterLoop() {
	if s.inLoop || s.looping(true) {
		s.inLoop = true
		s.logDeath()
		return
	}
	s.inLoop = true
	output := strings.Join(s.Last.Output, "\n")
	s.log.LogAttrs(context.Background(), slog.LevelError, "process keeps dying",
		append(s.death(), slog.String("output", output))...)
}

// leaveLoop takes note that the processes do not keep dying: one has stayed, has
// done its share, or was killed by somebody.
func (s *slot) leaveLoop() {
	if s.inLoop {
		s.inLoop = false
		s.looping(false)
		s.log.Info("crash loop over")
	}
}

// death describes the last one.
func (s *slot) death() []slog.Attr {
	attrs := []slog.Attr{slog.Int("pid", s.Last.PID), slog.String("exit", s.Last.Reason),
		slog.Duration("ran", s.Last.Ran), slog.Int("deaths", s.Deaths), slog.Duration("again_in", s.pause)}
	if s.Last.Advice != "" {
		attrs = append(attrs, slog.String("advice", s.Last.Advice))
	}
	return attrs
}

// member returns the process pid as one that takes requests. It may be called
// by anybody.
func (s *slot) member(pid int) Member {
	return Member{Slot: s.n, PID: pid, Network: s.sock.network, Address: s.sock.path}
}

func ignore(syscall.Signal) {}
