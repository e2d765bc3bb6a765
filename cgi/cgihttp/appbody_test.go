package cgihttp

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

func post(body cgi.Body, length int64) *cgi.Request {
	r := get("/")
	r.Method, r.Body, r.ContentLength = "POST", body, length
	return r
}

func TestBodyKeepsToItsLength(t *testing.T) {
	tests := []struct {
		name   string
		body   cgi.Body
		length int64
		want   string
	}{
		{"exact", cgi.BytesBody([]byte("abc")), 3, `3 "abc" <nil>`},
		{"longer is cut", cgi.BytesBody([]byte("abcd")), 3, `3 "abc" <nil>`},
		{"shorter", cgi.BytesBody([]byte("ab")), 3, `3 "ab" unexpected EOF`},
		{"unknown", cgi.BytesBody([]byte("abc")), -1, `-1 "abc" <nil>`},
		{"said to be empty", cgi.BytesBody([]byte("abc")), 0, `0 "" <nil>`},
		{"none", nil, 5, `0 "" <nil>`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			serve(func(w http.ResponseWriter, r *http.Request) {
				b, err := io.ReadAll(r.Body)
				if got := fmt.Sprintf("%d %q %v", r.ContentLength, b, err); got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
			}, post(tt.body, tt.length))
		})
	}
}

// A stalled body blocks until it is cancelled.
type stalled struct{ cancelled chan struct{} }

func (b *stalled) Read([]byte) (int, error) {
	<-b.cancelled
	return 0, errCancelled
}

func (b *stalled) Cancel() {
	select {
	case <-b.cancelled:
	default:
		close(b.cancelled)
	}
}

func TestReadDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &stalled{make(chan struct{})}
		serve(func(w http.ResponseWriter, r *http.Request) {
			c := http.NewResponseController(w)
			start := time.Now()
			c.SetReadDeadline(start.Add(time.Second))
			c.SetReadDeadline(time.Time{}) // taken back
			time.Sleep(time.Minute)
			c.SetReadDeadline(start.Add(time.Hour))
			_, err := r.Body.Read(make([]byte, 1))
			_, again := r.Body.Read(make([]byte, 1))
			if took := time.Since(start); err != os.ErrDeadlineExceeded || again != err || took != time.Hour {
				t.Errorf("Read = %v, %v after %v, want %v after 1h", err, again, took, os.ErrDeadlineExceeded)
			}
		}, post(b, -1))
	})
}

// A goroutine that the handler left behind must not read on: the body belongs
// to the server again.
func TestBodyAfterReturn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var body io.Reader
		woken := make(chan error, 1)
		serve(func(w http.ResponseWriter, r *http.Request) {
			body = r.Body
			go func() {
				_, err := body.Read(make([]byte, 1))
				woken <- err
			}()
			synctest.Wait()
		}, post(&stalled{make(chan struct{})}, 5))
		if err := <-woken; err == nil {
			t.Error("the Read that was under way got no error")
		}
		if _, err := body.Read(make([]byte, 1)); err != http.ErrBodyReadAfterClose {
			t.Errorf("Read = %v, want http.ErrBodyReadAfterClose", err)
		}
	})
}
