package fastcgi

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// A request keeps the times that it began with; the next one has the others.
func TestAdjustTimes(t *testing.T) {
	silent := func(_ *kept, c *appConn) { io.Copy(io.Discard, c) }
	for name, tt := range map[string]struct {
		after time.Duration // the beginning of the request; zero: before it
		want  string
	}{
		"before a request": {0, "fastcgi: receive unix:/nonexistent/s: no answer for 2s"},
		"while it waits":   {time.Second, "fastcgi: receive unix:/nonexistent/s: no answer for 10s"},
	} {
		t.Run(name, func(t *testing.T) {
			withKept(t, &Client{FirstByteTimeout: 10 * time.Second, IdleTimeout: -1}, silent, func(t *testing.T, k *kept) {
				to := &Client{FirstByteTimeout: 2 * time.Second}
				if tt.after == 0 {
					k.client.Adjust(to)
				} else {
					time.AfterFunc(tt.after, func() { k.client.Adjust(to) })
				}
				_, err := k.do(get("/"))
				if err == nil || err.Error() != tt.want {
					t.Errorf("error %v, want %q", err, tt.want)
				}
			})
		})
	}
}

// A connection stays if nothing of it changes; there is nowhere to connect to for
// another.
func TestAdjustConnections(t *testing.T) {
	held := func(k *kept, c *appConn) { // answers when it is told to
		for {
			if _, _, ok := c.request(); !ok {
				return
			}
			<-k.resume
			c.answer(hello)
		}
	}
	for name, tt := range map[string]struct {
		to    *Client
		stays bool
	}{
		"times":        {&Client{FirstByteTimeout: time.Second, ReadTimeout: time.Second, DialTimeout: time.Second}, true},
		"more to keep": {&Client{MaxIdle: 100}, true},
		"writes":       {&Client{WriteTimeout: time.Second}, false},
		"fewer":        {&Client{MaxIdle: 1}, false},
		"none to keep": {&Client{MaxIdle: -1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			client := func() *Client { return &Client{IdleTimeout: -1} }
			withKept(t, client(), held, func(t *testing.T, k *kept) { // not used
				close(k.resume)
				k.client.Adjust(tt.to)
				_, err := k.do(get("/"))
				if kept := err == nil; kept != tt.stays {
					t.Errorf("the next request: %v; the connection is to stay: %v", err, tt.stays)
				}
			})
			withKept(t, client(), held, func(t *testing.T, k *kept) { // used
				first := make(chan error)
				go func() { _, err := k.do(get("/")); first <- err }()
				synctest.Wait()
				k.client.Adjust(tt.to)
				close(k.resume)
				if err := <-first; err != nil {
					t.Errorf("the request under way: %v", err)
				}
				synctest.Wait()
				_, err := k.do(get("/"))
				if failed, ok := errors.AsType[*Error](err); tt.stays != (err == nil) || err != nil && (!ok || failed.Op != "dial") {
					t.Errorf("the request after it: %v; the connection is to stay: %v", err, tt.stays)
				}
			})
		})
	}
}
