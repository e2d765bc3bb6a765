package fastcgi

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
)

func TestRequestBody(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	for _, body := range []string{"", "x", big} {
		t.Run(fmt.Sprint(len(body)), func(t *testing.T) {
			a := startApp(t, func(n int, c *appConn) {
				for {
					params, got, ok := c.request()
					if !ok {
						return
					}
					c.answer(fmt.Sprintf("A: b\n\n%s %d %v", params["CONTENT_LENGTH"], len(got), string(got) == body))
				}
			})
			c := newClient(t, &Client{})
			want := fmt.Sprintf("%d %d true", len(body), len(body))
			for range 3 {
				_, got, err := fetch(t.Context(), c, a.addr, post(cgi.BytesBody([]byte(body)), int64(len(body))))
				if err != nil || got != want {
					t.Fatalf("fetch = %q, %v, want %q", got, err, want)
				}
			}
			if n := a.conns.Load(); n != 1 {
				t.Errorf("connections = %d, want 1", n)
			}
		})
	}
}

// A stalledBody blocks until it is cancelled, as a client does that does not
// go on sending.
type stalledBody struct {
	once   sync.Once
	cancel chan struct{}
}

func newStalledBody() *stalledBody { return &stalledBody{cancel: make(chan struct{})} }
func (b *stalledBody) Cancel()     { b.once.Do(func() { close(b.cancel) }) }
func (b *stalledBody) Read([]byte) (int, error) {
	<-b.cancel
	return 0, errors.New("cancelled")
}

// endless is a body without an end, which an application may not read.
type endless struct{ cancelled atomic.Bool }

func (b *endless) Cancel() { b.cancelled.Store(true) }
func (b *endless) Read(p []byte) (int, error) {
	if b.cancelled.Load() {
		return 0, errors.New("cancelled")
	}
	return len(p), nil
}

// An answer that comes before the request body has been read or sent must
// reach the caller, and closing it must end the sender wherever it waits.
func TestEarlyAnswer(t *testing.T) {
	for name, body := range map[string]cgi.Body{
		"client does not send":      newStalledBody(),
		"application does not read": &endless{},
	} {
		t.Run(name, func(t *testing.T) {
			done := make(chan struct{})
			a := startApp(t, func(n int, c *appConn) {
				for {
					p, err := c.piece()
					if err != nil {
						return
					}
					if p.Type == TypeParams && p.Ends {
						c.answer("Status: 413\n\ntoo large")
						<-done
						return
					}
				}
			})
			defer close(done)
			c := newClient(t, &Client{})
			resp, got, err := fetch(t.Context(), c, a.addr, post(body, 1<<40))
			if err != nil || resp.Status != 413 || got != "too large" {
				t.Errorf("fetch = %v, %q, %v, want 413 too large", resp, got, err)
			}
		})
	}
}
