package process

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"
)

// A child is a process that has been started, as its slot sees it.
type child struct {
	pid    int
	ready  <-chan struct{} // closed when it takes requests
	died   <-chan struct{} // closed when it has died; what is left of its process group may go on for a while
	exited <-chan Exit     // gets one value when it, and all of its process group, is gone
	signal func(syscall.Signal)
	ask    func(syscall.Signal) // the same, with the stop signal
	kill   func()               // all that is left of it, now
	output func() []string
}

// A running is the other side of a child.
type running struct {
	spec    *Spec
	sock    *socket
	process *os.Process
	pid     int
	queued  int   // connections that waited for it at its start; negative if that is not known
	trace   trace // by which its orphans can be told; without a mark they are not adopted
	started time.Time
	out     *output
	log     *slog.Logger
	passed  chan syscall.Signal // the last one that came, for what is left of it
	killed  chan struct{}       // closed by kill

	mu        sync.Mutex
	asked     syscall.Signal // the stop signal that it got; 0 if it got none
	releasing bool           // release runs, and tells what is left what is passed
	over      bool           // its number, and that of its process group, may be another's
}

// launch starts a process of s, with sock as descriptor 0, from thread t. What
// it starts besides ends with the process; whoever reads child.exited has
// waited for it.
func launch(s *Spec, t *thread, sock *socket, log *slog.Logger) (c *child, _ *startError) {
	path, failed := s.command()
	if failed != nil {
		return nil, failed
	}
	stdin, err := sock.lend()
	if err != nil {
		return nil, &startError{fmt.Sprintf("descriptor 0: %v", err), "it is tried again"}
	}
	defer func() {
		if c == nil {
			sock.takeBack()
		}
	}()
	r, w, err := outputPipe(s.credential())
	if err != nil {
		return nil, &startError{fmt.Sprintf("a pipe for its output: %v", err), "allow us more open files (ulimit -n)"}
	}
	defer w.Close()
	attr := &os.ProcAttr{
		Dir:   s.dir(),
		Env:   s.env(),
		Files: []*os.File{stdin, w, w},
		Sys:   attributes(s),
	}
	s.activated(attr, sock)
	left := s.trace(sock)
	attr.Env = marked(attr.Env, left.mark)
	var p *os.Process
	queued := sock.queued()
	t.do(func() { p, failed = s.begin(path, attr) })
	if failed != nil {
		r.Close()
		return nil, failed
	}
	known.Store(p.Pid, nil)
	log = log.With(slog.Int("pid", p.Pid))
	run := &running{
		spec: s, sock: sock, process: p, pid: p.Pid, queued: queued, trace: left, started: time.Now(), out: &output{r: r, log: log}, log: log,
		passed: make(chan syscall.Signal, 1), killed: make(chan struct{}),
	}
	return run.watched(), nil
}

// outputPipe returns a pipe whose writing end the process may open again by
// its name, as with error_log = /proc/self/fd/2: that takes the right to.
func outputPipe(owner *Credential) (r, w *os.File, err error) {
	r, w, err = os.Pipe()
	if err != nil || owner == nil {
		return r, w, err
	}
	if err := w.Chown(int(owner.UID), int(owner.GID)); err != nil {
		r.Close()
		w.Close()
		return nil, nil, err
	}
	return r, w, nil
}

// watched starts what belongs to the process.
//
// Its goroutines are the slot's. They end when the process has died, which the
// slot brings about with kill: watch waits for the process, and then ends and
// waits for the other two: the reader of the output with a deadline, for a
// descendant that has left the process group may hold the pipe open; and the
// probe, which blocks in a connect, with its context.
func (r *running) watched() *child {
	exited := make(chan Exit, 1)
	died := make(chan struct{})
	ready := make(chan struct{})
	read := make(chan error, 1)
	probed := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())

	go func() { read <- r.out.read() }()
	go func() {
		defer close(probed)
		if r.probe(ctx) {
			close(ready)
		}
	}()
	go func() {
		e := r.wait(died)
		r.sock.takeBack()
		cancel()
		<-probed
		r.out.r.SetReadDeadline(time.Now().Add(outputGrace))
		if err := <-read; err != nil {
			r.log.Warn("process output lost", slog.Any("err", err))
		}
		exited <- r.describe(e)
	}()
	return &child{pid: r.pid, ready: ready, died: died, exited: exited, signal: r.signal, ask: r.ask, kill: r.kill, output: r.out.last}
}

// An end is the bare fact of an Exit.
type end struct {
	at     time.Time
	status syscall.WaitStatus
	err    error // the status is not known
}

