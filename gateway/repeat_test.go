package gateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
)

// A PUT may be done twice, but only with the body it came with: what a worker
// has read of a streamed one is gone.
func TestBodyOfASecondAttempt(t *testing.T) {
	b := random(large)
	for name, tt := range map[string]struct {
		body   io.Reader
		status int
		answer string
	}{
		"streamed": {bytes.NewReader(b), 502, ""},
		"spooled":  {unsized(b), 200, echoed(b)},
	} {
		t.Run(name, func(t *testing.T) {
			bad := script(t, func(map[string]string) []byte { return []byte{} })
			asked := make(chan bool, 10)
			good := worker(t, func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				asked <- true
				echo(ctx, w, r)
			})
			g := newRig(t, nil, bad.addr, good)
			g.want(tt.status, tt.answer, "PUT", "/", tt.body)
			if bad.requests.Load() != 1 {
				t.Error("the bad worker was not asked: the test shows nothing")
			}
			if again := len(asked) > 0; again != (tt.status == 200) {
				t.Errorf("another worker was asked: %v", again)
			}
		})
	}
}

// The same for a body of which a worker has read the beginning.
func TestBodyReadInPart(t *testing.T) {
	bad := scriptBody(t, nil)
	asked := make(chan bool, 10)
	g := newRig(t, nil, bad.addr, worker(t, func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) { asked <- true }))
	resp, body, _ := g.upload2(t, "PUT")
	if resp.StatusCode != 502 || len(asked) > 0 {
		t.Errorf("%d %q, another worker was asked: %v; want 502 and that not", resp.StatusCode, body, len(asked) > 0)
	}
}

// RFC 9110 §8.6: a 204 has no Content-Length. net/http takes it away itself;
// other front ends pass on what they get.
func TestNoContentHasNoLength(t *testing.T) {
	w := script(t, func(map[string]string) []byte {
		return stdout("Status: 204\nX-Before: 1\nContent-Length: 4\nX-After: 2\n\nbody")
	})
	p := new(paper)
	newRig(t, nil, w.addr).h.ServeCGI(t.Context(), p, get("/"))
	want := cgi.Header{{Name: "X-Before", Value: "1"}, {Name: "X-After", Value: "2"}}
	if p.status != 204 || !slices.Equal(p.header, want) || p.writes > 0 {
		t.Errorf("%d %q and %d writes, want 204 %q and none", p.status, p.header, p.writes, want)
	}
}

// The body of a local redirect is for nobody. Unless it is closed, a long one
// holds its worker for ever.
func TestLocalRedirectIsLetGo(t *testing.T) {
	freed := make(chan error, 1)
	w, _ := application(t, func(nc net.Conn) {
		params, _ := request(nc)
		if params["REQUEST_URI"] != "/here" {
			nc.Write(stdout("Content-Type: text/plain\r\n\r\nthere"))
			return
		}
		nc.Write(fastcgi.AppendStream(nil, fastcgi.TypeStdout, 1, []byte("Location: /there\r\n\r\n")))
		more := fastcgi.AppendStream(nil, fastcgi.TypeStdout, 1, make([]byte, 32<<10))
		var err error
		for err == nil { // until the gateway closes the connection, or the test's own deadline
			_, err = nc.Write(more)
		}
		freed <- err
	})
	g := newRig(t, nil, w.addr)
	g.want(200, "there", "GET", "/here", nil)
	if err := <-freed; errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the worker still writes what nobody reads")
	}
}

// One connection carries a local redirect and what it leads to: it is given
// back before the next request asks for one.
func TestLocalRedirectKeepsConnection(t *testing.T) {
	w, conns := application(t, func(nc net.Conn) {
		for {
			params, ok := request(nc)
			switch {
			case !ok:
				return
			case params["REQUEST_URI"] == "/here":
				nc.Write(stdout("Location: /there\r\n\r\na few words that nobody reads"))
			default:
				nc.Write(stdout("Content-Type: text/plain\r\n\r\nthere"))
			}
		}
	})
	g := newRig(t, nil, w.addr)
	for range 20 {
		g.want(200, "there", "GET", "/here", nil)
	}
	// The client finds out on the first that this application knows one id only.
	if n := conns.Load(); n > 2 {
		t.Errorf("%d connections for requests that came one after the other, want 2", n)
	}
}

// A HEAD stays one on its way through a local redirect.
func TestLocalRedirectOfAHead(t *testing.T) {
	var seen []string
	w := script(t, func(p map[string]string) []byte {
		seen = append(seen, p["REQUEST_METHOD"]+" "+p["REQUEST_URI"])
		if p["REQUEST_URI"] == "/here" {
			return stdout("Location: /there\r\n\r\n")
		}
		return stdout("Content-Type: text/plain\r\n\r\n")
	})
	newRig(t, nil, w.addr).want(200, "", "HEAD", "/here", nil)
	if want := []string{"HEAD /here", "HEAD /there"}; !slices.Equal(seen, want) {
		t.Errorf("the application saw %q, want %q", seen, want)
	}
}

// Nothing of a body follows the head of an answer to HEAD, be it a page or an
// application's: what does is the next answer.
func TestHeadHasNoBody(t *testing.T) {
	edit := func(g *rig) {
		g.h.Routes = []Route{{Match: compile(t, "/deny/"), Deny: true}, {Match: compile(t, ""), Backend: g.backend}}
	}
	app := script(t, func(map[string]string) []byte { return stdout("Content-Type: text/plain\r\n\r\na body") })
	g := newRig(t, edit, app.addr)
	for path, status := range map[string]int{"/deny/": 403, "/": 200} {
		r := get(path)
		r.Method = http.MethodHead
		p := new(paper)
		g.h.ServeCGI(t.Context(), p, r)
		if p.status != status || p.writes > 0 {
			t.Errorf("HEAD %s: %d and %d writes, want %d and none", path, p.status, p.writes, status)
		}
		answer := raw(t, g, "HEAD "+path+" HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", false)
		_, next, _ := strings.Cut(answer, "\r\n\r\n")
		if !strings.HasPrefix(answer, fmt.Sprint("HTTP/1.1 ", status)) || !strings.HasPrefix(next, "HTTP/1.1 200 ") {
			t.Errorf("HEAD %s: %q", path, answer)
		}
	}
}

// A control character in a query is refused wherever it comes from: net/http
// takes none from a client, but an application may send one, or another front
// end.
func TestControlCharacterInAQuery(t *testing.T) {
	w := script(t, func(map[string]string) []byte { return stdout("Location: /there?a=\tb\r\n\r\n") })
	g := newRig(t, nil, w.addr)
	g.want(400, "", "GET", "/here", nil)
	p := new(paper)
	g.h.ServeCGI(t.Context(), p, get("/there?a=\nb"))
	if p.status != 400 {
		t.Errorf("status %d, want 400", p.status)
	}
	if n := w.requests.Load(); n != 1 {
		t.Errorf("the application was asked %d times, want once", n)
	}
}
