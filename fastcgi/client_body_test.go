package fastcgi

import (
	"errors"
	"fmt"
	"io"
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

// lengths are requests whose STDIN or DATA has another length than announced.
func lengths(method string, has, announced int64) map[string]*cgi.Request {
	body := func() cgi.Body { return &once{Reader: io.LimitReader(zeros{}, has)} }
	stdin := post(body(), announced)
	stdin.Method = method
	data := get("/")
	data.Method, data.Role, data.Data = method, cgi.Filter, &cgi.Data{Body: body(), Length: announced}
	return map[string]*cgi.Request{"request body": stdin, "filter data": data}
}

// A body that is shorter than announced must not look whole to the application,
// and is no fault of its connection.
func TestBodyShorterThanAnnounced(t *testing.T) {
	a := startMux(t, &Server{Handler: sums{}, Filter: sums{}})
	for _, method := range []string{"POST", "PUT"} {
		for _, has := range []int64{0, 1, 9, sendBuffer, sendBuffer + 9} {
			for name, c := range map[string]*Client{"own": newClient(t, &Client{}), "shared": muxClientOf(t, a)} {
				for stream, r := range lengths(method, has, has+1) {
					_, body, err := fetch(t.Context(), c, a.addr, r)
					failed, ok := errors.AsType[*Error](err)
					want := fmt.Sprintf("%s: ends 1 bytes before its length of %d", stream, has+1)
					if !ok || failed.Op != "send" || failed.SafeToRetry || failed.Stale || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), want) {
						t.Errorf("%s of %d bytes, %s connection: %q, %+v, want an error of sending with %q", method, has, name, body, err, want)
					}
				}
			}
		}
	}
}

// Of a body that is longer than announced the application gets what it was told,
// and no more is read.
func TestBodyLongerThanAnnounced(t *testing.T) {
	a := startMux(t, &Server{Handler: sums{}, Filter: sums{}})
	for _, announced := range []int64{0, 1, 9, sendBuffer, sendBuffer + 9} {
		for name, c := range map[string]*Client{"own": newClient(t, &Client{}), "shared": muxClientOf(t, a)} {
			for stream, r := range lengths("POST", announced+100, announced) {
				want := sumsOf(int(announced), -1)
				body := r.Body
				if r.Data != nil {
					want, body = sumsOf(0, int(announced)), r.Data.Body
				}
				if _, got, err := fetch(t.Context(), c, a.addr, r); err != nil || got != want {
					t.Errorf("%s of %d bytes, %s connection: %q, %v, want %q", stream, announced, name, got, err, want)
				}
				if n, _ := io.Copy(io.Discard, body); n != 100 {
					t.Errorf("%s of %d bytes, %s connection: %d bytes are left, want 100", stream, announced, name, n)
				}
			}
		}
	}
}

// muxClientOf is a client that takes for granted that a multiplexes, and has
// flow control.
func muxClientOf(t *testing.T, a *muxApp) *Client {
	c, h := muxHost(t, &Client{}, a.addr)
	h.mux.window = DefaultMaxBodyAhead
	return c
}
