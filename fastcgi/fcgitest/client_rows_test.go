package fcgitest_test

import (
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/fastcgi"
	. "github.com/sluice-gateway/sluice/fastcgi/fcgitest"
)

func clientRows() []clientRow {
	return slices.Concat(recordRows(), orderRows(), closeRows(), statusRows(), stderrRows(), headRows(), bodyRows(), slowRows())
}

// The answers here do without the empty STDOUT that need not be: when END_REQUEST
// comes later than it, the client may not have the connection back yet as the
// next request is made.
var (
	head    = Stdout(1, "Status: 200 OK\r\n\r\n")
	done    = EndRequest(1, 0, 0)
	good    = []Record{Stdout(1, hello), done}
	mega    = strings.Repeat("x", 1<<20)
	several = slices.Concat[[]Record]
)

// before puts records in front of a good answer, within inside it.
func before(records ...Record) []Record { return several(records, good) }

func within(records ...Record) []Record {
	return several([]Record{Stdout(1, hello[:10])}, records, []Record{Stdout(1, hello[10:]), done})
}

func typed(t fastcgi.Type, id uint16, content string) Record {
	return Record{Type: t, ID: id, Content: content}
}

// Records that are wrong, or only look like it.
func recordRows() []clientRow {
	allPaddings := []Record{head}
	for n := range 256 {
		allPaddings = append(allPaddings, Stdout(1, "x").WithPadding(uint8(n)))
	}
	return []clientRow{
		{name: "version 0", script: send(before(Stderr(1, "").WithVersion(0))...), want: malformed("version 0")},
		{name: "version 2", script: send(before(Stderr(1, "").WithVersion(2))...), want: malformed("version 2")},
		{name: "version 255 after the head", script: send(head, Stdout(1, "ab"), done.WithVersion(255)), want: malformed("version 255").after(200, "ab")},
		{name: "version 0 on a management record", script: send(before(GetValuesResult().WithVersion(0))...), want: malformed("version 0")},
		{name: "reserved byte", script: keep(head.WithReserved(1), Stdout(1, "ab").WithReserved(255), done.WithReserved(7)), want: kept(200, "ab")},
		{name: "reserved bytes of END_REQUEST", script: keep(head, typed(3, 1, "\x00\x00\x00\x00\x00\x01\x02\x03")), want: kept(200, "")},

		{name: "every padding", script: keep(append(allPaddings, done)...), want: kept(200, strings.Repeat("x", 256))},
		{name: "longest content and padding", script: keep(head, Stdout(1, mega[:65535]).WithPadding(255), done), want: kept(200, mega[:65535])},
		{name: "padding of empty records", script: keep(before(Stderr(1, "").WithPadding(255), GetValuesResult().WithPadding(1))...), want: kept(200, "hello")},
		{name: "padding of END_REQUEST", script: keep(head, Stdout(1, "").WithPadding(8), done.WithPadding(255)), want: kept(200, "")},
		{name: "head over padded records", script: keep(append(Stream(6, 1, hello, 3), Stdout(1, "").WithPadding(9), done)...), want: kept(200, "hello")},

		{name: "unknown type of the request", script: send(before(typed(99, 1, "abc"))...), want: malformed("sent type 99")},
		{name: "type 0 of the request", script: send(before(typed(0, 1, "abc"))...), want: malformed("sent type 0")},
		{name: "unknown type inside the body", script: send(head, Stdout(1, "ab"), typed(255, 1, "c"), done), want: malformed("sent type 255").after(200, "ab")},
		{name: "UNKNOWN_TYPE with the request's id", script: send(before(typed(11, 1, "\x05\x00\x00\x00\x00\x00\x00\x00"))...), want: malformed("sent UNKNOWN_TYPE")},
		{name: "WINDOW_UPDATE without flow control", script: send(before(typed(fastcgi.TypeWindowUpdate, 1, "\x00\x00\x00\x01"))...), want: malformed("sent WINDOW_UPDATE")},
		{name: "unknown management type first", script: keep(before(typed(99, 0, "abc"))...), want: kept(200, "hello")},
		{name: "unknown management type inside", script: keep(within(typed(200, 0, mega[:65535]), typed(12, 0, ""))...), want: kept(200, "hello")},
		{name: "GET_VALUES_RESULT unasked", script: keep(within(GetValuesResult("FCGI_MPXS_CONNS=1"))...), want: kept(200, "hello")},
		{name: "GET_VALUES_RESULT malformed", script: send(within(typed(10, 0, "\x09\x09"))...), want: malformed("runs past the end")},
		{name: "UNKNOWN_TYPE unasked", script: keep(before(UnknownType(9))...), want: kept(200, "hello")},
		{name: "GET_VALUES asked back", script: keep(before(GetValues("FCGI_MAX_CONNS"))...), want: kept(200, "hello")},

		{name: "STDOUT with id 0", script: send(answer(0, hello)...), want: malformed("STDOUT with request id 0")},
		{name: "STDERR with id 0", script: send(before(Stderr(0, "x"))...), want: malformed("STDERR with request id 0")},
		{name: "END_REQUEST with id 0", script: send(head, EndRequest(0, 0, 0)), want: malformed("END_REQUEST with request id 0").after(200, "")},
		// An answer to somebody else is no answer to this one, so a GET may be
		// sent again.
		{name: "STDOUT of another request", script: send(answer(7, hello)...), want: malformed("STDOUT for request 7").but(retry)},
		{name: "id in the wrong byte order", script: send(answer(0x100, hello)...), want: malformed("STDOUT for request 256").but(retry)},
		{name: "STDERR of another request", script: send(before(Stderr(65535, "x"))...), want: malformed("STDERR for request 65535").but(retry)},
		{name: "END_REQUEST of another request", script: send(head, Stdout(1, "ab"), EndRequest(2, 0, 0)), want: malformed("END_REQUEST for request 2").after(200, "ab")},

		{name: "BEGIN_REQUEST", script: send(before(Begin(1, 1, true))...), want: malformed("sent BEGIN_REQUEST")},
		{name: "ABORT_REQUEST", script: send(before(Abort(1))...), want: malformed("sent ABORT_REQUEST")},
		{name: "PARAMS", script: send(before(Params(1, "A=b"))...), want: malformed("sent PARAMS")},
		{name: "STDIN", script: send(before(Stdin(1, "x"))...), want: malformed("sent STDIN")},
		{name: "DATA", script: send(before(Data(1, ""))...), want: malformed("sent DATA")},

		{name: "1-byte records", script: keep(append(Stream(6, 1, hello, 1), done)...), want: kept(200, "hello")},
		{name: "1-byte writes", script: func(c *Conn) {
			c.ReadRequest()
			c.Dribble(1, good...)
			serve(c)
		}, want: kept(200, "hello")},
		{name: "7-byte writes, padded", script: func(c *Conn) {
			c.ReadRequest()
			c.Dribble(7, Stdout(1, hello).WithPadding(7), Stderr(1, "").WithPadding(7), done)
			serve(c)
		}, want: kept(200, "hello")},
		{name: "long body in 1-byte records", script: keep(several([]Record{head}, Stream(6, 1, mega[:20000], 1), []Record{done})...), want: kept(200, mega[:20000])},
	}
}

