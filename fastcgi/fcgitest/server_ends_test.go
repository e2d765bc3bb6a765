package fcgitest_test

import (
	"time"

	"github.com/sluice-gateway/sluice/fastcgi"
	. "github.com/sluice-gateway/sluice/fastcgi/fcgitest"
)

// ABORT_REQUEST at every point of a request. It is answered with END_REQUEST
// (FastCGI 1.0 §5.4), once.
func abortRows() []serverRow {
	abort := func(records ...Record) func(*Conn) {
		return expect(append(records, Abort(1)), EndRequest(1, 0, 0))
	}
	cancel := func(abort []Record, records ...Record) func(*Conn) {
		return func(c *Conn) {
			runs(c, records...)
			c.Send(abort...)
			if got := c.ReadAnswer(1); got != (Answer{ID: 1}) {
				c.Errorf("answer = %+v, want an empty one", got)
			}
			serves(c, 1)
		}
	}
	once := []Record{Abort(1)}
	wait := ask(1, true, "SCRIPT_NAME=/wait")
	upload := begun("SCRIPT_NAME=/wait", "CONTENT_LENGTH=5")
	return []serverRow{
		{name: "abort of an unknown id", talk: ignore(Abort(1), Abort(65535))},
		{name: "abort after BEGIN_REQUEST", talk: abort(Begin(1, 1, true))},
		{name: "abort inside PARAMS", talk: abort(Begin(1, 1, true), Params(1, "A=b"))},
		{name: "abort inside a pair", talk: abort(Begin(1, 1, true), typed(4, 1, "\x09\x09A"))},
		{name: "abort after PARAMS", talk: abort(begun()...)},
		{name: "abort inside STDIN", talk: cancel(once, append(upload, Stdin(1, "x"))...), lost: fastcgi.ErrAborted},
		{name: "abort before a body that was said", talk: cancel(once, upload...), lost: fastcgi.ErrAborted},
		{name: "abort after STDIN", talk: cancel(once, wait...), lost: fastcgi.ErrAborted},
		{name: "abort twice", talk: cancel([]Record{Abort(1), Abort(1)}, wait...), lost: fastcgi.ErrAborted},
		{name: "abort with a content", talk: cancel([]Record{typed(2, 1, "why not")}, wait...), lost: fastcgi.ErrAborted},
		{name: "abort of a request that has ended", talk: func(c *Conn) {
			serves(c, 1)
			ignore(Abort(1))(c)
		}},
		{name: "abort of one of two", talk: func(c *Conn) {
			runs(c, wait...)
			c.Send(Begin(2, 1, true), Params(2, "REQUEST_METHOD=GET"), Abort(1))
			c.ReadAnswer(1)
			c.Send(Params(2), Stdin(2, ""))
			answers(c, 2, "no body")
		}, lost: fastcgi.ErrAborted},
		{name: "abort in the same write", talk: func(c *Conn) {
			c.Send(append(ask(1, true), Abort(1))...)
			if got := c.ReadAnswer(1); got != (Answer{ID: 1}) && got.Stdout != "Status: 200 OK\r\n\r\nno body" {
				c.Errorf("answer = %+v, want a whole one or none", got)
			}
			serves(c, 1)
		}},
		{name: "abort, and the rest of the request", talk: func(c *Conn) {
			c.Send(Begin(1, 1, true), Abort(1), Params(1, "A=b"), Params(1), Stdin(1, "x"), Stdin(1, ""))
			c.Expect(EndRequest(1, 0, 0))
			serves(c, 1)
		}},
		{name: "abort of a refused request", talk: func(c *Conn) {
			c.Send(Begin(1, 0, true), Abort(1))
			c.Expect(EndRequest(1, fastcgi.UnknownRole, 0))
			serves(c, 1)
		}},
		{name: "abort, connection not kept", talk: func(c *Conn) {
			c.Send(Begin(1, 1, false), Abort(1))
			c.Expect(EndRequest(1, 0, 0))
			c.ExpectClosed()
		}},
		{name: "abort while the answer is written", talk: func(c *Conn) {
			c.Send(ask(1, true, "SCRIPT_NAME=/big")...)
			c.Read()
			c.Send(Abort(1))
			c.ReadAnswer(1)
			serves(c, 1)
		}, lost: fastcgi.ErrAborted},
	}
}

