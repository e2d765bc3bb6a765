package process

import (
	"log/slog"
	"maps"
	"syscall"
	"time"
)

// release waits for what is left of a process that has died, its process group
// and its orphans, if it may take time for its end: the children of a pre-forking
// application finish the requests that they have, while their parent is gone at
// the first signal, as php-cgi is. It returns the orphans that it has asked.
//
// reaped is whether nobody holds the number of the group any more but its
// members.
func (r *running) release(status syscall.WaitStatus, reaped bool) (asked map[int]string) {
	asked = make(map[int]string)
	r.mu.Lock()
	sig, limit, ok := r.spec.releases(status, r.asked)
	if r.releasing = ok; r.asked == 0 {
		r.forget()
	}
	r.mu.Unlock()
	if !ok {
		return asked
	}
	var timeout <-chan time.Time // nil: the slot kills it
	if limit > 0 {
		timeout = time.After(limit)
	}
	told := make(map[int]bool)
	syscall.Kill(-r.pid, sig)
	for wait := time.Millisecond; ; wait = min(2*wait, 50*time.Millisecond) {
		if reaped {
			reapGroup(r.pid)
		}
		left, doubt := orphans(r.mark)
		for pid := range left {
			if !told[pid] {
				told[pid] = true
				syscall.Kill(pid, sig)
			}
		}
		maps.Copy(asked, left)
		if len(left) == 0 && !(doubt && wait < orphanDoubt) && !groupLives(r.pid) {
			return asked
		}
		select {
		case <-time.After(wait):
		case <-r.killed:
			return asked
		case <-timeout:
			r.log.Warn("process group killed", slog.String("why", "it did not end for "+limit.String()+" after the process"))
			return asked
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
