package cgihttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
)

func TestRequestBody(t *testing.T) {
	s := startServer(t, handlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		if r.Body == nil {
			fmt.Fprint(w, "none")
			return
		}
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %q %v", r.ContentLength, b, err)
	}))
	tests := []struct{ name, in, want string }{
		{"get", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "none"},
		{"length 0", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n", "none"},
		{"length 3", "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", `3 "abc" <nil>`},
		{"get with a body", "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", `3 "abc" <nil>`},
		{"chunked", "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", `-1 "abc" <nil>`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dialRaw(t, s)
			c.send(tt.in)
			if res, got := c.response("GET"); got != tt.want || res.Close {
				t.Errorf("got %q (close: %v), want %q on a connection that stays open", got, res.Close, tt.want)
			}
		})
	}
}

// A Cancel wakes a Read that waits for a client, and not one of a later
// request on the same connection.
func TestCancelWakesRead(t *testing.T) {
	for _, proto := range []string{"h1", "h2c"} {
		t.Run(proto, func(t *testing.T) {
			var last cgi.Body
			s := startServer(t, handlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				if last != nil {
					last.Cancel()
				}
				last = r.Body
				if r.Method == "PUT" {
					b, err := io.ReadAll(r.Body)
					fmt.Fprintf(w, "%s %v", b, err)
					return
				}
				first := make([]byte, 5)
				if _, err := io.ReadFull(r.Body, first); err != nil {
					panic(err)
				}
				woken := make(chan error)
				go func() {
					_, err := r.Body.Read(make([]byte, 10))
					woken <- err
				}()
				r.Body.Cancel()
				r.Body.Cancel()
				_, again := r.Body.Read(make([]byte, 1))
				fmt.Fprintf(w, "%s %v %v", first, errors.Is(<-woken, errCancelled), again)
			}))
			c := newClient(t, proto)
			for range 2 {
				stalled, w := io.Pipe()
				go io.WriteString(w, "first")
				got := do(t, c, "POST", s.URL, stalled)
				w.Close()
				if want := "first true cgihttp: read request body: cancelled"; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				if got, want := do(t, c, "PUT", s.URL, strings.NewReader("whole")), "whole <nil>"; got != want {
					t.Errorf("next request: got %q, want %q", got, want)
				}
			}
		})
	}
}

func do(t *testing.T, c *http.Client, method, url string, body io.Reader) string {
	t.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
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

// The rest of a body that was given up must never be read as a request: that
// is how requests are smuggled. net/http would do that once its own reading of
// the rest has run into a deadline; it does not if the response says close.
func TestGivenUpBodyIsNotTheNextRequest(t *testing.T) {
	smuggled := "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n"
	for _, tt := range []struct {
		name  string
		serve func(w cgi.ResponseWriter, r *cgi.Request)
	}{
		{"cancelled", func(w cgi.ResponseWriter, r *cgi.Request) { r.Body.Cancel(); io.WriteString(w, "ok") }},
		{"cancelled after the head", func(w cgi.ResponseWriter, r *cgi.Request) {
			io.WriteString(w, "ok")
			w.Flush()
			r.Body.Cancel()
		}},
		{"not touched", func(w cgi.ResponseWriter, r *cgi.Request) { io.WriteString(w, "ok") }},
		{"read later", func(w cgi.ResponseWriter, r *cgi.Request) {
			io.WriteString(w, "ok")
			w.Flush()
			r.Body.Read(make([]byte, 1))
		}},
		{"aborted", func(w cgi.ResponseWriter, r *cgi.Request) { w.Abort() }},
		{"left to a goroutine", func(w cgi.ResponseWriter, r *cgi.Request) {
			reading := make(chan bool)
			go func() {
				close(reading)
				io.Copy(io.Discard, r.Body)
			}()
			<-reading
			io.WriteString(w, "ok")
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			paths := make(chan string, 10)
			s := startServer(t, handlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				paths <- r.Target
				tt.serve(w, r)
			}))
			c := dialRaw(t, s)
			fmt.Fprintf(c, "POST /first HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", 100+len(smuggled))
			c.send(strings.Repeat("x", 100))
			if _, err := c.r.Peek(1); err == nil {
				if res, err := http.ReadResponse(c.r, nil); err != nil || !res.Close {
					t.Errorf("response: %+v %v, want one that closes the connection", res, err)
				}
			}
			io.WriteString(c, smuggled)
			c.Conn.(*net.TCPConn).CloseWrite()
			c.rest()
			if <-paths; len(paths) > 0 {
				t.Errorf("served %s", <-paths)
			}
		})
	}
}
