package scgi

import "time"

// await sets the time by which the headers must be here.
func (c *serverConn) await() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining {
		c.nc.SetReadDeadline(time.Now().Add(shutdownDiscard))
	} else {
		c.readBy(c.server.paramsTimeout)
	}
}

// readBy sets a read deadline; negative: none.
func (c *serverConn) readBy(d time.Duration) {
	if d < 0 {
		c.nc.SetReadDeadline(time.Time{})
		return
	}
	c.nc.SetReadDeadline(time.Now().Add(d))
}

// hear notes that the request has begun to come: a shutdown waits for it.
func (c *serverConn) hear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.draining && !c.heard {
		c.readBy(c.server.paramsTimeout)
	}
	c.heard = true
}

// Drain gives a connection that is silent, or has been answered, little time.
func (c *serverConn) Drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.draining = true
	if !c.heard || c.whole {
		c.nc.SetReadDeadline(time.Now().Add(shutdownDiscard))
	}
}

// linger ends the writing and throws away what the web server has still to
// say. To close with unread bytes would make the kernel reset the connection
// and take the answer away again.
func (c *serverConn) linger() {
	half, ok := c.nc.(interface{ CloseWrite() error })
	if !ok || half.CloseWrite() != nil {
		return
	}
	c.mu.Lock()
	d := discardTime
	if c.draining {
		d = shutdownDiscard
	}
	c.nc.SetReadDeadline(time.Now().Add(d))
	c.mu.Unlock()
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for total := 0; total <= discardBytes; {
		n, err := c.nc.Read(*buf)
		if err != nil {
			return
		}
		total += n
	}
}
