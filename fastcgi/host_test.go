package fastcgi

import (
	"testing"
	"time"
)

// An application with one process serves one connection at a time. The one
// that we keep must not lock out a request that waits on another, even when no
// further request comes.
func TestIdleConnectionMakesRoom(t *testing.T) {
	process := make(chan bool, 1)
	queued := make(chan bool)
	a := startApp(t, func(n int, c *appConn) {
		if n == 1 {
			close(queued)
		}
		process <- true
		defer func() { <-process }()
		for {
			if _, _, ok := c.request(); !ok {
				return
			}
			if n == 0 {
				<-queued // so that this connection is kept while the other waits
			}
			c.answer(hello)
		}
	})
	c := newClient(t, &Client{FirstByteTimeout: 20 * time.Second, IdleTimeout: -1})
	ended := make(chan error)
	for range 2 {
		go func() {
			_, _, err := fetch(t.Context(), c, a.addr, get("/"))
			ended <- err
		}()
	}
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}
