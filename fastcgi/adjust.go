package fastcgi

import "time"

// bounds are the fields of a Client that Adjust changes, with the defaults
// filled in. They are not changed themselves.
type bounds struct {
	dial, firstByte, read, write time.Duration
	idle                         int
}

// Adjust puts the DialTimeout, FirstByteTimeout, ReadTimeout, WriteTimeout and
// MaxIdle of another Client in force, which need not be one that is used. They
// count for requests that begin from now on; those under way keep what they
// began with. If any of them is another than before, each connection is closed
// when it is not used any more.
//
// Unlike a new Client, one that is adjusted leaves no idle connections behind,
// which would occupy an application with few processes.
func (c *Client) Adjust(to *Client) {
	is := to.bounds()
	if *c.bounds() == *is {
		return
	}
	c.adjusted.Store(is)
	for _, h := range c.known() {
		h.forgetAll()
	}
}

// bounds returns those that are in force.
func (c *Client) bounds() *bounds {
	if b := c.adjusted.Load(); b != nil {
		return b
	}
	b := &bounds{
		dial:      orDefault(c.DialTimeout, DefaultDialTimeout),
		firstByte: orDefault(c.FirstByteTimeout, DefaultFirstByteTimeout),
		read:      orDefault(c.ReadTimeout, DefaultReadTimeout),
		write:     orDefault(c.WriteTimeout, DefaultWriteTimeout),
		idle:      c.MaxIdle,
	}
	if b.idle == 0 {
		b.idle = DefaultMaxIdle
	}
	if !c.adjusted.CompareAndSwap(nil, b) {
		return c.adjusted.Load()
	}
	return b
}
