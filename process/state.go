package process

import (
	"math"
	"strconv"
	"time"
)

// A State is where a slot is in the life of its processes.
type State uint8

// The states of a slot. Only in Ready may its process be given requests.
const (
	Down      State = iota // no process; the next one starts when the pause is over
	Starting               // the process exists, and is not ready yet
	Ready                  // the process takes requests
	Ending                 // the process is of no use and being killed; another one follows
	CrashLoop              // Down, after too many deaths in a row
	Draining               // the process finishes the requests that it has, and none follows
	Stopping               // the process has been told to end, and none follows
	Stopped                // no process, and none follows
)

var stateNames = [...]string{"down", "starting", "ready", "ending", "crash loop", "draining", "stopping", "stopped"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "state " + strconv.Itoa(int(s))
}

// leaving reports whether no process follows the one that is there.
func (s State) leaving() bool { return s >= Draining }

// An event is what happens to a slot.
type event uint8

const (
	evTimer  event = iota // the time of the state is up
	evReady               // the process takes requests
	evExit                // the process is gone, or could not be started
	evRetire              // the slot is not wanted any more
	evIdle                // the process has no requests any more
	evAbort               // the process hangs
	evStop                // the group ends
	evKill                // the group ends, and does not wait for anybody
)

// An action is what must be done on the way to a state.
type action uint8

const (
	nothing action = iota
	start          // start a process
	admit          // let it have requests
	settle         // forget the deaths before this process: it has stayed
	pause          // say that it died
	giveUp         // say that it keeps dying
	drain          // wait until it has no requests
	ask            // send the stop signal
	abort          // send the abort signal
	kill           // send SIGKILL to its process group
	finish         // say that it ended as it was told
)

// next is the whole life of a slot: from where it is and what happened follows
// where it goes and what must be done. It touches nothing else. tooMany
// belongs to evExit: this death is one too many in a row.
func next(s State, ev event, tooMany bool) (State, action) {
	process := s == Starting || s == Ready || s == Ending
	switch {
	case s == Stopped:
		return Stopped, nothing

	case (s == Down || s == CrashLoop) && ev == evTimer:
		return Starting, start
	case s == Starting && ev == evReady:
		return Ready, admit
	case s == Starting && ev == evTimer, s == Ending && ev == evTimer:
		return Ending, kill
	case s == Ready && ev == evTimer:
		return Ready, settle
	case s == Ready && ev == evAbort:
		return Ending, abort

	case process && ev == evExit && tooMany:
		return CrashLoop, giveUp
	case process && ev == evExit:
		return Down, pause

	case s == Ready && ev == evRetire:
		return Draining, drain
	case s == Draining && (ev == evIdle || ev == evTimer || ev == evStop):
		return Stopping, ask
	case s == Draining && ev == evAbort:
		return Stopping, abort

	case (s == Down || s == CrashLoop) && (ev == evRetire || ev == evStop || ev == evKill):
		return Stopped, nothing
	case s == Starting && (ev == evRetire || ev == evStop), s == Ready && ev == evStop:
		return Stopping, ask
	case s == Ending && (ev == evRetire || ev == evStop):
		return Stopping, nothing // it is being ended already
	case (process || s == Draining) && ev == evKill, s == Stopping && (ev == evTimer || ev == evKill):
		return Stopping, kill
	case (s == Draining || s == Stopping) && ev == evExit:
		return Stopped, finish
	}
	return s, nothing
}

// A Backoff says how long a slot stays down when its processes die young. The
// zero Backoff is ready to use.
type Backoff struct {
	// Min is the pause after the first death of a process that was not
	// healthy. Zero means DefaultPauseMin; negative, no pause ever.
	Min time.Duration

	// Max bounds the pause. Each death in a row doubles it, from Min up to
	// Max. Zero means DefaultPauseMax; negative, no limit.
	Max time.Duration

	// Healthy is how long a process must have been ready to end a row of
	// deaths; the next one is then started at once. Zero means
	// DefaultHealthy; negative, no run is long enough.
	Healthy time.Duration

	// Limit is the number of deaths in a row that make a crash loop: it is
	// said once, and tried again after Max. Zero means DefaultDeaths;
	// negative, no limit.
	Limit int
}

// after decides about a death: deaths is the number in a row before it, ready
// how long the process had been ready, and wilful whether it ended with exit
// status 0. It returns the number in a row
// now, the pause until the next start, and whether they are too many.
//
// A process that ends by itself and without complaint after some time has
// done its share, as php-cgi after PHP_FCGI_MAX_REQUESTS or a Plack
// application that was asked to (psgix.harakiri): that is no death in a row.
func (b Backoff) after(deaths int, ready time.Duration, wilful bool) (row int, wait time.Duration, tooMany bool) {
	healthy, least := b.healthy(), b.least()
	if healthy >= 0 && ready >= healthy || wilful && ready > 0 && ready >= least {
		return 0, 0, false
	}
	limit := b.Limit
	if limit == 0 {
		limit = DefaultDeaths
	}
	row = deaths + 1
	if most := orDefault(b.Max, DefaultPauseMax); limit > 0 && row >= limit && most >= 0 {
		return row, most, true
	}
	return row, b.pause(deaths), limit > 0 && row >= limit
}

// pause returns the pause after a death that follows others in a row.
func (b Backoff) pause(deaths int) time.Duration {
	most := orDefault(b.Max, DefaultPauseMax)
	if most < 0 {
		most = math.MaxInt64
	}
	wait := b.least()
	for range min(deaths, 63) {
		if wait > most/2 {
			return most
		}
		wait *= 2
	}
	return min(wait, most)
}

func (b Backoff) least() time.Duration { return max(orDefault(b.Min, DefaultPauseMin), 0) }

// healthy returns how long a run ends a row of deaths, or a negative value.
func (b Backoff) healthy() time.Duration { return orDefault(b.Healthy, DefaultHealthy) }
