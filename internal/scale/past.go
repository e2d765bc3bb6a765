package scale

import "time"

// buckets is into how many parts Idle is cut. What was needed is remembered for
// Idle and one part more, at the most.
const buckets = 16

// A past remembers the most that was needed within the last while.
type past struct {
	part time.Duration    // the length of a bucket
	turn time.Time        // when the present one began
	most [buckets + 1]int // of each bucket, the present one first
}

// advance begins new buckets, as time asks.
func (p *past) advance(now time.Time) {
	n := int(min(now.Sub(p.turn)/p.part, buckets+1))
	if n <= 0 {
		return
	}
	copy(p.most[n:], p.most[:])
	clear(p.most[:n])
	p.turn = p.turn.Add(now.Sub(p.turn) / p.part * p.part)
}

func (p *past) note(n int) { p.most[0] = max(p.most[0], n) }

func (p *past) max() (n int) {
	for _, m := range p.most {
		n = max(n, m)
	}
	return n
}
