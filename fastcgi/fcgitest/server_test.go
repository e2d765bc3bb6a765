package fcgitest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
	. "github.com/sluice-gateway/sluice/fastcgi/fcgitest"
	"github.com/sluice-gateway/sluice/internal/testlog"
)

// A serverRow is a web server that misbehaves towards fastcgi.Server, and what
// it must get for that. Afterwards the server takes a good request on another
// connection, and nothing may be left of this one.
type serverRow struct {
	name   string
	talk   func(c *Conn)
	server func(*fastcgi.Server) // changes what the row is served by
	lost   error                 // wrapped by what the handler /wait or /big learns; nil if it does not run
	rule   string                // that the log names as the reason why the connection was closed; "": it was not, or nothing is wrong with that
}

func TestServerRows(t *testing.T) {
	for _, row := range serverRows() {
		t.Run(row.name, row.run)
	}
}

func (row serverRow) run(t *testing.T) {
	verifyNoLeak(t)
	losses := make(chan error, 10)
	log := new(testlog.Buffer)
	s := &fastcgi.Server{Handler: testHandler(losses), Log: log.Logger()}
	if row.server != nil {
		row.server(s)
	}
	l := Listen(t, "unix")
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != fastcgi.ErrClosed {
			t.Errorf("Serve = %v, want ErrClosed", err)
		}
	})

	c := Dial(t, l.Addr().Network(), l.Addr().String())
	row.talk(c)
	row.checkLoss(t, losses)

	another := Dial(t, l.Addr().Network(), l.Addr().String())
	serves(another, 1)
	another.Close()
	c.Close()

	// All requests have ended, so that there is nothing to wait for.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Errorf("Shutdown = %v", err)
	}
	row.checkLog(t, log)
	select {
	case err := <-losses:
		t.Errorf("another handler ran, and lost its request: %v", err)
	default:
	}
}

func (row serverRow) checkLog(t *testing.T, log *testlog.Buffer) {
	t.Helper()
	closed := log.With("connection closed")
	switch {
	case row.rule == "" && len(closed) > 0:
		t.Errorf("log: %s", closed)
	case row.rule != "" && (len(closed) != 1 || !strings.Contains(closed[0], row.rule)):
		t.Errorf("log: %s, want one line with %q", closed, row.rule)
	}
}

func (row serverRow) checkLoss(t *testing.T, losses chan error) {
	t.Helper()
	if row.lost == nil {
		return
	}
	select {
	case err := <-losses:
		if !errors.Is(err, row.lost) {
			t.Errorf("the handler learns %v, want %v", err, row.lost)
		}
	case <-time.After(5 * time.Second):
		t.Errorf("the handler does not learn of %v", row.lost)
	}
}

// testHandler is an application with four addresses:
//
//	/wait    sends its head and waits until nobody waits for it
//	/big     writes until it cannot
//	/ignore  answers and does not read its body
//	others   say what they were sent
func testHandler(losses chan<- error) cgi.HandlerFunc {
	return func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		switch r.Script.Name {
		case "/wait":
			w.Flush()
			<-ctx.Done()
			losses <- context.Cause(ctx)
		case "/big":
			var err error
			for b := make([]byte, 64<<10); err == nil; {
				_, err = w.Write(b)
			}
			losses <- err
		case "/ignore":
			io.WriteString(w, "ignored")
		default:
			if r.Body == nil {
				io.WriteString(w, "no body")
				return
			}
			b, err := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%d %q %v", r.ContentLength, b, err)
		}
	}
}

// What the rows are made of.

// ask is a whole request without a body.
func ask(id uint16, keep bool, params ...string) []Record {
	return Request{ID: id, KeepConn: keep, Params: Fields(append(params, "REQUEST_METHOD=GET")...)}.Records()
}

// begun is the start of a request: BEGIN_REQUEST, and PARAMS with their end.
func begun(params ...string) []Record {
	return []Record{Begin(1, 1, true), Params(1, append(params, "REQUEST_METHOD=POST")...), Params(1)}
}

// runs sends records that make a request to /wait, and waits until that runs.
// What follows them in one write may be seen before.
func runs(c *Conn, records ...Record) {
	c.Send(records...)
	c.Expect(Stdout(1, "Status: 200 OK\r\n\r\n"))
}

// serves wants a good request to be answered well, and the connection kept.
func serves(c *Conn, id uint16) {
	c.Send(ask(id, true)...)
	answers(c, id, "no body")
}

// answers wants an answer of status 200.
func answers(c *Conn, id uint16, body string) {
	want := Answer{ID: id, Stdout: "Status: 200 OK\r\n\r\n" + body}
	if got := c.ReadAnswer(id); got != want {
		c.Errorf("answer = %+v, want %+v", got, want)
	}
}

// refuses wants an answer with an error status, from the server itself.
func refuses(c *Conn, id uint16, status int) {
	got := c.ReadAnswer(id)
	if !strings.HasPrefix(got.Stdout, fmt.Sprintf("Status: %d ", status)) || got.Status != fastcgi.RequestComplete {
		c.Errorf("answer = %+v, want status %d", got, status)
	}
}

// hangUp wants the server to close the connection on records, and to say
// nothing.
func hangUp(records ...Record) func(*Conn) {
	return func(c *Conn) {
		c.TrySend(records...)
		c.ExpectClosed()
	}
}

// ignore wants the server to take records without a word.
func ignore(records ...Record) func(*Conn) {
	return func(c *Conn) {
		c.Send(records...)
		serves(c, 1)
	}
}

// refuse wants a request to be answered with status, and the next one served.
func refuse(status int, records ...Record) func(*Conn) {
	return func(c *Conn) {
		c.Send(records...)
		refuses(c, 1, status)
		serves(c, 1)
	}
}

// echo wants a request to be answered by the handler, with text.
func echo(text string, records ...Record) func(*Conn) {
	return func(c *Conn) {
		c.Send(records...)
		answers(c, 1, text)
		serves(c, 1)
	}
}

// expect wants exactly these records for an answer, and the next request
// served.
func expect(sent []Record, want ...Record) func(*Conn) {
	return func(c *Conn) {
		c.Send(sent...)
		c.Expect(want...)
		serves(c, 1)
	}
}