// Records in the wrong order, or at the wrong time.
func orderRows() []clientRow {
	return []clientRow{
		{name: "END_REQUEST without STDOUT", script: send(done), want: badHead("END_REQUEST without a response")},
		{name: "END_REQUEST with an exit status", script: send(EndRequest(1, 0, 139)), want: badHead("application status 139")},
		{name: "empty STDOUT and END_REQUEST", script: send(Stdout(1, ""), done), want: badHead("END_REQUEST without a response")},
		{name: "END_REQUEST inside the head", script: send(Stdout(1, "Content-Ty"), done), want: badHead("END_REQUEST before the head")},
		{name: "END_REQUEST without the end of STDOUT", script: keep(Stdout(1, hello), done), want: kept(200, "hello")},
		{name: "exit status of an answer", script: keep(Stdout(1, hello), EndRequest(1, 0, 1)), want: kept(200, "hello")},
		{name: "END_REQUEST of 0 bytes", script: send(typed(3, 1, "")), want: malformed("END_REQUEST of 0 bytes")},
		{name: "END_REQUEST of 7 bytes", script: send(head, typed(3, 1, "1234567")), want: malformed("END_REQUEST of 7 bytes").after(200, "")},
		{name: "END_REQUEST of 9 bytes", script: send(head, typed(3, 1, "123456789")), want: malformed("END_REQUEST of 9 bytes").after(200, "")},
		{name: "END_REQUEST that claims 65535 bytes", script: leave(head, done.WithLength(65535)), want: lost("inside a record").after(200, "")},

		{name: "END_REQUEST twice", script: send(append(good, done)...), want: whole(200, "hello")},
		{name: "STDOUT after END_REQUEST", script: send(append(good, Stdout(1, "forged"))...), want: whole(200, "hello")},
		{name: "an answer after END_REQUEST", script: send(append(good, answer(1, "\n\nforged")...)...), want: whole(200, "hello")},
		{name: "a half record after END_REQUEST", script: send(append(good, Stdout(1, "").Cut(3))...), want: whole(200, "hello")},
		// The answer is whole at the end of STDOUT. What follows may cost the
		// connection, but must not depend on how the kernel cuts the bytes.
		{name: "STDOUT after its end", script: send(Stdout(1, hello), Stdout(1, ""), Stdout(1, "x"), done), want: whole(200, "hello")},
		{name: "END_REQUEST of 3 bytes after a whole answer", script: send(Stdout(1, hello), Stdout(1, ""), typed(3, 1, "abc")), want: whole(200, "hello")},
		{name: "OVERLOADED after a whole answer", script: send(Stdout(1, hello), Stdout(1, ""), EndRequest(1, 2, 0)), want: whole(200, "hello")},
		{name: "close in END_REQUEST after a whole answer", script: leave(Stdout(1, hello), Stdout(1, ""), done.Cut(9)), want: whole(200, "hello")},
		{name: "STDOUT ended twice", script: keep(Stdout(1, hello), Stdout(1, ""), Stdout(1, ""), done), want: kept(200, "hello")},
		{name: "STDOUT ended inside the head", script: send(Stdout(1, "A: b\r\n"), Stdout(1, ""), Stdout(1, "\r\n"), done), want: malformed("STDOUT after its end")},
	}
}