// wait waits until the process, all of its process group, and its orphans if we
// adopt them, are gone.
func (r *running) wait(died chan<- struct{}) (e end) {
	reaped := false
	reap := func() {
		known.Delete(r.pid) // its number may be another's in a moment
		if state, err := r.process.Wait(); err == nil {
			e.status = state.Sys().(syscall.WaitStatus)
		} else if e.at.IsZero() { // or it has been known before
			e.err = err
		}
		reaped = true
	}
	// While the process is a zombie its number is that of its group and of
	// nothing else, so this is when signals are sent to that. Where it cannot be
	// waited for without reaping, or not be told from what is left of its group,
	// they are sent as soon after as can be.
	var err error
	if e.status, err = awaitDeath(r.pid); err != nil || !seesProcesses() {
		reap()
	}
	e.at = time.Now()
	close(died)
	r.release(e.status, reaped)
	r.mu.Lock()
	syscall.Kill(-r.pid, syscall.SIGKILL)
	if !reaped {
		reap()
	}
	r.over = true
	r.mu.Unlock()
	if !awaitGroup(r.pid) {
		r.log.Error("process group does not end", slog.Duration("waited", goneTimeout))
	}
	r.endOrphans()
	return e
}

// endOrphans ends what the process has started and what has left its process
// group, as a daemon does: it may hold the listening socket, and take requests
// that are not for it.
func (r *running) endOrphans() {
	all, killed := true, make(map[int]string)
	if r.trace.mark != "" {
		all = endOrphans(r.trace, killed)
	}
	if len(killed) > 0 {
		r.log.Warn("what it left behind was killed", slog.Any("processes", slices.Sorted(maps.Values(killed))),
			slog.String("hint", "what it starts ends with it; run what shall stay by itself, as a service"))
	}
	if !all {
		r.log.Error("what it left behind does not end", slog.Duration("waited", goneTimeout))
	}
}

// describe puts the end into words.
func (r *running) describe(e end) Exit {
	x := Exit{PID: r.pid, At: e.at, Ran: e.at.Sub(r.started), Output: r.out.last()}
	if e.err != nil {
		x.Reason = fmt.Sprintf("gone (%v)", reason(e.err))
		x.Advice = "another part of this program has waited for it, and must not"
		return x
	}
	x.Status = e.status
	x.Reason = inWords(e.status)
	x.Advice = r.spec.advice(e.status, len(x.Output) == 0)
	x.clean = e.status.Exited() && e.status.ExitStatus() == 0
	x.forced = e.status.Signaled() && isForced(e.status)
	return x
}

// signal sends a signal to the process, if it is there. What is left of it
// gets it as well, if it has been asked to end: whether the process was still
// there cannot be known.
func (r *running) signal(sig syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.process.Signal(sig)
	r.forget()
	r.passed <- sig
}

// ask sends the stop signal.
func (r *running) ask(sig syscall.Signal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = sig
	r.process.Signal(sig)
	r.forget() // what came before was for the process alone
	if r.releasing {
		r.passed <- sig
	}
}

// forget takes back a signal that was passed. r.mu is held.
func (r *running) forget() {
	select {
	case <-r.passed:
	default:
	}
}

// kill sends SIGKILL to the process group, if it is there, and to the process
// itself: it may have gone over to another group of our session. What is left
// of it has no time any more.
func (r *running) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.over {
		return
	}
	select {
	case <-r.killed:
	default:
		close(r.killed)
	}
	syscall.Kill(-r.pid, syscall.SIGKILL)
	r.process.Kill()
}

// probe waits until the process takes requests. It returns false if ctx was
// first.
func (r *running) probe(ctx context.Context) bool {
	if r.spec.Ping == nil {
		return true // what it cannot take yet waits in the socket's queue
	}
	asking, over := context.WithCancel(ctx)
	begun := make(chan bool, 1)
	go func() { begun <- r.begins(asking, over) }()
	ready := probe(asking, func() bool { return r.spec.Ping(asking, r.sock.network, r.sock.path) == nil })
	over()
	return (<-begun || ready) && ctx.Err() == nil
}

// begins calls over, and reports true, when the process has taken a connection
// that waited for it at its start: it may be busy with requests from before for
// longer than its start may take, and not come to the question. It returns when
// ctx is done.
func (r *running) begins(ctx context.Context, over func()) bool {
	if r.queued <= 0 || r.spec.Socket != (Socket{}) {
		return false
	}
	most, taken := r.queued, false
	probe(ctx, func() bool {
		n := r.sock.queued()
		most = max(most, n)
		if n < 0 || n == most {
			return false
		}
		taken = true
		over()
		return true
	})
	return taken
}

// probe asks until the answer is yes. It is late by no more than an eighth of the
// time that this has taken, or probeMin.
func probe(ctx context.Context, ask func() bool) bool {
	for begin := time.Now(); !ask(); {
		select {
		case <-time.After(min(max(time.Since(begin)/8, probeMin), probeMax)):
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}
