package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

func TestResponses(t *testing.T) {
	tests := []struct {
		name, stdout string
		status       int
		body         string
		fields       string // "Name: value" that must be there
		broken       bool   // the client must see that a part is missing
	}{
		{"plain", "Content-Type: text/plain\r\n\r\nhello", 200, "hello", "Content-Type: text/plain", false},
		{"status", "Status: 404 Nope\nX: y\n\nnope", 404, "nope", "X: y", false},
		{"client redirect", "Location: http://example.org/\n\n", 302, "", "Location: http://example.org/", false},
		{"empty body with length", "Content-Length: 0\n\n", 200, "", "Content-Length: 0", false},
		{"too short", "Content-Length: 10\n\nhalf", 200, "half", "", true},
		{"too long", "Content-Length: 4\n\nhalf and more", 200, "half", "Content-Length: 4", false},
		{"no content", "Status: 204\nContent-Length: 4\n\nbody", 204, "", "", false},
		{"not modified", "Status: 304\nEtag: \"x\"\n\nbody", 304, "", `Etag: "x"`, false},
		{"no type", "X: y\n\n<html>", 200, "<html>", "", false},
		{"two cookies", "Set-Cookie: a=1\nSet-Cookie: b=2\n\n", 200, "", "Set-Cookie: a=1", false},
		{"hop by hop", "Connection: close, X-Y\nKeep-Alive: 5\nUpgrade: h2c\nX: y\n\nhello", 200, "hello", "X: y", false},
		{"odd status", "Status: 799\n\nodd", 799, "odd", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := script(t, func(map[string]string) []byte { return stdout(tt.stdout) })
			g := newRig(t, nil, w.addr)
			resp, body, err := g.do("GET", "/", nil)
			if resp.StatusCode != tt.status || body != tt.body || (err != nil) != tt.broken {
				t.Errorf("%d %q, error %v; want %d %q, broken %v", resp.StatusCode, body, err, tt.status, tt.body, tt.broken)
			}
			if name, value, ok := strings.Cut(tt.fields, ": "); ok && resp.Header.Get(name) != value {
				t.Errorf("%s is %q, want %q", name, resp.Header.Get(name), value)
			}
			for _, name := range []string{"Keep-Alive", "Upgrade", "Transfer-Encoding"} {
				if resp.Header.Get(name) != "" {
					t.Errorf("%s has passed", name)
				}
			}
			for _, s := range g.backend.Pool.Status().Workers {
				if s.Failures > 0 || s.Load > 0 {
					t.Errorf("worker has %d failures, load %d; want none", s.Failures, s.Load)
				}
			}
			if tt.broken || tt.name == "too long" {
				g.logged("level=ERROR", "backend=app", "worker=unix:", "Content-Length", "hint=")
			}
		})
	}
}

// A worker that is lost in mid-answer: the client can tell.
func TestBrokenOff(t *testing.T) {
	w := script(t, func(map[string]string) []byte {
		b := stdout("Content-Type: text/plain\r\n\r\nhalf")
		return b[:len(b)-24] // without its ends
	})
	g := newRig(t, nil, w.addr)
	resp, body, err := g.do("GET", "/", nil)
	if resp.StatusCode != 200 || body != "half" || err == nil {
		t.Errorf("%d %q, %v; want 200, half of it and an error", resp.StatusCode, body, err)
	}
	g.logged("response broken off", "backend=app", "worker=unix:"+w.addr, "EOF", "hint=")
	if s := g.backend.Pool.Status().Workers[0]; s.Failures != 1 {
		t.Errorf("the worker has %d failures, want 1", s.Failures)
	}
}

func TestLocalRedirect(t *testing.T) {
	var seen []string
	w := script(t, func(p map[string]string) []byte {
		seen = append(seen, p["REQUEST_METHOD"]+" "+p["REQUEST_URI"]+" "+p["CONTENT_TYPE"]+p["CONTENT_LENGTH"]+" "+p["HTTP_X"])
		if p["REQUEST_URI"] == "/here" {
			return stdout("Location: /there?x=1\r\n\r\n")
		}
		return stdout("Content-Type: text/plain\r\n\r\nthere")
	})
	g := newRig(t, nil, w.addr)
	g.want(200, "there", "POST", "/here", strings.NewReader("abc"), "Content-Type", "text/x", "X", "kept")
	want := []string{"POST /here text/x3 kept", "GET /there?x=1  kept"}
	if fmt.Sprint(seen) != fmt.Sprint(want) {
		t.Errorf("the application saw %q, want %q", seen, want)
	}
}

func TestLocalRedirectInACircle(t *testing.T) {
	w := script(t, func(map[string]string) []byte { return stdout("Location: /again\r\n\r\n") })
	g := newRig(t, nil, w.addr)
	g.want(502, "", "GET", "/", nil)
	if n := w.requests.Load(); n != maxRedirects+1 {
		t.Errorf("the application was asked %d times, want %d", n, maxRedirects+1)
	}
	g.logged("too many local redirects")
}

// A local redirect does not lead where a client could not go.
func TestLocalRedirectOutOfTheRoot(t *testing.T) {
	w := script(t, func(map[string]string) []byte { return stdout("Location: /../secret\r\n\r\n") })
	newRig(t, nil, w.addr).want(400, "", "GET", "/", nil)
}

func TestInterimResponses(t *testing.T) {
	g := newRig(t, nil, worker(t, func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		w.WriteHeader(103, cgi.Header{{Name: "Link", Value: "</a.css>; rel=preload"}})
		hello(t.Context(), w, r)
	}))
	var hints []string
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			hints = append(hints, fmt.Sprint(code, h.Get("Link")))
			return nil
		},
	})
	r, _ := http.NewRequestWithContext(ctx, "GET", g.url, nil)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if len(hints) != 1 || resp.StatusCode != 200 || resp.Header.Get("Link") != "" {
		t.Errorf("interim responses %q, then %d with Link %q", hints, resp.StatusCode, resp.Header.Get("Link"))
	}
}

// What the application has flushed is not held back.
func TestStreaming(t *testing.T) {
	next := make(chan bool)
	g := newRig(t, nil, worker(t, func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		for range next {
			fmt.Fprintln(w, "line")
			w.Flush()
		}
	}))
	go func() { next <- true }()
	resp, err := http.Get(g.url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	lines := bufio.NewReader(resp.Body)
	for i := range 3 {
		if line, err := lines.ReadString('\n'); line != "line\n" {
			t.Fatalf("line %d: %q, %v", i, line, err)
		}
		if i < 2 {
			next <- true // only now is the next one written
		}
	}
	close(next)
	if rest, err := io.ReadAll(lines); len(rest) > 0 || err != nil {
		t.Errorf("after the last line: %q, %v", rest, err)
	}
}

// A client that goes away ends the request at the application.
func TestClientGoesAway(t *testing.T) {
	begun, ended := make(chan bool), make(chan bool)
	g := newRig(t, nil, worker(t, func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		close(begun)
		<-ctx.Done()
		close(ended)
	}))
	nc, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	<-begun
	nc.Close()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("the application was not told")
	}
	if s := g.log.String(); strings.Contains(s, "level=ERROR") {
		t.Errorf("a client that has gone is no error:\n%s", s)
	}
}
