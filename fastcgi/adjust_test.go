package fastcgi

import (
	"context"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A request keeps the times that it began with; the next one has the others.
func TestAdjustTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go io.Copy(io.Discard, theirs) // until ours is closed
			return ours, nil
		}
		c := &Client{FirstByteTimeout: 10 * time.Second, IdleTimeout: -1, Dial: silent}
		defer c.Close()
		wants := func(want string) {
			_, _, err := fetch(t.Context(), c, nowhere, get("/"))
			if err == nil || err.Error() != want {
				t.Errorf("error %v, want %q", err, want)
			}
		}
		var first sync.WaitGroup
		first.Go(func() { wants("fastcgi: receive unix:/nonexistent/s: no answer for 10s") })
		time.Sleep(time.Second)
		c.Adjust(&Client{FirstByteTimeout: 2 * time.Second})
		wants("fastcgi: receive unix:/nonexistent/s: no answer for 2s")
		first.Wait()
	})
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
		"nothing":      {&Client{MaxIdle: DefaultMaxIdle, ReadTimeout: DefaultReadTimeout}, true},
		"dials":        {&Client{DialTimeout: time.Second}, false},
		"first bytes":  {&Client{FirstByteTimeout: time.Second}, false},
		"reads":        {&Client{ReadTimeout: time.Second}, false},
		"writes":       {&Client{WriteTimeout: time.Second}, false},
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
