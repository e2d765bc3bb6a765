package sluice

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
)

// A witness is an application that remembers what it was asked.
type witness struct {
	mu   sync.Mutex
	seen []string
}

// asked is how a witness remembers a request.
func asked(method, target, host, field, body string) string {
	return fmt.Sprintf("%s %s Host: %s X: %s %q", method, target, host, field, body)
}

func (a *witness) serve(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen = append(a.seen, asked(r.Method, r.Target, r.Host, r.Header.Get("X"), string(body)))
	io.WriteString(w, r.Target)
}

// take returns what has been asked since the last call.
func (a *witness) take() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := a.seen
	a.seen = nil
	return seen
}

// next is the request that follows a bad one on the same connection.
const next = "GET /next HTTP/1.1\r\nHost: x\r\n\r\n"

var nextAsked = asked("GET", "/next", "x", "", "")

// send sends raw bytes and returns the status of the answer, and whether the
// connection is closed after it. If it is not, the next request on it must be
// answered like any other.
func (g *rig) send(raw string, mustClose bool) (status int, closed bool) {
	g.t.Helper()
	nc := g.dial()
	defer nc.Close()
	if _, err := io.WriteString(nc, raw); err != nil {
		g.t.Fatal(err)
	}
	r := bufio.NewReader(nc)
	status, _ = answer(g.t, r, nil)
	if mustClose { // by itself, without another request
		if b, err := io.ReadAll(r); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			g.t.Errorf("after status %d: %q, %v, want the end of the connection", status, b, err)
		}
		return status, true
	}
	io.WriteString(nc, next) // an error is one of a closed connection, which Peek says too
	if _, err := r.Peek(1); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			g.t.Errorf("after status %d the connection is neither closed nor served", status)
		}
		return status, true
	}
	if again, content := answer(g.t, r, nil); again != 200 || content != "/next" {
		g.t.Errorf("the next request on the connection: %d %q", again, content)
	}
	return status, false
}

// fields makes a request with some more lines in its head.
func fields(lines string) string { return "GET / HTTP/1.1\r\nHost: x\r\n" + lines + "\r\n\r\n" }

// posted makes a request with a body and the fields that say how long it is.
func posted(lines, body string) string {
	return "POST / HTTP/1.1\r\nHost: x\r\n" + lines + "\r\n\r\n" + body
}

const chunked = "Transfer-Encoding: chunked"

