package cgihttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A closeCounter is a body that counts.
type closeCounter struct {
	io.Reader
	closed atomic.Int64
}

func (c *closeCounter) Close() error {
	c.closed.Add(1)
	return nil
}

// The request body is closed once, whatever becomes of the request.
func TestTransportClosesBody(t *testing.T) {
	tests := []struct {
		name string
		h    http.HandlerFunc
		ok   bool
	}{
		{"read", func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) }, true},
		{"not read", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "no") }, true},
		{"no content", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(204) }, true},
		{"failed", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := startHTTPApp(t, tt.h)
			body := &closeCounter{Reader: strings.NewReader(strings.Repeat("x", 1<<20))}
			res, err := c.Post("http://h/", "text/plain", body)
			if (err == nil) != tt.ok {
				t.Fatalf("error = %v", err)
			}
			if err == nil {
				io.Copy(io.Discard, res.Body)
				res.Body.Close()
			}
			waitFor(t, func() bool { return body.closed.Load() > 0 })
			time.Sleep(time.Millisecond) // a second Close would come now
			if n := body.closed.Load(); n != 1 {
				t.Errorf("closed %d times", n)
			}
		})
	}
}

func waitFor(t *testing.T, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited for 10 s")
		}
	}
}

func TestTransportBodyLengths(t *testing.T) {
	c := startHTTPApp(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		_, said := Param(r, "CONTENT_LENGTH")
		fmt.Fprintf(w, "%q %v %v", b, said, err)
	})
	tests := []struct {
		name   string
		body   io.Reader
		length int64
		want   string // "" is an error
	}{
		{"known", strings.NewReader("abc"), 3, `200 "abc" true <nil>`},
		{"unknown", io.NopCloser(strings.NewReader("abc")), -1, `200 "abc" false <nil>`},
		{"0 is unknown, too", io.NopCloser(strings.NewReader("abc")), 0, `200 "abc" false <nil>`},
		{"longer is cut", io.NopCloser(strings.NewReader("abcd")), 3, `200 "abc" true <nil>`},
		{"shorter", io.NopCloser(strings.NewReader("ab")), 3, ""},
		{"none", http.NoBody, 0, `200 "" false <nil>`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := http.NewRequest("POST", "http://h/", tt.body)
			r.ContentLength = tt.length
			res, err := c.Do(r)
			if err != nil {
				if tt.want != "" || !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("error = %v, want %q", err, tt.want)
				}
				return
			}
			defer res.Body.Close()
			b, _ := io.ReadAll(res.Body)
			if got := fmt.Sprintf("%d %s", res.StatusCode, b); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// A body that waits for its sender must not hold up an answer that does not
// need it, nor the end of the exchange.
func TestTransportAnswerBeforeBody(t *testing.T) {
	c := startHTTPApp(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "early") })
	for name, body := range map[string]func() (io.Reader, func()){
		"pipe": func() (io.Reader, func()) {
			r, w := io.Pipe()
			return r, func() { w.Close() }
		},
		"Close waits for Read": func() (io.Reader, func()) {
			b := &stubborn{more: make(chan struct{})}
			return b, func() { close(b.more) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			b, release := body()
			defer release()
			if got := upload(t, c, b); got != "early" {
				t.Errorf("got %q", got)
			}
		})
	}
}

// upload sends a body that is said to have 5 bytes, and returns the answer.
func upload(t *testing.T, c *http.Client, body io.Reader) string {
	t.Helper()
	r, _ := http.NewRequest("POST", "http://h/", body)
	r.ContentLength = 5
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A stubborn body is like that of a server's request: Close waits for Read.
type stubborn struct {
	mu   sync.Mutex
	more chan struct{}
}

func (b *stubborn) Read([]byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	<-b.more
	return 0, io.EOF
}

func (b *stubborn) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return nil
}

// A connection, a terminal: what waits in Read until it is closed must be.
func TestTransportWakesBody(t *testing.T) {
	c := startHTTPApp(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "early") })
	ours, theirs := net.Pipe()
	defer ours.Close()
	upload(t, c, theirs)
	ours.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := ours.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the body was not closed: %v", err)
	}
}

// A body that can be had again is a cgi.Rewinder, and no other.
func TestTransportGetBody(t *testing.T) {
	rewinds := false
	tr := &Transport{Client: clientFunc(func(_ context.Context, r *cgi.Request) (*cgi.Response, error) {
		var again cgi.Rewinder
		if again, rewinds = r.Body.(cgi.Rewinder); rewinds {
			first, _ := io.ReadAll(r.Body)
			if err := again.Rewind(); err != nil {
				t.Error(err)
			}
			if second, err := io.ReadAll(r.Body); string(first) != "abc" || string(second) != "abc" || err != nil {
				t.Errorf("read %q, then %q, %v", first, second, err)
			}
		}
		return nil, errWhy
	})}
	for _, want := range []bool{true, false} {
		r, _ := http.NewRequest("POST", "http://h/", strings.NewReader("abc"))
		if !want {
			r.GetBody = nil
		}
		if _, err := tr.RoundTrip(r); err != errWhy || rewinds != want {
			t.Errorf("error = %v, rewinder: %v, want %v", err, rewinds, want)
		}
	}
}

// Rewind starts again with a new body, and closes the one that was begun,
// although it is being read.
func TestRequestBodyRewind(t *testing.T) {
	ours, first := net.Pipe()
	defer ours.Close()
	second := &closeCounter{Reader: strings.NewReader("abc")}
	b := &rewindableBody{
		&requestBody{src: &source{body: first}, length: 3, left: 3},
		func() (io.ReadCloser, error) { return second, nil },
	}
	if err := b.Rewind(); err != nil || second.closed.Load() != 0 || b.src.closed.Load() {
		t.Fatalf("Rewind of a fresh body = %v", err)
	}
	go ours.Write([]byte("a")) // ends when it is read
	b.Read(make([]byte, 1))
	b.Cancel()
	if _, err := b.Read(make([]byte, 1)); err != errCancelled {
		t.Errorf("Read after Cancel = %v", err)
	}
	if err := b.Rewind(); err != nil {
		t.Fatal(err)
	}
	ours.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := ours.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the first body was not closed: %v", err)
	}
	if got, err := io.ReadAll(b); string(got) != "abc" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	b.end()
	waitFor(t, func() bool { return second.closed.Load() == 1 })
	if err := b.Rewind(); err != errRewind {
		t.Errorf("Rewind after the end = %v", err)
	}
}
