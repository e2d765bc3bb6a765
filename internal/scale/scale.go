package scale

import (
	"math"
	"time"
)

// A Load is what there is to do at one moment.
type Load struct {
	Busy    int           // requests being served
	Peak    int           // the most that Busy has been since the last look
	Queued  int           // requests that wait
	Longest time.Duration // how long the first of them has waited
	Ended   uint64        // requests that have ended, ever
	Ready   int           // processes that take requests
}

// An Advice is what to do.
type Advice struct {
	Want  int           // processes that there shall be
	Alarm int           // look again when more requests than this are being served
	Again time.Duration // look again after this; 0: not unless something happens
}

// A Scale decides for one backend, look by look. It belongs to one goroutine.
//
// It must be shown the load when a request begins to wait, when processes have
// become ready or are so no more, when more requests are being served than
// Alarm says, and after Again.
type Scale struct {
	rule   Rule
	wanted int
	ready  int
	past   past
	meter  meter
	starts starts
	fell   time.Time // when processes were ended last
	first  int       // processes to begin with, until they are there
	since  time.Time // when they began to start
}

// New returns a Scale for a backend with n processes, from Floor to Max, which
// begin to start at that time. If there are more than Floor, they are needed
// now.
func New(r Rule, n int, now time.Time) *Scale {
	s := &Scale{
		rule:   r,
		wanted: n,
		first:  n,
		since:  now,
		meter:  meter{shared: r.Per == 0},
		past:   past{part: max(r.Idle/buckets, time.Millisecond), turn: now},
		starts: starts{begun: now},
	}
	s.past.note(n)
	return s
}

// Look decides.
func (s *Scale) Look(now time.Time, l Load) Advice {
	s.past.advance(now)
	s.warm(now, l)
	s.starts.look(now, s.ready, l.Ready)
	sight := Sight{
		Busy: max(l.Busy, l.Peak), Queued: l.Queued, Longest: l.Longest,
		Service: s.meter.look(now, l, max(horizon(s.starts.took), sharedMoment)), Start: s.starts.took,
		Wanted: s.wanted, Ready: l.Ready, Past: s.past.max(), Fall: s.fall(now),
	}
	if now.Before(s.starts.until) { // what they do does not count yet
		l.Longest, sight.Longest, sight.Service = 0, 0, 0
	}
	want := Wanted(s.rule, sight)
	s.past.note(s.rule.needed(sight))
	s.starts.want(now, s.wanted, want, l.Ready)
	if want < s.wanted {
		s.fell = now
	}
	s.wanted, s.ready = want, l.Ready
	return Advice{Want: want, Alarm: s.alarm(l), Again: s.again(now, l)}
}

// warmTime is how long the first processes may take to be there: an idle time that
// is shorter than a start must not end them before.
const warmTime = time.Minute

// warm remembers that the first processes are needed for as long as they start.
func (s *Scale) warm(now time.Time, l Load) {
	if s.first == 0 {
		return
	}
	s.past.note(s.first)
	if l.Ready >= s.first || now.Sub(s.since) > warmTime {
		s.first = 0
	}
}

// fall returns how many processes may be ended now: a quarter of them at a
// time, and none until the last ones have been gone for a while.
func (s *Scale) fall(now time.Time) int {
	if s.rule.Idle < 0 || now.Sub(s.fell) < s.past.part {
		return 0
	}
	return max(s.wanted/4, 1)
}

// alarm returns how many requests the processes are meant to serve, without
// the spare ones. If there are more already, more of them change nothing; what
// does is that processes become ready.
func (s *Scale) alarm(l Load) int {
	used := s.wanted - s.rule.Spare
	switch {
	case s.wanted >= s.rule.Max, s.rule.Per < 0 && used > 0, s.crowded(l):
		return math.MaxInt
	case s.rule.Per == 0 && used > 0:
		return max(l.Ready, l.Busy)
	}
	return max(used*s.rule.Per, l.Busy, 0)
}

// crowded reports whether processes have, or just had, more than one request
// each, where nobody has said whether that is too much. Then Look comes back soon
// enough without an alarm: it would ring for every second request.
func (s *Scale) crowded(l Load) bool {
	return s.rule.Per == 0 && l.Ready > 0 && max(l.Busy, l.Peak)+l.Queued > l.Ready
}

// again returns after which time to look again if nothing happens.
func (s *Scale) again(now time.Time, l Load) time.Duration {
	switch {
	case s.crowded(l) && s.wanted < s.rule.Max:
		return max(Patience, s.starts.until.Sub(now))
	case l.Queued > 0 && l.Ready > 0 && s.wanted < s.rule.Max:
		if l.Longest >= Patience {
			return Patience
		}
		return max(Patience-l.Longest, s.starts.until.Sub(now))
	case s.wanted > s.rule.Floor() && s.rule.Idle >= 0:
		return s.past.turn.Add(s.past.part).Sub(now)
	}
	return 0
}