// Connections that are closed too early, or at a moment that is still right.
func closeRows() []clientRow {
	return []clientRow{
		{name: "close without a byte", script: leave(), want: lost("before the end of the response").but(retry)},
		{name: "close in the first header", script: leave(head.Cut(5)), want: lost("inside a record").but(retry)},
		{name: "close in the head", script: leave(Stdout(1, "Content-Ty")), want: lost("before the end of the response")},
		{name: "close after the head", script: leave(head), want: lost("before the end of the response").after(200, "")},
		{name: "close in the body", script: leave(head, Stdout(1, "ab")), want: lost("before the end of the response").after(200, "ab")},
		{name: "close in a header", script: leave(head, Stdout(1, "ab"), done.Cut(7)), want: lost("inside a record").after(200, "ab")},
		{name: "close in a content", script: leave(head, Stdout(1, "abcd").Cut(-2)), want: lost("inside a record").after(200, "ab")},
		{name: "close in a padding", script: leave(head, Stdout(1, "ab").WithPadding(9).Cut(-1)), want: lost("inside a record").after(200, "ab")},
		{name: "close in END_REQUEST", script: leave(head, Stdout(1, "ab"), done.Cut(-1)), want: lost("inside a record").after(200, "ab")},
		{name: "close in the padding of END_REQUEST", script: leave(head, Stdout(1, "ab"), done.WithPadding(9).Cut(-1)), want: whole(200, "ab")},
		{name: "close after STDERR", script: leave(Stderr(1, "Segmentation fault\n")), want: lost("before the end of the response")},
		{name: "close after a management record", script: leave(GetValuesResult()), want: lost("before the end of the response").but(retry)},

		{name: "close after the end of STDOUT", script: leave(Stdout(1, hello), Stdout(1, "")), want: whole(200, "hello")},
		{name: "close after the announced length", script: leave(Stdout(1, "Content-Length: 2\n\nok")), want: whole(200, "ok")},
		{name: "close before the announced length", script: leave(Stdout(1, "Content-Length: 3\n\nok")), want: lost("before the end of the response").after(200, "ok")},
		{name: "close after END_REQUEST, in spite of KEEP_CONN", script: leave(good...), want: whole(200, "hello")},
		{name: "half close after END_REQUEST", script: func(c *Conn) {
			c.ReadRequest()
			c.Send(good...)
			c.CloseWrite()
			c.ReadAll() // the next request may have been sent already
		}, want: whole(200, "hello")},
		{name: "half close without a byte", script: func(c *Conn) {
			c.ReadRequest()
			c.CloseWrite()
			c.ExpectClosed()
		}, want: lost("before the end of the response").but(retry)},

		{name: "reset without a byte", script: func(c *Conn) {
			c.ReadRequest()
			c.Reset()
		}, tcp: true, want: outcome{op: "receive", text: "connection reset", flags: retry}},
	}
}

