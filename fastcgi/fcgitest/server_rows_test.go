package fcgitest_test

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/fastcgi"
	. "github.com/sluice-gateway/sluice/fastcgi/fcgitest"
)

func serverRows() []serverRow {
	return slices.Concat(wireRows(), beginRows(), paramsRows(), stdinRows(), abortRows(), lossRows(), managementRows(), limitRows())
}

const (
	responder = fastcgi.RoleResponder
	longest   = "9223372036854775807"
)

// Records that are wrong, or only look like it.
func wireRows() []serverRow {
	var padded []Record
	for i, r := range ask(1, true) {
		padded = append(padded, r.WithPadding(uint8(255-i)).WithReserved(uint8(i)))
	}
	return []serverRow{
		{name: "version 0", rule: "record of protocol version 0, want 1", talk: hangUp(Begin(1, 1, true).WithVersion(0))},
		{name: "version 2", rule: "record of protocol version 2, want 1", talk: hangUp(Begin(1, 1, true).WithVersion(2))},
		{name: "version 255 on PARAMS", rule: "record of protocol version 255, want 1", talk: hangUp(Begin(1, 1, true), Params(1).WithVersion(255))},
		{name: "version 0 after a request", rule: "record of protocol version 0, want 1", talk: func(c *Conn) {
			serves(c, 1)
			hangUp(Begin(1, 1, true).WithVersion(0))(c)
		}},
		{name: "not FastCGI at all", rule: "record of protocol version 71, want 1", talk: func(c *Conn) {
			c.Raw([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n"))
			c.ExpectClosed()
		}},
		{name: "padding and reserved bytes", talk: echo("no body", padded...)},
		{name: "longest content and padding", talk: echo(fmt.Sprintf("65535 %q <nil>", mega[:65535]), append(begun("CONTENT_LENGTH=65535"), Stdin(1, mega[:65535]).WithPadding(255), Stdin(1, "").WithPadding(255))...)},
		{name: "1-byte writes", talk: func(c *Conn) {
			c.Dribble(1, append(begun("CONTENT_LENGTH=2"), Stdin(1, "ab").WithPadding(3), Stdin(1, ""))...)
			answers(c, 1, `2 "ab" <nil>`)
		}},
		{name: "1-byte records", talk: echo("no body", several([]Record{Begin(1, 1, true)}, Stream(4, 1, Params(1, "REQUEST_METHOD=GET").Content, 1), []Record{Params(1), Stdin(1, "")})...)},

		{name: "BEGIN_REQUEST with id 0", rule: "BEGIN_REQUEST with request id 0", talk: hangUp(Begin(0, 1, true))},
		{name: "ABORT_REQUEST with id 0", rule: "ABORT_REQUEST with request id 0", talk: hangUp(Abort(0))},
		{name: "PARAMS with id 0", rule: "PARAMS with request id 0", talk: hangUp(Params(0, "A=b"))},
		{name: "STDIN with id 0", rule: "STDIN with request id 0", talk: hangUp(append(begun(), Stdin(0, "x"))...)},
		{name: "END_REQUEST with id 0", rule: "END_REQUEST with request id 0", talk: hangUp(EndRequest(0, 0, 0))},

		{name: "PARAMS before BEGIN_REQUEST", talk: ignore(Params(1, "A=b"), Params(1))},
		{name: "STDIN before BEGIN_REQUEST", talk: ignore(Stdin(1, "x"), Stdin(1, ""))},
		{name: "everything for an unknown id", talk: ignore(Params(9, "A=b"), Stdin(9, mega[:65535]), Data(9, "x"), Abort(9), typed(99, 9, "x"), EndRequest(9, 0, 0))},
		{name: "PARAMS of another request", talk: echo("no body", Begin(1, 1, true), Params(1, "REQUEST_METHOD=GET"), Params(2, "CONTENT_LENGTH=9"), Params(2), Params(1), Stdin(1, ""))},
		{name: "unknown type of the request", talk: echo("no body", slices.Insert(ask(1, true), 2, typed(99, 1, "abc"), typed(0, 1, ""))...)},
		{name: "every unknown type of the request", talk: func(c *Conn) {
			for n := fastcgi.Type(12); n != 0; n++ {
				if n == fastcgi.TypeWindowUpdate {
					continue // below
				}
				c.Send(slices.Insert(ask(1, true), 1, typed(n, 1, "abc"))...)
				answers(c, 1, "no body")
			}
		}},
		{name: "WINDOW_UPDATE without flow control", talk: echo("no body", slices.Insert(ask(1, true), 1, typed(fastcgi.TypeWindowUpdate, 1, "\x00\x00\x00\x01"))...)},
		{name: "type 40 without flow control", talk: echo("no body", slices.Insert(ask(1, true), 1, typed(fastcgi.TypeWindowUpdate, 1, "abc"))...)},
		{name: "answers from the web server", talk: echo("no body", slices.Insert(ask(1, true), 1, Stdout(1, "x"), Stderr(1, "x"), EndRequest(1, 0, 0))...)},
		{name: "GET_VALUES with the request's id", talk: echo("no body", slices.Insert(ask(1, true), 1, typed(9, 1, "\x09\x00"))...)},
	}
}

// BEGIN_REQUEST.
func beginRows() []serverRow {
	unknown := func(role uint16) func(*Conn) {
		return expect([]Record{Begin(1, role, true)}, EndRequest(1, fastcgi.UnknownRole, 0))
	}
	return []serverRow{
		{name: "BEGIN_REQUEST of 0 bytes", rule: "BEGIN_REQUEST of 0 bytes, want 8", talk: hangUp(typed(1, 1, ""))},
		{name: "BEGIN_REQUEST of 7 bytes", rule: "BEGIN_REQUEST of 7 bytes, want 8", talk: hangUp(typed(1, 1, "\x00\x01\x01\x00\x00\x00\x00"))},
		{name: "BEGIN_REQUEST of 9 bytes", rule: "BEGIN_REQUEST of 9 bytes, want 8", talk: hangUp(typed(1, 1, "\x00\x01\x01\x00\x00\x00\x00\x00\x00"))},
		{name: "role 0", talk: unknown(0)},
		{name: "role 4", talk: unknown(4)},
		{name: "role 257", talk: unknown(257)},
		{name: "authorizer", talk: unknown(fastcgi.RoleAuthorizer)},
		{name: "filter", talk: unknown(fastcgi.RoleFilter)},
		{name: "role 0, with all of the request", talk: func(c *Conn) {
			c.Send(Begin(1, 0, true), Params(1, "REQUEST_METHOD=GET"), Params(1), Stdin(1, "x"), Stdin(1, ""))
			c.Expect(EndRequest(1, fastcgi.UnknownRole, 0))
			serves(c, 1)
		}},
		{name: "role 0, connection not kept", talk: func(c *Conn) {
			c.Send(Begin(1, 0, false))
			c.Expect(EndRequest(1, fastcgi.UnknownRole, 0))
			c.ExpectClosed()
		}},
		{name: "unknown flags, kept", talk: echo("no body", append([]Record{typed(1, 1, "\x00\x01\xff\x00\x00\x00\x00\x00")}, ask(1, true)[1:]...)...)},
		{name: "unknown flags, not kept", talk: func(c *Conn) {
			c.Send(append([]Record{typed(1, 1, "\x00\x01\xfe\x00\x00\x00\x00\x00")}, ask(1, true)[1:]...)...)
			answers(c, 1, "no body")
			c.ExpectClosed()
		}},
		{name: "reserved bytes of BEGIN_REQUEST", talk: echo("no body", append([]Record{typed(1, 1, "\x00\x01\x01\x01\x02\x03\x04\x05")}, ask(1, true)[1:]...)...)},
		{name: "BEGIN_REQUEST twice", rule: "BEGIN_REQUEST for request 1, which is active", talk: hangUp(Begin(1, 1, true), Begin(1, 1, true))},
		{name: "BEGIN_REQUEST of a request that runs", rule: "BEGIN_REQUEST for request 1, which is active", talk: func(c *Conn) {
			runs(c, ask(1, true, "SCRIPT_NAME=/wait")...)
			hangUp(Begin(1, 1, true))(c)
		}, lost: fastcgi.ErrMalformed},
		{name: "one id again and again", talk: func(c *Conn) {
			for range 100 {
				serves(c, 65535)
			}
		}},
		{name: "two requests, the records mixed", talk: func(c *Conn) {
			one, two := ask(1, true), ask(2, true)
			for i := range one {
				c.Send(two[i], one[i])
			}
			answers(c, 1, "no body")
			answers(c, 2, "no body")
		}},
		{name: "a second request on a connection that is not kept", talk: func(c *Conn) {
			c.Send(slices.Concat([]Record{Begin(1, 1, false)}, ask(2, true), ask(1, true)[1:])...)
			answers(c, 2, "no body")
			answers(c, 1, "no body")
			c.ExpectClosed()
		}},
	}
}

// PARAMS.
func paramsRows() []serverRow {
	with := func(content string) []Record { return []Record{Begin(1, 1, true), typed(4, 1, content), Params(1)} }
	rows := []serverRow{
		{name: "PARAMS after their end", rule: "PARAMS of request 1 after their end", talk: hangUp(append(begun(), Params(1, "A=b"))...)},
		{name: "PARAMS ended twice", rule: "PARAMS of request 1 after their end", talk: hangUp(append(begun(), Params(1))...)},
		{name: "no params at all", talk: refuse(400, Begin(1, 1, true), Params(1))},
		{name: "no REQUEST_METHOD", talk: refuse(400, Begin(1, 1, true), Params(1, "A=b"), Params(1))},
		{name: "empty REQUEST_METHOD", talk: refuse(400, Begin(1, 1, true), Params(1, "REQUEST_METHOD="), Params(1))},
		{name: "refused request goes on", talk: func(c *Conn) {
			c.Send(Begin(1, 1, true), Params(1), Stdin(1, mega[:65535]), Stdin(1, ""))
			refuses(c, 1, 400)
			serves(c, 1)
		}},
		{name: "refused request, connection not kept", talk: func(c *Conn) {
			c.Send(Begin(1, 1, false), Params(1))
			refuses(c, 1, 400)
			c.ExpectClosed()
		}},
		{name: "value past the end", talk: refuse(400, with("\x0e\x04REQUEST_METHODGET")...)},
		{name: "name past the end", talk: refuse(400, with("\x0e\x03REQUEST")...)},
		{name: "half a pair of lengths", talk: refuse(400, with("\x0e")...)},
		{name: "half a long length", talk: refuse(400, with("\x01\x80\x00\x00")...)},
		{name: "long length of 2^31-1", talk: refuse(400, with("\xff\xff\xff\xff\x00x")...)},
		{name: "long lengths of 2^31-1, both", talk: refuse(400, with("\xff\xff\xff\xff\xff\xff\xff\xff")...)},
		{name: "long lengths of small numbers", talk: echo("no body", append(with("\x80\x00\x00\x0e\x80\x00\x00\x03REQUEST_METHODGET"), Stdin(1, ""))...)},
		{name: "empty name and value", talk: echo("no body", append(with("\x00\x00\x0e\x03REQUEST_METHODGET"), Stdin(1, ""))...)},
		{name: "one param twice", talk: echo("no body", append(with("\x0e\x03REQUEST_METHODPUT\x0e\x03REQUEST_METHODGET"), Stdin(1, ""))...)},
		{name: "a pair over records that end in its lengths", talk: echo("no body", Begin(1, 1, true), typed(4, 1, "\x80\x00"), typed(4, 1, "\x00\x0e\x03REQ"), typed(4, 1, "UEST_METHODGET"), Params(1), Stdin(1, ""))},
		{name: "PARAMS that do not end", rule: "the end of the PARAMS of request 1 did not come for 50ms", talk: hangUp(begun()[:2]...), server: hurry},
		{name: "nothing after BEGIN_REQUEST", rule: "the end of the PARAMS of request 1 did not come for 50ms", talk: hangUp(Begin(1, 1, true)), server: hurry},
		{name: "PARAMS that trickle", rule: "the end of the PARAMS of request 1 did not come for 50ms", talk: func(c *Conn) {
			c.Send(Begin(1, 1, true))
			for c.TrySend(typed(4, 1, "\x00\x00")) {
			}
		}, server: func(s *fastcgi.Server) { hurry(s); s.MaxParams = -1 }},
		{name: "half a header", rule: "the rest of a record did not come for 50ms", talk: hangUp(Begin(1, 1, true).Cut(3)), server: hurry},
		{name: "half a header after a request", rule: "the rest of a record did not come for 50ms", talk: func(c *Conn) {
			serves(c, 1)
			hangUp(Begin(1, 1, true).Cut(7))(c)
		}, server: hurry},
		{name: "half a padding", rule: "the rest of a record did not come for 50ms", talk: func(c *Conn) {
			c.Send(GetValues().WithPadding(255).Cut(-1))
			c.Expect(GetValuesResult())
			c.ExpectClosed()
		}, server: hurry},
	}
	for _, length := range []string{"abc", "-1", "+5", " 5", "5 ", "5, 5", "0x5", "9223372036854775808", strings.Repeat("9", 1000)} {
		rows = append(rows, serverRow{name: fmt.Sprintf("CONTENT_LENGTH %.20q", length), talk: refuse(400, begun("CONTENT_LENGTH="+length)...)})
	}
	return rows
}

func hurry(s *fastcgi.Server) { s.ParamsTimeout = 50 * time.Millisecond }

// STDIN and DATA.
func stdinRows() []serverRow {
	body := func(length string, pieces ...string) []Record {
		records := begun("CONTENT_LENGTH=" + length)
		for _, p := range pieces {
			records = append(records, Stdin(1, p))
		}
		return append(records, Stdin(1, ""))
	}
	return []serverRow{
		{name: "STDIN before the end of PARAMS", rule: "STDIN of request 1 before the end of its PARAMS", talk: hangUp(Begin(1, 1, true), Params(1, "REQUEST_METHOD=GET"), Stdin(1, "x"))},
		{name: "end of STDIN before PARAMS", rule: "STDIN of request 1 before the end of its PARAMS", talk: hangUp(Begin(1, 1, true), Stdin(1, ""))},
		{name: "no STDIN at all", rule: "STDIN of a request, or its end, did not come for 50ms", talk: hangUp(begun()...), server: hurry},
		{name: "no STDIN, and CONTENT_LENGTH 0", rule: "STDIN of a request, or its end, did not come for 50ms", talk: hangUp(begun("CONTENT_LENGTH=0")...), server: hurry},
		{name: "STDIN after its end", rule: "STDIN of request 1 after its end", talk: func(c *Conn) {
			runs(c, append(begun("SCRIPT_NAME=/wait", "CONTENT_LENGTH=5"), Stdin(1, "x"), Stdin(1, ""))...)
			hangUp(Stdin(1, "x"))(c)
		}, lost: fastcgi.ErrMalformed},
		{name: "STDIN after its end, without a body", rule: "STDIN of request 1 after its end", talk: func(c *Conn) {
			runs(c, ask(1, true, "SCRIPT_NAME=/wait")...)
			hangUp(Stdin(1, "x"))(c)
		}, lost: fastcgi.ErrMalformed},
		{name: "STDIN ended twice", talk: func(c *Conn) {
			c.Send(append(ask(1, true), Stdin(1, ""), Stdin(1, ""))...)
			answers(c, 1, "no body")
			serves(c, 1)
		}},
		{name: "body shorter than said", talk: echo(`5 "ab" unexpected EOF`, body("5", "ab")...)},
		{name: "body shorter than the longest", talk: echo(longest+` "ab" unexpected EOF`, body(longest, "ab")...)},
		{name: "no body where one was said", talk: echo(`5 "" unexpected EOF`, body("5")...)},
		{name: "body longer than said", talk: echo(`1 "a" <nil>`, body("1", "ab", "cd")...)},
		{name: "body where none was said", talk: echo("no body", body("0", "ab")...)},
		{name: "body of unknown length", talk: echo(`-1 "abcd" <nil>`, body("", "ab", "cd")...)},
		{name: "body that is not read", talk: echo("ignored", append(begun("SCRIPT_NAME=/ignore", "CONTENT_LENGTH=1048576"), append(Stream(5, 1, mega, 0), Stdin(1, ""))...)...)},
		{name: "body that is not read, and much longer than said", talk: echo("ignored", append(begun("SCRIPT_NAME=/ignore", "CONTENT_LENGTH=1"), append(Stream(5, 1, mega, 0), Stdin(1, ""))...)...)},
		{name: "body that is not read and does not end, connection not kept", talk: func(c *Conn) {
			c.Send(Begin(1, 1, false), Params(1, "REQUEST_METHOD=POST", "SCRIPT_NAME=/ignore", "CONTENT_LENGTH=1048577"), Params(1))
			c.Send(Stream(5, 1, mega, 0)...)
			answers(c, 1, "ignored")
			c.ExpectClosed()
		}},
		{name: "DATA to a responder", talk: echo(`2 "ab" <nil>`, append(begun("CONTENT_LENGTH=2"), Data(1, "file"), Data(1, ""), Stdin(1, "ab"), Stdin(1, ""))...)},
	}
}