// What is refused. Some is refused by net/http, which ends the connection, and
// some by us. Where the end of the request is not certain, the connection must
// end, or what follows would be taken for a request.
//
// A first request line of less than 14 bytes is not here: net/http waits for
// so many, to see whether the client speaks HTTP/2, until timeout.header.
var refused = []struct {
	name      string
	raw       string
	status    int
	mustClose bool
}{
	{"no request line", "nonsense and more nonsense\r\n\r\n", 400, true},
	{"no protocol", "GET /without-a-protocol\r\n\r\n", 400, true},
	{"two blanks", "GET  / HTTP/1.1\r\nHost: x\r\n\r\n", 400, true},
	{"blank in the target", "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n", 400, true},
	{"more after the protocol", "GET / HTTP/1.1 x\r\nHost: x\r\n\r\n", 400, true},
	{"method is no token", "G@T / HTTP/1.1\r\nHost: x\r\n\r\n", 400, true},
	{"relative target", "GET x HTTP/1.1\r\nHost: x\r\n\r\n", 400, true},
	{"NUL in the target", "GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n", 400, true},
	{"escaped NUL in the target", "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400, false},
	{"bad escape", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", 400, true},
	{"fragment", "GET /# HTTP/1.1\r\nHost: x\r\n\r\n", 400, false},
	{"lower-case protocol", "GET / http/1.1\r\nHost: x\r\n\r\n", 400, true},
	{"HTTP/0.9", "GET / HTTP/0.9\r\nHost: x\r\n\r\n", 505, true},
	{"HTTP/2.0 without its preface", "GET / HTTP/2.0\r\nHost: x\r\n\r\n", 505, true},
	{"HTTP/3.0", "GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505, true},

	{"no Host", "GET / HTTP/1.1\r\nX: y\r\n\r\n", 400, true},
	{"two Hosts", fields("Host: x"), 400, true},
	{"two different Hosts", fields("Host: y"), 400, true},
	{"blank in Host", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, true},
	{"slash in Host", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, true},
	{"user in Host", "GET / HTTP/1.1\r\nHost: a@b\r\n\r\n", 400, true},
	{"bare CR in a field", fields("X: a\rb"), 400, true},
	{"bare CR at the end of a field", fields("X: a\r"), 400, true},
	{"NUL in a field", fields("X: a\x00b"), 400, true},
	{"blank before the colon", fields("X : a"), 400, true},
	{"blank before the first field", "GET / HTTP/1.1\r\n X: a\r\nHost: x\r\n\r\n", 400, true},
	{"no colon", fields("X"), 400, true},
	{"no name", fields(": a"), 400, true},
	{"unknown expectation", fields("Expect: 200-ok"), 417, true},

	{"length with a plus", posted("Content-Length: +5", "hello"), 400, true},
	{"negative length", posted("Content-Length: -1", "hello"), 400, true},
	{"hexadecimal length", posted("Content-Length: 0x5", "hello"), 400, true},
	{"empty length", posted("Content-Length:", ""), 400, true},
	{"list of lengths", posted("Content-Length: 5, 5", "hello"), 400, true},
	{"two lengths", posted("Content-Length: 5\r\nContent-Length: 6", "hello!"), 400, true},
	{"length beyond 64 bits", posted("Content-Length: 99999999999999999999", "hello"), 400, true},
	{"unknown coding", posted("Transfer-Encoding: xchunked", "hello"), 501, true},
	{"chunked is not the last coding", posted("Transfer-Encoding: chunked, identity", "0\r\n\r\n"), 501, true},
	{"chunked twice", posted(chunked+"\r\n"+chunked, "0\r\n\r\n"), 501, true},
	{"blank before the colon of the coding", posted("Transfer-Encoding : chunked", "0\r\n\r\n"), 400, true},
	{"size of a chunk is no number", posted(chunked, "xyz\r\nhello\r\n0\r\n\r\n"), 400, true},
	{"negative size of a chunk", posted(chunked, "-5\r\nhello\r\n0\r\n\r\n"), 400, true},
	{"size of a chunk beyond 64 bits", posted(chunked, "10000000000000005\r\nhello\r\n0\r\n\r\n"), 400, true},
	{"chunk longer than its size", posted(chunked, "5\r\nhello, world\r\n0\r\n\r\n"), 400, true},
	{"line of a chunk without CR", posted(chunked, "5\nhello\r\n0\r\n\r\n"), 400, true},

	{"* with GET", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", 400, false},
	{"CONNECT", "CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n", 501, false},
	{"CONNECT with a path", "CONNECT / HTTP/1.1\r\nHost: x\r\n\r\n", 501, false},
	{"TRACE", "TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405, false},
	{"head of 40 kB", fields("X: " + strings.Repeat("a", 40_000)), 431, false},
	{"300 fields", fields(strings.Repeat("X: a\r\n", 299) + "X: a"), 431, false},
	{"target of 40 kB", "GET /" + strings.Repeat("a", 40_000) + " HTTP/1.1\r\nHost: x\r\n\r\n", 414, false},
}

// The application is never asked, and whoever asks well is answered.
func TestMalformedIsRefused(t *testing.T) {
	app := new(witness)
	g := start(t, toForeign(foreign(t, app.serve)))
	for _, tt := range refused {
		t.Run(tt.name, func(t *testing.T) {
			g := &rig{t: t, s: g.s, log: g.log} // what goes wrong belongs to this row
			status, closed := g.send(tt.raw, tt.mustClose)
			if status != tt.status {
				t.Errorf("status %d, want %d", status, tt.status)
			}
			var want []string
			if !closed {
				want = append(want, nextAsked)
			}
			g.stillServes(app, want)
		})
	}
}

// stillServes wants the application to have been asked for what is said, and
// then for a good request.
func (g *rig) stillServes(app *witness, want []string) {
	g.t.Helper()
	g.send(next, false)
	want = append(slices.Clone(want), nextAsked, nextAsked)
	if seen := app.take(); !slices.Equal(seen, want) {
		g.t.Errorf("the application was asked\n%q, want\n%q", seen, want)
	}
}

// What looks odd and is not: the standards allow it, or have the server put
// it right.
var accepted = []struct {
	name string
	raw  string
	want string // what the application was asked
}{
	{"lower-case method", "get / HTTP/1.1\r\nHost: x\r\n\r\n", asked("get", "/", "x", "", "")},
	{"no Host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", asked("GET", "/", "", "", "")},
	{"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", asked("GET", "/", "", "", "")},
	{"later minor version", "GET / HTTP/1.7\r\nHost: x\r\n\r\n", asked("GET", "/", "x", "", "")},
	{"lines without CR", "GET / HTTP/1.1\nHost: x\n\n", asked("GET", "/", "x", "", "")},
	// RFC 9112 §5.2: refused, or put on one line.
	{"folded field", fields("X: a\r\n b"), asked("GET", "/", "x", "a b", "")},
	// RFC 9112 §3.2.2: the target wins over Host.
	{"absolute target", "GET http://y:1/p?q HTTP/1.1\r\nHost: x\r\n\r\n", asked("GET", "/p?q", "y:1", "", "")},
	{"absolute target without a path", "GET http://y HTTP/1.1\r\nHost: x\r\n\r\n", asked("GET", "/", "y", "", "")},
	// RFC 9110 §8.6: refused, or taken as one.
	{"the same length twice", posted("Content-Length: 5\r\nContent-Length: 5", "hello"), asked("POST", "/", "x", "", "hello")},
	{"chunks", posted(chunked, "2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nTrailer: x\r\n\r\n"), asked("POST", "/", "x", "", "hello")},
}

func TestOddIsAccepted(t *testing.T) {
	app := new(witness)
	g := start(t, toForeign(foreign(t, app.serve)))
	for _, tt := range accepted {
		t.Run(tt.name, func(t *testing.T) {
			g := &rig{t: t, s: g.s, log: g.log}
			g.takes(app, tt.raw, tt.want)
		})
	}
}

// takes wants a request to be taken for exactly one.
func (g *rig) takes(app *witness, raw, want string) {
	g.t.Helper()
	status, closed := g.send(raw, false)
	if status != 200 {
		g.t.Errorf("status %d, want 200", status)
	}
	all := []string{want}
	if !closed {
		all = append(all, nextAsked)
	}
	g.stillServes(app, all)
}

// hidden is a request for whoever takes the other one of two lengths.
const hidden = "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"

// With a Content-Length and chunks, the chunks count (RFC 9112 §6.1), and what
// one reader takes for the body is no request for another. The same paragraph
// wants the connection to be closed then, which net/http does not do; that is
// without harm here as long as what follows is read right.
func TestTwoLengths(t *testing.T) {
	inChunk := fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(hidden), hidden)
	lineOfChunk := strings.Index(inChunk, "GET")
	app := new(witness)
	g := start(t, toForeign(foreign(t, app.serve)))
	for name, raw := range map[string]string{
		"the length ends in front of a request": posted(fmt.Sprintf("Content-Length: %d\r\n%s", lineOfChunk, chunked), inChunk),
		"the length comes second":               posted(fmt.Sprintf("%s\r\nContent-Length: %d", chunked, lineOfChunk), inChunk),
		"the length is beyond the chunks":       posted("Content-Length: 1000\r\n"+chunked, inChunk),
		"no length":                             posted("Content-Length: 0\r\n"+chunked, inChunk),
	} {
		t.Run(name, func(t *testing.T) {
			g := &rig{t: t, s: g.s, log: g.log}
			g.takes(app, raw, asked("POST", "/", "x", "", hidden))
		})
	}
	// HTTP/1.0 has no chunks, so the length counts. Here too net/http keeps the
	// connection, which RFC 9112 §6.1 wants to be closed: whoever stands in front
	// of us and takes the chunks for the body reads the end somewhere else.
	t.Run("HTTP/1.0", func(t *testing.T) {
		g := &rig{t: t, s: g.s, log: g.log}
		raw := "POST / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\nContent-Length: 5\r\n" + chunked + "\r\n\r\nhello"
		g.takes(app, raw, asked("POST", "/", "x", "", "hello"))
	})
}

// What the front end refuses gets the page of all others, with the number
// that leads to the log, and its line in the access log.
func TestRefusedByTheFrontEnd(t *testing.T) {
	g := start(t, toForeign(foreign(t, named("x"))))
	for _, tt := range refused {
		if tt.status != 414 && tt.status != 431 && tt.status != 501 || tt.mustClose {
			continue
		}
		nc := g.dial()
		io.WriteString(nc, tt.raw)
		status, page := answer(t, bufio.NewReader(nc), nil)
		nc.Close()
		m := pageNumber.FindStringSubmatch(page)
		if status != tt.status || m == nil {
			t.Errorf("%s: %d %q, want our page with %d", tt.name, status, page, tt.status)
			continue
		}
		if len(g.log.With(m[1])) == 0 {
			t.Errorf("%s: %s, which the page names, is not in the log:\n%s", tt.name, m[1], g.log)
		}
	}
	g.end()
	for status, want := range map[string]int{`HTTP/1.1" 414 `: 1, `HTTP/1.1" 431 `: 2, `HTTP/1.1" 501 `: 2} {
		if lines := g.out.With(status); len(lines) != want {
			t.Errorf("%d lines with %s in the access log, want %d:\n%s", len(lines), status, want, g.out)
		}
	}
}

var pageNumber = regexp.MustCompile(`Request ([A-Z2-7]+):`)
