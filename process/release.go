package process

import (
	"log/slog"
	"syscall"
	"time"
)

// releaseLook is how long it is at the most between two looks at what is left of
// a process. Each reads all of /proc, so it is rather an eighth of the time that
// has passed.
const releaseLook = time.Second

// release waits for what is left of a process that has died, its process group
// and its orphans, if it may take time for its end: the children of a pre-forking
// application finish the requests that they have, while their parent is gone at
// the first signal, as php-cgi is.
//
// reaped is whether nobody holds the number of the group any more but its
// members.
func (r *running) release(status syscall.WaitStatus, reaped bool) {
	r.mu.Lock()
	sig, limit, ok := r.spec.releases(status, r.asked)
	if r.releasing = ok; r.asked == 0 {
		r.forget()
	}
	r.mu.Unlock()
	if !ok {
		return
	}
	var timeout <-chan time.Time // nil: the slot kills it
	if limit > 0 {
		timeout = time.After(limit)
	}
	told := make(map[int]bool)
	syscall.Kill(-r.pid, sig)
	for begin, wait := time.Now(), time.Millisecond; ; wait = min(max(time.Since(begin)/8, time.Millisecond), releaseLook) {
		if reaped {
			reapGroup(r.pid)
		}
		left, doubt := orphans(r.trace)
		for pid := range left {
			if !told[pid] {
				told[pid] = true
				syscall.Kill(pid, sig)
			}
		}
		if len(left) == 0 && !(doubt && time.Since(begin) < orphanDoubt) && !groupLives(r.pid) {
			return
		}
		select {
		case <-time.After(wait):
		case <-r.killed:
			return
		case <-timeout:
			r.log.Warn("process group killed", slog.String("why", "it did not end for "+limit.String()+" after the process"))
			return
		case sig = <-r.passed:
			clear(told)
			syscall.Kill(-r.pid, sig)
		}
	}
}

// releases decides what is done about what is left of a process that has died:
// it gets a signal, and some time, or, if ok is false, SIGKILL at once.
//
// asked is the stop signal that the process got from us, 0 if none; the slot sees
// to the time then. A process that ends as it does when somebody else asks
// it to, as the service manager may that signals all processes of a service at
// once, is taken as one that was asked. Where it has crashed, its children may
// go on for ever, and could keep the address of a successor.
func (s *Spec) releases(status syscall.WaitStatus, asked syscall.Signal) (sig syscall.Signal, limit time.Duration, ok bool) {
	switch {
	case asked != 0:
		return asked, 0, true
	case status.Exited() && status.ExitStatus() == 0, status.Signaled() && status.Signal() == s.stopSignal():
		if limit = s.stopTimeout(); limit <= 0 {
			limit = DefaultStopTimeout
		}
		return s.stopSignal(), limit, true
	}
	return 0, 0, false
}
