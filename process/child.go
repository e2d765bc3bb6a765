package process

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"syscall"
	"time"
)

// A child is a process that has been started, as its slot sees it.
type child struct {
	pid    int
	ready  <-chan struct{} // closed when it takes requests
	exited <-chan Exit     // gets one value when it, and all of its process group, is gone
	signal func(syscall.Signal)
	kill   func() // its process group
	output func() []string
}

// A running is the other side of a child.
type running struct {
	spec    *Spec
	sock    *socket
	process *os.Process
	pid     int
	mark    string // by which its orphans can be told; empty if they are not adopted
	started time.Time
	out     *output
	log     *slog.Logger

	mu     sync.Mutex
	reaped bool // its number may be another's
}

// launch starts a process of s, with sock as descriptor 0, from thread t. What
// it starts besides ends with the process; whoever reads child.exited has
// waited for it.
func launch(s *Spec, t *thread, sock *socket, log *slog.Logger) (*child, *startError) {
	path, failed := s.command()
	if failed != nil {
		return nil, failed
	}
	if s.Listen == BySelf {
		if failed := vacate(s.listens(), s.Credential); failed != nil {
			return nil, failed
		}
	}
	stdin, err := descriptor0(sock)
	if err != nil {
		return nil, &startError{fmt.Sprintf("descriptor 0: %v", err), "it is tried again"}
	}
	if sock == nil {
		defer stdin.Close()
	}
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
	var mark string
	if adopting.Load() {
		mark = rand.Text()
		attr.Env = marked(attr.Env, mark)
	}
	var p *os.Process
	t.do(func() { p, failed = s.begin(path, attr) })
	if failed != nil {
		r.Close()
		return nil, failed
	}
	log = log.With(slog.Int("pid", p.Pid))
	run := &running{spec: s, sock: sock, process: p, pid: p.Pid, mark: mark, started: time.Now(), out: &output{r: r, log: log}, log: log}
	return run.watched(), nil
}

// descriptor0 returns what a process finds as descriptor 0. An application may
// have made the socket non-blocking for all who hold it; its successor gets it
// as it was.
func descriptor0(sock *socket) (*os.File, error) {
	if sock == nil {
		return os.Open(os.DevNull)
	}
	return sock.file, syscall.SetNonblock(int(sock.file.Fd()), false)
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
		e := r.wait()
		cancel()
		<-probed
		r.out.r.SetReadDeadline(time.Now().Add(outputGrace))
		if err := <-read; err != nil {
			r.log.Warn("process output lost", slog.Any("err", err))
		}
		exited <- r.describe(e)
	}()
	return &child{pid: r.pid, ready: ready, exited: exited, signal: r.signal, kill: r.kill, output: r.out.last}
}

// An end is the bare fact of an Exit.
type end struct {
	at     time.Time
	status syscall.WaitStatus
	err    error // the status is not known
}

// wait waits until the process, all of its process group, and its orphans if we
// adopt them, are gone. What is left of them when the process has died gets
// SIGKILL: it could keep the address of a successor.
func (r *running) wait() (e end) {
	// While the process is a zombie its number is that of its group and of
	// nothing else, so this is when the signal is sent. Where it cannot be
	// waited for without reaping, it is sent as soon after as can be.
	var state *os.ProcessState
	zombie := awaitDeath(r.pid) == nil
	if !zombie {
		state, e.err = r.process.Wait()
	}
	e.at = time.Now()
	r.mu.Lock()
	syscall.Kill(-r.pid, syscall.SIGKILL)
	if zombie {
		state, e.err = r.process.Wait()
	}
	r.reaped = true
	r.mu.Unlock()
	if e.err == nil {
		e.status = state.Sys().(syscall.WaitStatus)
	}
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
	if r.mark == "" {
		return
	}
	ended, all := endOrphans(r.mark)
	if len(ended) > 0 {
		r.log.Warn("what it left behind was killed", slog.Any("processes", ended),
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

// signal sends a signal to the process, if it is there.
func (r *running) signal(sig syscall.Signal) {
	r.process.Signal(sig)
}

// kill sends SIGKILL to the process group, if it is there, and to the process
// itself: it may have gone over to another group of our session.
func (r *running) kill() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.reaped {
		syscall.Kill(-r.pid, syscall.SIGKILL)
		r.process.Kill()
	}
}

// probe waits until the process takes requests. It returns false if ctx was
// first.
func (r *running) probe(ctx context.Context) bool {
	switch {
	case r.spec.Listen == BySelf:
		at := r.spec.listens()
		return probe(ctx, func() bool { return answers(ctx, at) })
	case r.spec.Ping != nil:
		return probe(ctx, func() bool { return r.spec.Ping(ctx, r.sock.network, r.sock.path) == nil })
	}
	return true // what it cannot take yet waits in the socket's queue
}

// probe asks until the answer is yes.
func probe(ctx context.Context, ask func() bool) bool {
	for wait := probeMin; !ask(); wait = min(2*wait, probeMax) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return false
		}
	}
	return ctx.Err() == nil
}
