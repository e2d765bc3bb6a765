package fastcgi

import (
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/internal/hangup"
)

// A vigil looks whether the web server goes away while the driver waits for a
// handler to read its body, and so reads nothing himself. It is a timer,
// because most handlers read on before there is anything to see.
type vigil struct {
	timer *time.Timer   // nil at first
	ended chan struct{} // holds one token when a vigil that had begun is over
}

// vigilDelay is how long a driver waits until somebody looks.
const vigilDelay = 20 * time.Millisecond

// begin is called by the driver, who calls end after it.
func (v *vigil) begin(c *serverConn) {
	if v.timer == nil {
		v.ended = make(chan struct{}, 1)
		v.timer = time.AfterFunc(vigilDelay, func() { // end ends it, and waits
			if hangup.Await(c.nc) == nil {
				c.Close(fmt.Errorf("%w: closed by the web server", ErrConnectionLost))
			}
			v.ended <- struct{}{}
		})
		return
	}
	v.timer.Reset(vigilDelay)
}

// end ends a vigil, and gives the connection its deadline back.
func (v *vigil) end(c *serverConn) {
	if v.timer.Stop() {
		return
	}
	c.mu.Lock()
	c.waking = true
	c.nc.SetReadDeadline(time.Unix(1, 0))
	c.mu.Unlock()
	<-v.ended
	c.mu.Lock()
	defer c.mu.Unlock()
	c.waking = false
	c.readBy(c.by)
}

// readBy sets the read deadline, at once or when a vigil has ended. mu is held.
func (c *serverConn) readBy(t time.Time) {
	if c.by = t; !c.waking {
		c.nc.SetReadDeadline(t)
	}
}
