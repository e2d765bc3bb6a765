package process

import "time"

// A process that somebody kills is not to blame: the next one is started at
// once, and it is no death in a row. But an operator who kills does so now and
// then, and the kernel, when memory has run out, again and again; so this is free
// for a number of times only. After that there is a pause, always the shortest:
// to give up would help nobody.
const (
	// killedReady is how long a process must have been ready: one that is
	// killed while it loads may well be, because it takes too much.
	killedReady = 100 * time.Millisecond

	// killedFree is how many are free, and killedForget the time after which one
	// of them is forgotten.
	killedFree   = 32
	killedForget = 10 * time.Second
)

// A tally counts the processes of a slot that were killed, and forgets them one
// by one. The zero tally is ready to use.
type tally struct {
	n     int
	since time.Time // from then on they are forgotten
}

// another counts one more, and returns the pause until the next start: least is
// the shortest.
func (t tally) another(now time.Time, least time.Duration) (_ tally, pause time.Duration) {
	forgotten := int(now.Sub(t.since) / killedForget)
	if forgotten >= t.n {
		t = tally{since: now}
	} else {
		t.n -= forgotten
		t.since = t.since.Add(time.Duration(forgotten) * killedForget)
	}
	if t.n == killedFree {
		return t, least
	}
	t.n++
	return t, 0
}
