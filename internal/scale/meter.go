package scale

import "time"

// A meter measures how long a process takes for a request, while requests wait:
// then those that are served are always as many, and Little's law tells the
// rest.
//
// Where nobody has said how many requests a process takes, it is given many, and
// those may wait in it. Then every process is taken to serve one after the other.
// One that does needs for all that it has as many times what it needs for one;
// one that serves them together is found to be that much quicker.
type meter struct {
	shared bool // nobody has said

	at      time.Time // when the present measurement began; zero if nobody waits
	ended   uint64    // requests that had ended then
	serving int       // those that were being served then; of shared ones, one in each process
	looked  time.Time
	service time.Duration
}

// sharedMoment is how long shared requests are watched at the least: on a busy
// machine two hundred quick ones take some time, too.
const sharedMoment = 100 * time.Millisecond

// look returns the time for a request; 0 if it is not known. Only what was seen
// a moment ago says something about now, and what was seen for a moment only
// says nothing: of requests that are served together, less than together, because
// they may end together. While no request ends, each takes as long as that has
// been so, at least.
func (m *meter) look(now time.Time, l Load, together time.Duration) time.Duration {
	waits, serving, moment := l.Queued > 0, l.Busy, Patience/2
	served := serving
	if m.shared {
		waits, serving, moment = l.Busy+l.Queued > l.Ready, min(l.Busy, l.Ready), together
		served = min(m.serving, serving) // what has just come has ended nothing yet
	}
	since, ended := now.Sub(m.at), l.Ended-m.ended
	switch {
	case !waits || serving == 0:
		m.begin(time.Time{}, l, 0, 0)
	case m.at.IsZero() || now.Sub(m.looked) > maxHorizon:
		m.begin(now, l, serving, 0)
	case since < moment:
	case ended > 0:
		m.begin(now, l, serving, since*time.Duration(served)/time.Duration(ended))
	default:
		m.service = max(m.service, since)
	}
	m.looked = now
	return m.service
}

// begin begins a measurement, with what came of the one before.
func (m *meter) begin(now time.Time, l Load, serving int, service time.Duration) {
	m.at, m.ended, m.serving, m.service = now, l.Ended, serving, service
}

// A starts measures how long processes take to start.
type starts struct {
	begun time.Time     // when some began to, all others being ready; zero if none is starting
	took  time.Duration // the last time; 0 if it is not known
	until time.Time     // until then the first process may show what it does
}

// look is told how many were and are ready. When there was none, the first one
// gets as long again before it is judged by those who wait: they do so because
// there was none, and a process is slow at first.
func (s *starts) look(now time.Time, were, ready int) {
	if ready <= were {
		return
	}
	if !s.begun.IsZero() {
		s.took, s.begun = now.Sub(s.begun), time.Time{}
	}
	if were == 0 {
		s.until = now.Add(min(max(s.took, Patience), maxHorizon/2))
	}
}

// want is told how many processes were wanted and are now.
func (s *starts) want(now time.Time, were, are, ready int) {
	if are > were && ready >= were {
		s.begun = now
	}
}
