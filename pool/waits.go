package pool

import (
	"math/bits"
	"time"
)

// Waits counts requests by how long they waited in the queue. Waits[0] is of
// those that waited less than a millisecond, Waits[i] of those that waited less
// than WaitBound(i) and not less than WaitBound(i-1); the last one is of all
// longer ones. Requests that found a worker at once are in none.
//
// Each bound is the double of the one before: one comparison and no table for
// whoever counts, and fine enough to tell a hiccup from a shortage.
type Waits [16]uint64

// WaitBound returns where the i-th of Waits ends: 1ms, 2ms, 4ms, up to 16.384s.
// The last one has no end; it returns the longest Duration for that.
func WaitBound(i int) time.Duration {
	if i >= len(Waits{})-1 {
		return forever
	}
	return time.Millisecond << i
}

// waited notes a wait that has ended.
func (c *Counts) waited(d time.Duration) {
	c.Waited += d
	c.Most = max(c.Most, d)
	i := bits.Len64(uint64(d / time.Millisecond))
	c.Waits[min(i, len(c.Waits)-1)]++
}
