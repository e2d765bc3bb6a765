package scale

import "time"

// A meter measures how long a process takes for a request, while requests wait:
// then those that are served are always as many, and Little's law tells the
// rest.
type meter struct {
	at      time.Time // when the present measurement began; zero if nobody waits
	ended   uint64    // requests that had ended then
	service time.Duration
}

// look returns the time for a request; 0 if it is not known. Only what was seen
// a moment ago says something about now, and what was seen for a moment only
// says nothing. While no request ends, each takes as long as that has been so,
// at least.
func (m *meter) look(now time.Time, l Load) time.Duration {
	since, ended := now.Sub(m.at), l.Ended-m.ended
	switch {
	case l.Queued == 0 || l.Busy == 0:
		*m = meter{}
	case m.at.IsZero() || since > maxHorizon && ended > 0:
		*m = meter{at: now, ended: l.Ended}
	case since < Patience/2:
	case ended == 0:
		m.service = max(m.service, since)
	default:
		*m = meter{at: now, ended: l.Ended, service: since * time.Duration(l.Busy) / time.Duration(ended)}
	}
	return m.service
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
