package fcgitest_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
	. "github.com/sluice-gateway/sluice/fastcgi/fcgitest"
)

// A clientRow is an application that misbehaves and what fastcgi.Client must
// make of it. Only its first connection is played by script; the others answer
// as they should.
type clientRow struct {
	name   string
	script func(c *Conn)
	want   outcome

	method string                // "" means GET and POST
	body   int                   // bytes of the request body
	tcp    bool                  // instead of a unix socket
	client func(*fastcgi.Client) // changes what newClient made
}

// An outcome is what the caller of RoundTrip sees.
type outcome struct {
	status int    // 0 if RoundTrip fails
	body   string // what can be read of it, before the error if there is one
	kept   bool   // the next request uses the connection

	op    string // of the error; "" if there is none
	is    error  // what it wraps
	text  string // what it says: the rule that was broken
	flags flags
}

// flags are what an error says of itself. The retry is that of a GET: a POST
// may be sent again only if it was refused.
type flags uint8

const (
	retry flags = 1 << iota
	refused
	timeout
)

func (o outcome) after(status int, body string) outcome {
	o.status, o.body = status, body
	return o
}

func (o outcome) but(f flags) outcome {
	o.flags = f
	return o
}

func whole(status int, body string) outcome { return outcome{status: status, body: body} }
func kept(status int, body string) outcome  { return outcome{status: status, body: body, kept: true} }

func malformed(text string) outcome {
	return outcome{op: "receive", is: fastcgi.ErrMalformed, text: text}
}

func badHead(text string) outcome { return outcome{op: "receive", is: cgi.ErrMalformed, text: text} }

func lost(text string) outcome {
	return outcome{op: "receive", is: io.ErrUnexpectedEOF, text: text}
}

// short is an answer with less than it has announced, on a connection that stays.
func short(text string) outcome {
	o := lost(text)
	o.kept = true
	return o
}

func refusal(text string) outcome { return outcome{op: "answer", text: text} }

func slow(text string) outcome { return outcome{op: "receive", text: text, flags: timeout} }

// What the scripts are made of.

// keep answers the first request with records, and the others well.
func keep(records ...Record) func(*Conn) {
	return func(c *Conn) {
		c.ReadRequest()
		c.Send(records...)
		serve(c)
	}
}

// send answers with records and wants the client to close the connection.
func send(records ...Record) func(*Conn) {
	return func(c *Conn) {
		c.ReadRequest()
		c.TrySend(records...)
		c.ExpectClosed()
	}
}

// leave answers with records and closes.
func leave(records ...Record) func(*Conn) {
	return func(c *Conn) {
		c.ReadRequest()
		c.Send(records...)
	}
}

// serve answers all requests well.
func serve(c *Conn) {
	for c.More() {
		q := c.ReadRequest()
		c.Send(answer(q.ID, "Status: 200 OK\r\n\r\ngood")...)
		if !q.KeepConn {
			return
		}
	}
}

func answer(id uint16, stdout string) []Record { return Answer{ID: id, Stdout: stdout}.Records() }

const hello = "Content-Type: text/plain\r\n\r\nhello"

func TestClientRows(t *testing.T) {
	for _, row := range clientRows() {
		methods := []string{"GET", "POST"}
		switch {
		case row.method != "":
			methods = []string{row.method}
		case row.body > 0:
			methods = methods[1:]
		case row.client != nil: // most of them take their time
			methods = methods[:1]
		}
		for _, method := range methods {
			t.Run(row.name+"/"+method, func(t *testing.T) { row.run(t, method) })
		}
	}
}

func (row clientRow) run(t *testing.T, method string) {
	verifyNoLeak(t)
	accepts := 2
	if row.want.kept {
		accepts = 1
	}
	if got := row.exchange(t, method); got != accepts {
		t.Errorf("connections = %d, want %d", got, accepts)
	}
}

// exchange makes the request and one more, and returns how many connections
// that took.
func (row clientRow) exchange(t *testing.T, method string) int {
	network := "unix"
	if row.tcp {
		network = "tcp"
	}
	app := ApplicationOn(t, Listen(t, network), func(c *Conn) {
		if c.N == 0 {
			row.script(c)
		} else {
			serve(c)
		}
	})
	client := newClient(t)
	if row.client != nil {
		row.client(client)
	}
	r := &cgi.Request{Method: method, Target: "/", Proto: "HTTP/1.1", Host: "example.org"}
	if row.body > 0 {
		r.Body, r.ContentLength = cgi.BytesBody(make([]byte, row.body)), int64(row.body)
	}
	status, body, err := fetch(t, client, app, r)
	want := row.want
	if status != want.status || body != want.body {
		t.Errorf("response = %d, %.200q, want %d, %.200q (error: %v)", status, body, want.status, want.body, err)
	}
	if method != "GET" && want.flags&refused == 0 {
		want.flags &^= retry
	}
	want.check(t, app, err)

	if status, body, err := next(t, client, app); err != nil || status != 200 || body != "good" {
		t.Errorf("next request = %d, %q, %v, want 200, good", status, body, err)
	}
	return app.Accepts()
}

// check compares the error with what it should be.
func (o outcome) check(t *testing.T, app *App, err error) {
	t.Helper()
	if o.op == "" {
		if err != nil {
			t.Errorf("error = %v, want none", err)
		}
		return
	}
	e, ok := errors.AsType[*fastcgi.Error](err)
	if !ok {
		t.Errorf("error = %v (%T), want an *Error with %q", err, err, o.text)
		return
	}
	if !strings.Contains(e.Error(), o.text) || e.Op != o.op || !strings.HasSuffix(e.Addr, app.Address) {
		t.Errorf("error = %v (Op %s, Addr %s), want Op %s and the text %q", e, e.Op, e.Addr, o.op, o.text)
	}
	if o.is != nil && !errors.Is(e, o.is) {
		t.Errorf("error = %v, want one that wraps %q", e, o.is)
	}
	if _, ok := errors.AsType[*fastcgi.RefusedError](err); !ok && o.op == "answer" {
		t.Errorf("error %v is no RefusedError", e)
	}
	if got := said(e); got != o.flags {
		t.Errorf("error %v: retry, refused, timeout = %03b, want %03b (lowest first)", e, got, o.flags)
	}
}

func said(e *fastcgi.Error) (f flags) {
	for flag, is := range map[flags]bool{retry: e.SafeToRetry, refused: e.Refused, timeout: e.Timeout()} {
		if is {
			f |= flag
		}
	}
	return f
}

// newClient is patient with a loaded machine.
func newClient(t *testing.T) *fastcgi.Client {
	c := &fastcgi.Client{FirstByteTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second, WriteTimeout: 5 * time.Second}
	t.Cleanup(c.Close)
	return c
}

func fetch(t *testing.T, c *fastcgi.Client, app *App, r *cgi.Request) (status int, body string, err error) {
	resp, err := c.RoundTrip(t.Context(), app.Network, app.Address, r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.Status, string(b), err
}

// next asks once more. The application may have closed the connection just
// before; then the client says so, and a gateway asks again, too.
func next(t *testing.T, c *fastcgi.Client, app *App) (status int, body string, err error) {
	for range 2 {
		status, body, err = fetch(t, c, app, &cgi.Request{Method: "GET", Target: "/next"})
		if e, ok := errors.AsType[*fastcgi.Error](err); !ok || !e.Stale {
			break
		}
	}
	return status, body, err
}