// A connection that closes at every point of a request.
func lossRows() []serverRow {
	leave := func(records ...Record) func(*Conn) {
		return func(c *Conn) {
			c.Send(records...)
			c.Close()
		}
	}
	leaveRunning := func(before []Record, records ...Record) func(*Conn) {
		return func(c *Conn) {
			runs(c, before...)
			leave(records...)(c)
		}
	}
	half := func(records ...Record) func(*Conn) {
		return func(c *Conn) {
			c.Send(records...)
			c.CloseWrite()
			c.ExpectClosed()
		}
	}
	halfRunning := func(before []Record, records ...Record) func(*Conn) {
		return func(c *Conn) {
			runs(c, before...)
			half(records...)(c)
		}
	}
	wait := ask(1, true, "SCRIPT_NAME=/wait")
	upload := begun("SCRIPT_NAME=/wait", "CONTENT_LENGTH=5")
	return []serverRow{
		{name: "close without a word", talk: leave()},
		{name: "close inside a header", talk: leave(Begin(1, 1, true).Cut(3))},
		{name: "close inside a content", talk: leave(Begin(1, 1, true).Cut(-3))},
		{name: "close after BEGIN_REQUEST", talk: leave(Begin(1, 1, true))},
		{name: "close inside PARAMS", talk: leave(begun()[:2]...)},
		{name: "close after PARAMS", talk: leave(begun()...)},
		{name: "close inside STDIN", talk: leaveRunning(upload, Stdin(1, "x")), lost: fastcgi.ErrConnectionLost},
		{name: "close inside a record of STDIN", talk: leaveRunning(upload, Stdin(1, "hello").Cut(-1)), lost: fastcgi.ErrConnectionLost},
		{name: "close after the request", talk: leaveRunning(wait), lost: fastcgi.ErrConnectionLost},
		{name: "close inside the answer", talk: func(c *Conn) {
			c.Send(ask(1, true, "SCRIPT_NAME=/big")...)
			c.Read()
			c.Close()
		}, lost: fastcgi.ErrConnectionLost},
		{name: "close after an abort", talk: leaveRunning(wait, Abort(1)), lost: fastcgi.ErrAborted},
		{name: "close after a refusal", talk: leave(Begin(1, 1, true), Params(1))},
		{name: "half close without a word", talk: half()},
		{name: "half close inside PARAMS", talk: half(begun()[:2]...)},
		{name: "half close inside STDIN", talk: halfRunning(upload, Stdin(1, "x")), lost: fastcgi.ErrConnectionLost},
		// FastCGI 1.0 knows no half close; to the server it is a close.
		{name: "half close after the request", talk: halfRunning(wait), lost: fastcgi.ErrConnectionLost},
		{name: "half close after the answer", talk: func(c *Conn) {
			serves(c, 1)
			c.CloseWrite()
			c.ExpectClosed()
		}},
		{name: "answer is never read", talk: func(c *Conn) { c.Send(ask(1, true, "SCRIPT_NAME=/big")...) },
			server: func(s *fastcgi.Server) { s.WriteTimeout = 50 * time.Millisecond }, lost: fastcgi.ErrConnectionLost},
		{name: "answers to questions are never read", talk: func(c *Conn) {
			for c.TrySend(GetValues(fastcgi.MaxConns, fastcgi.MaxReqs, fastcgi.MpxsConn)) {
			}
		}, server: func(s *fastcgi.Server) { s.WriteTimeout = 50 * time.Millisecond }},
	}
}