// Requests that are refused.
func statusRows() []clientRow {
	return []clientRow{
		{name: "OVERLOADED", script: send(EndRequest(1, 2, 0)), want: refusal("OVERLOADED").but(retry | refused)},
		{name: "CANT_MPX_CONN", script: send(EndRequest(1, 1, 0)), want: refusal("CANT_MPX_CONN").but(retry | refused)},
		{name: "UNKNOWN_ROLE", script: send(EndRequest(1, 3, 0)), want: refusal("UNKNOWN_ROLE")},
		{name: "status 4", script: send(EndRequest(1, 4, 0)), want: refusal("protocol status 4")},
		{name: "status 255", script: send(EndRequest(1, 255, 0)), want: refusal("protocol status 255")},
		{name: "OVERLOADED after STDERR", script: send(Stderr(1, "busy\n"), EndRequest(1, 2, 0)), want: refusal("OVERLOADED").but(retry | refused)},
		{name: "OVERLOADED after an empty STDOUT", script: send(Stdout(1, ""), EndRequest(1, 2, 0)), want: refusal("OVERLOADED").but(retry | refused)},
		{name: "OVERLOADED inside the head", script: send(Stdout(1, "Content-Ty"), EndRequest(1, 2, 0)), want: refusal("OVERLOADED").but(refused)},
		{name: "OVERLOADED after the head", script: send(head, Stdout(1, "ab"), EndRequest(1, 2, 0)), want: outcome{op: "receive", text: "OVERLOADED"}.after(200, "ab")},
		{name: "OVERLOADED and close", script: leave(EndRequest(1, 2, 0)), want: refusal("OVERLOADED").but(retry | refused)},
	}
}

// STDERR at all times: it is for the log and changes nothing.
func stderrRows() []clientRow {
	return []clientRow{
		{name: "STDERR first", script: keep(before(Stderr(1, "a\n"), Stderr(1, ""))...), want: kept(200, "hello")},
		{name: "STDERR inside the head", script: keep(within(Stderr(1, "a"))...), want: kept(200, "hello")},
		{name: "STDERR inside the body", script: keep(head, Stdout(1, "a"), Stderr(1, "x"), Stdout(1, "b"), done), want: kept(200, "ab")},
		{name: "STDERR after the end of STDOUT", script: keep(Stdout(1, hello), Stdout(1, ""), Stderr(1, "x"), done), want: kept(200, "hello")},
		{name: "STDERR after its end", script: keep(before(Stderr(1, ""), Stderr(1, "x"))...), want: kept(200, "hello")},
		{name: "STDERR after END_REQUEST", script: send(append(good, Stderr(1, "x"))...), want: whole(200, "hello")},
		{name: "1 MiB of STDERR first", script: keep(before(Stream(7, 1, mega, 0)...)...), want: kept(200, "hello")},
		{name: "1 MiB of STDERR inside the body", script: keep(several([]Record{Stdout(1, hello)}, Stream(7, 1, mega, 999), []Record{done})...), want: kept(200, "hello")},
		{name: "STDERR of control characters", script: keep(before(Stderr(1, "\x1b[2J\x00\r\rlevel=ERROR\n"))...), want: kept(200, "hello")},
		{name: "only STDERR", script: send(Stderr(1, "PHP Fatal error"), done), want: badHead("END_REQUEST without a response")},
		{name: "only 1 MiB of STDERR", script: send(append(Stream(7, 1, mega, 0), Stderr(1, ""), EndRequest(1, 0, 255))...), want: badHead("application status 255")},
	}
}
