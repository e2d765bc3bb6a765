package scale

import "time"

// A Rule is what is configured.
type Rule struct {
	Min, Max int // processes; Max wins
	Spare    int // processes that have nothing to do, for what comes next

	// Per is how many requests one process is meant to serve at a time. It may
	// be less than the process could take: that is lighttpd's max-load-per-proc.
	// Negative, as many as come. Zero, nobody has said: a process is given many
	// then, and if they get slow for that others are started.
	Per int

	// Idle is how long a process must not have been needed before it is ended.
	// Negative: processes stay.
	Idle time.Duration
}

// Floor returns how many processes there are when there is nothing to do.
func (r Rule) Floor() int { return min(max(r.Min, r.Spare, 0), r.Max) }

// Fixed reports whether there is nothing to decide.
func (r Rule) Fixed() bool { return r.Floor() == r.Max }

// A Sight is what can be seen, and what is remembered.
type Sight struct {
	Busy    int           // requests being served
	Queued  int           // requests that wait
	Longest time.Duration // how long the first of them has waited
	Service time.Duration // how long a process takes for one request, one after the other if nobody has said more; 0: not known
	Start   time.Duration // how long a process takes to come up; 0: not known

	Wanted int // processes that there are to be, as decided the last time
	Ready  int // those of them that take requests; the others are starting, or fail to
	Past   int // the most that were needed within Idle
	Fall   int // how many may be ended now
}

const (
	// Patience is how long a request waits before that counts as a want of
	// processes, when there are processes. Requests do not come evenly, and what
	// waits for less is served before another process could have helped.
	Patience = 10 * time.Millisecond

	// A queue that is gone within the time in which a process starts asks for
	// none. But what starts quickly is not started for every trifle, and for
	// what starts slowly nobody waits that long before it is begun.
	minHorizon = 50 * time.Millisecond
	maxHorizon = 200 * time.Millisecond

	// batch is how many processes may be starting at a time; if more are ready,
	// as many as those. What starts takes processor time from what works.
	batch = 16
)

// Wanted returns how many processes there shall be: what is needed now, at
// once; no less than what was needed within Idle, so that nothing is ended and
// started again; and on the way down a few at a time.
func Wanted(r Rule, s Sight) int {
	n := max(r.needed(s), s.Past, r.Floor())
	if n < s.Wanted {
		n = max(n, s.Wanted-s.Fall)
	}
	return min(n, r.Max)
}

// needed returns how many processes the load needs, spare ones included.
func (r Rule) needed(s Sight) int {
	n := max(r.take(r.using(s)), r.take(r.asking(s))) + r.Spare
	return min(n, max(s.Wanted, s.reach()), r.Max)
}

// using returns how many of the requests that are being served keep processes.
// Where it is not known how many one takes they keep those that there are, and
// ask for no more: 200 may be well with one.
func (r Rule) using(s Sight) int {
	if r.Per == 0 {
		return min(s.Busy, max(s.Wanted-r.Spare, 1))
	}
	return s.Busy
}

// take returns how many processes take so many requests.
func (r Rule) take(requests int) int {
	if r.Per < 0 {
		return min(requests, 1)
	}
	per := max(r.Per, 1)
	return (requests + per - 1) / per
}

// asking returns how many requests are to be served at a time so that the queue
// is soon gone; 0 if it says nothing. If they take long that is all of them; of
// quick ones a process serves one after the other. Two hundred that
// take a millisecond each do not ask for two hundred processes.
func (r Rule) asking(s Sight) int {
	horizon := horizon(s.Start)
	switch all := s.Busy + s.Queued; {
	case !r.waits(s):
		return 0
	case s.Service == 0 || s.Service >= horizon:
		return all
	default:
		return int((time.Duration(all)*s.Service + horizon - 1) / horizon)
	}
}

// waits reports whether requests wait for want of processes. Where it is not
// known how many one takes, they may wait in the process as well; then what one
// does for them must have been measured.
func (r Rule) waits(s Sight) bool {
	switch {
	case s.Ready == 0:
		return s.Queued > 0
	case r.Per == 0:
		return s.Busy+s.Queued > s.Ready && s.Service > 0
	}
	return s.Queued > 0 && s.Longest >= Patience
}

// horizon is how long a queue may last that asks for no process, when one takes
// that long to start.
func horizon(start time.Duration) time.Duration { return min(max(start, minHorizon), maxHorizon) }

// reach returns how many processes there may be at the most after one more
// decision. While none is ready nobody knows whether they come up at all, and
// how much one does: then one is started, however many requests wait.
func (s Sight) reach() int {
	if s.Ready == 0 {
		return 1
	}
	return s.Ready + max(batch, s.Ready)
}
