package fastcgi

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// An application answers without having read the request body, which fills
// the socket, and hangs. The next request on that connection cannot be written,
// and ends with its context or the write timeout.
func TestUnreadBodyFillsTheSocket(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	a := startApp(t, func(n int, c *appConn) {
		for {
			p, err := c.piece()
			if err != nil {
				return
			}
			if p.Type == TypeParams && p.Ends {
				c.answer(hello)
				<-hold
				return
			}
		}
	})
	timeouts := 0
	// Somewhere in this range is the size that the socket takes and that
	// leaves no room for another request.
	for size := 190 << 10; size <= 230<<10; size += 4 << 10 {
		c := &Client{WriteTimeout: 200 * time.Millisecond, FirstByteTimeout: 200 * time.Millisecond}
		fetch(t.Context(), c, a.addr, post(cgi.BytesBody(make([]byte, size)), int64(size)))
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		ended := make(chan error, 1)
		go func() {
			_, _, err := fetch(ctx, c, a.addr, get("/"))
			ended <- err
		}()
		select {
		case err := <-ended:
			failed, ok := errors.AsType[*Error](err)
			if errors.Is(err, context.DeadlineExceeded) || ok && failed.Timeout() {
				timeouts++
			} else if err != nil { // nil: the connection was not kept
				t.Errorf("%d bytes unread: %v, want a timeout", size, err)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%d bytes unread: the next request hangs", size)
		}
		cancel()
		c.Close()
	}
	if timeouts == 0 {
		t.Error("no request met a socket that was full: the test shows nothing")
	}
}
