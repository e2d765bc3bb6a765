package process

import "time"

// A Trial is how processes are judged that share a socket. Which of them has
// taken a connection cannot be seen from outside, so a Ping shows only that one
// of them has: the time that they stay shows the rest. The zero Trial judges
// nobody.
type Trial struct {
	// Length says how long a process must have run until it is ready, besides
	// what Ping says. It may change; nil means that Ping is enough.
	Length func() time.Duration

	// Finished reports whether a process that ended by itself, with exit status
	// 0, has done its share, as php-cgi after PHP_FCGI_MAX_REQUESTS: under load
	// that may be a few milliseconds after its start. Then it is no death, but
	// followed by the next one, which inherits its time on trial. Nil means
	// that it has if it was ready for as long as the first pause of Backoff.
	Finished func(Exit) bool
}

// finishedPause is from start to start, at the least, of processes that have
// Finished: one that does nothing and is mistaken for one that works must not
// take all of the machine.
const finishedPause = 50 * time.Millisecond

// after decides about the end of the process as Backoff.after does, if it has
// not Finished, and nobody has killed it.
func (s *slot) after(exit *Exit, ready time.Duration) (row int, wait time.Duration, tooMany bool) {
	finished := s.spec.Trial.Finished
	if exit.clean && s.useless == nil && finished != nil && finished(*exit) {
		exit.Finished = true
		s.tried += exit.Ran
		return 0, max(finishedPause-exit.Ran, 0), false
	}
	s.tried = 0
	if exit.forced && s.useless == nil && ready >= killedReady {
		s.killed, wait = s.killed.another(exit.At, s.spec.Backoff.least())
		return 0, wait, false
	}
	return s.spec.Backoff.after(s.Deaths, ready, exit.clean)
}

// onTrial reports whether the process has not run for long enough to be ready.
// Then child.ready is closed anew when it has.
func (s *slot) onTrial() bool {
	if s.spec.Trial.Length == nil {
		return false
	}
	left := s.spec.Trial.Length() - s.tried - time.Since(s.Started)
	if left <= 0 {
		return false
	}
	over := make(chan struct{})
	time.AfterFunc(left, func() { close(over) })
	s.child.ready = over
	return true
}

// serves reports whether the place has a process that is ready, or had one that
// has Finished and that another follows.
func (p *place) serves() bool {
	return p.takes() || p.proved && p.view.Last != nil && p.view.Last.Finished
}
