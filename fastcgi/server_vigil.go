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
	c.nc.SetReadDeadline(time.Unix(1, 0))
	<-v.ended
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.lingering.Load() {
		c.nc.SetReadDeadline(c.deadline)
	}
}
