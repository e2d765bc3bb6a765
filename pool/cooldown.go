package pool

import "time"

// A Cooldown says how long a worker that failed is left out. The zero
// Cooldown is ready to use.
//
// No timer ends it: a time is compared when a worker is chosen. And it is a
// preference: no request is refused for it. When every worker is cooling down, the
// one whose time is up first is used at once; when the others are busy, it is
// used by whoever has waited for 100 ms, unless it has failed within those, and
// at once when the queue is full or a request has waited as long as it may.
type Cooldown struct {
	// Min is the time after the first failure. Zero means DefaultCooldownMin;
	// negative, workers never cool down.
	Min time.Duration

	// Max bounds the time. Each failure after the end of a cool-down doubles
	// it, from Min up to Max; a success ends it and starts again from Min.
	// Zero means DefaultCooldownMax; negative, no limit.
	Max time.Duration
}

func (c Cooldown) orDefault() Cooldown {
	if c.Min >= 0 {
		c.Min = orDefault(c.Min, DefaultCooldownMin, 0)
	}
	c.Max = max(orDefault(c.Max, DefaultCooldownMax, forever), c.Min)
	return c
}

// pause is the time after so many failures in a row.
func (c Cooldown) pause(failures int) time.Duration {
	d := c.Min
	for ; failures > 1; failures-- {
		if d > c.Max/2 {
			return c.Max
		}
		d *= 2
	}
	return min(d, c.Max)
}

// A health is what is remembered of how a worker did. The zero health is that
// of a worker that has not failed.
type health struct {
	failures int       // in a row
	until    time.Time // it is cooling down until then
}

// reluctance is how long a request waits for a better worker than one that is
// cooling down, and how long that one is not asked after a failure: a worker
// that is well but failed once is soon of use, and one that fails whatever it gets
// is given ten requests a second, not all that wait.
const reluctance = 100 * time.Millisecond

// again returns when a worker that is cooling down may be tried by a request
// that has waited.
func (h health) again(c Cooldown) time.Time { return h.until.Add(reluctance - c.pause(h.failures)) }

// cooling reports whether the worker is cooling down. A zero now is a time
// when no worker is.
func (h health) cooling(now time.Time) bool {
	return !now.IsZero() && now.Before(h.until)
}

// failed is the health after a failure. Those that come while the worker is
// cooling down do not double the time: a worker that dies with 50 requests has
// failed once. They do start it afresh, so that workers which all fail are
// used in turn.
func (h health) failed(c Cooldown, now time.Time) health {
	if c.Min < 0 {
		return health{}
	}
	if !h.cooling(now) {
		h.failures++
	}
	h.until = now.Add(c.pause(h.failures))
	return h
}
