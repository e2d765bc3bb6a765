package fcgitest_test

import (
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
	. "github.com/sluice-gateway/sluice/fastcgi/fcgitest"
)

// stdout answers with stdout and wants the client to close.
func stdout(s string) func(*Conn) { return send(append(Stream(6, 1, s, 0), Stdout(1, ""), done)...) }

// Heads of responses. What may stand in one is the affair of cgi.HeadParser
// and its tests; here it arrives in records.
func headRows() []clientRow {
	tooLarge := outcome{op: "receive", is: cgi.ErrTooLarge}
	return []clientRow{
		{name: "Status abc", script: stdout("Status: abc\r\n\r\n"), want: badHead(`Status "abc"`)},
		{name: "Status 99", script: stdout("Status: 99\r\n\r\n"), want: badHead(`Status "99"`)},
		{name: "Status 1000", script: stdout("Status: 1000 x\r\n\r\n"), want: badHead(`Status "1000 x"`)},
		{name: "Status 101", script: stdout("Status: 101 Switching Protocols\r\n\r\n"), want: badHead("Status")},
		{name: "empty Status", script: stdout("Status:\r\n\r\n"), want: badHead(`Status ""`)},
		{name: "two Statuses", script: stdout("Status: 200\r\nStatus: 404\r\n\r\n"), want: badHead("more than one Status")},
		{name: "NUL", script: stdout("A: b\x00c\r\n\r\n"), want: badHead("control character 0x00 in the value of A")},
		{name: "bare CR", script: stdout("A: b\rSet-Cookie: c\r\n\r\n"), want: badHead("control character 0x0d")},
		{name: "no colon", script: stdout("hello, world\r\n\r\n"), want: badHead("is not a header field")},
		{name: "space in a name", script: stdout("A b: c\r\n\r\n"), want: badHead("is not a header field")},
		{name: "Transfer-Encoding", script: stdout("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), want: badHead("Transfer-Encoding")},
		{name: "Content-Length 5x", script: stdout("Content-Length: 5x\r\n\r\nhello"), want: badHead(`Content-Length "5x"`)},
		{name: "two Content-Lengths", script: stdout("Content-Length: 5\r\nContent-Length: 3\r\n\r\nhello"), want: badHead("both 5 and 3")},
		{name: "head over the limit", script: stdout("A: " + mega[:64<<10] + "\r\n\r\n"), want: tooLarge},
		{name: "head that does not end", script: stdout(strings.Repeat("A: b\r\n", 20000)), want: tooLarge},
		{name: "head over a limit of ours", script: stdout("A: " + mega[:100] + "\r\n\r\n"), client: func(c *fastcgi.Client) { c.MaxHead = 100 }, want: tooLarge},
		{name: "too many fields", script: stdout(strings.Repeat("A: b\r\n", 1001) + "\r\n"), want: tooLarge},

		{name: "LF only", script: keep(answer(1, "Status: 404 Not Found\nA: b\n\nlost")...), want: kept(404, "lost")},
		{name: "empty head", script: keep(answer(1, "\r\nhello")...), want: kept(200, "hello")},
		{name: "status line instead of Status", script: keep(answer(1, "HTTP/1.1 404 Not Found\r\n\r\nlost")...), want: kept(404, "lost")},
		{name: "Location alone", script: keep(answer(1, "Location: http://example.org/\r\n\r\n")...), want: kept(302, "")},
		{name: "103 first", script: keep(answer(1, "Status: 103\r\nLink: </a>\r\n\r\nStatus: 201\r\n\r\nmade")...), want: kept(201, "made")},
		{name: "too many 103s at once", script: stdout(strings.Repeat("Status: 103\r\n\r\n", 65) + hello), want: badHead("more than 64 interim responses")},
		{name: "103 alone", script: stdout("Status: 103\r\n\r\n"), want: badHead("END_REQUEST without a response")},
		{name: "head as long as the limit", script: keep(append(Stream(6, 1, "A: "+mega[:64<<10-7]+"\r\n\r\nhello", 0), done)...), want: kept(200, "hello")},

		// The connection is none the worse for it.
		{name: "Content-Length too large", script: keep(answer(1, "Content-Length: 9\r\n\r\nhello")...), want: short("5 of the 9 bytes of its Content-Length").after(200, "hello")},
		{name: "Content-Length too large, no end of STDOUT", script: keep(Stdout(1, "Content-Length: 9\r\n\r\nhello"), done), want: short("5 of the 9 bytes of its Content-Length").after(200, "hello")},
		{name: "Content-Length and no body", script: keep(answer(1, "Content-Length: 9\r\n\r\n")...), want: short("0 of the 9 bytes of its Content-Length").after(200, "")},
		{name: "Content-Length too large, END_REQUEST late", script: func(c *Conn) {
			c.ReadRequest()
			c.Send(Stdout(1, "Content-Length: 9\r\n\r\nhello"), Stdout(1, ""))
			c.ExpectClosed() // it is not kept when it does not come
		}, client: func(c *fastcgi.Client) { c.MaxIdle = -1 }, want: lost("5 of the 9 bytes of its Content-Length").after(200, "hello")},
		{name: "Content-Length too large, and close", script: leave(Stdout(1, "Content-Length: 9\r\n\r\nhello"), Stdout(1, "")), want: lost("5 of the 9 bytes of its Content-Length").after(200, "hello")},
		{name: "Content-Length of 204", script: keep(answer(1, "Status: 204\r\nContent-Length: 9\r\n\r\n")...), want: kept(204, "")},
		{name: "Content-Length of 304", script: keep(answer(1, "Status: 304\r\nContent-Length: 9\r\n\r\n")...), want: kept(304, "")},
		{name: "Content-Length of a HEAD", method: "HEAD", script: keep(answer(1, "Content-Length: 9\r\n\r\n")...), want: kept(200, "")},
		// One that is too small is told to the HTTP client by the gateway.
		{name: "Content-Length too small", script: keep(answer(1, "Content-Length: 3\r\n\r\nhello")...), want: kept(200, "hello")},
	}
}

// Request bodies that are not read, or not to their end.
func bodyRows() []clientRow {
	const big = 4 << 20 // more than sockets hold
	tooBig := answer(1, "Status: 413 Content Too Large\r\n\r\ntoo big")
	return []clientRow{
		{name: "answer before a small body is read", script: func(c *Conn) {
			c.ReadHead()
			c.Send(good...)
			c.Pause(nil)
		}, body: 10, client: func(c *fastcgi.Client) { c.MaxIdle = -1 }, want: whole(200, "hello")},
		{name: "answer before a big body is read, then it is not", script: func(c *Conn) {
			c.ReadHead()
			c.Send(tooBig...)
			c.Pause(nil)
		}, body: big, want: whole(413, "too big")},
		{name: "answer to a big body, and close", script: func(c *Conn) {
			c.ReadHead()
			c.Send(tooBig...)
			c.CloseWrite() // a close would reset the connection and take the answer with it
			c.Pause(nil)
		}, body: big, want: whole(413, "too big")},
		{name: "big body refused", script: func(c *Conn) {
			c.ReadHead()
			c.Send(EndRequest(1, 2, 0))
			c.Pause(nil)
		}, body: big, want: refusal("OVERLOADED").but(retry | refused)},
		{name: "big body malformed answer", script: func(c *Conn) {
			c.ReadHead()
			c.Send(head.WithVersion(9))
			c.Pause(nil)
		}, body: big, want: malformed("version 9")},
		{name: "close inside a big body", script: func(c *Conn) {
			c.ReadHead()
			c.Read()
		}, body: big, want: outcome{op: "receive"}},
		{name: "big body never read", script: func(c *Conn) {
			c.ReadHead()
			c.Pause(nil)
		}, body: big, client: func(c *fastcgi.Client) { c.WriteTimeout = 50 * time.Millisecond }, want: outcome{op: "send", text: "50ms", flags: timeout}},
		{name: "big body read after the answer", script: func(c *Conn) {
			c.ReadHead()
			c.Send(Stdout(1, hello))
			if n := len(c.ReadStream(fastcgi.TypeStdin, 1)); n != big {
				c.Errorf("body of %d bytes, want %d", n, big)
			}
			c.Send(done)
			serve(c)
		}, body: big, want: kept(200, "hello")},
	}
}

// Applications that are slower than the client allows.
func slowRows() []clientRow {
	hasty := func(c *fastcgi.Client) {
		c.FirstByteTimeout, c.ReadTimeout = 50*time.Millisecond, 50*time.Millisecond
	}
	noise := func(again Record, first ...Record) func(*Conn) { // until the client has had enough
		return func(c *Conn) {
			c.ReadRequest()
			c.Send(first...)
			for start := time.Now(); c.TrySend(again); {
				if time.Since(start) > 5*time.Second {
					c.Fatalf("the client still listens after 5s")
				}
			}
		}
	}
	return []clientRow{
		{name: "silence on accept", script: func(c *Conn) { c.Pause(nil) }, client: hasty, want: slow("no answer for 50ms")},
		{name: "silence after the request", script: send(), client: hasty, want: slow("no answer for 50ms")},
		{name: "silence inside the first header", script: send(head.Cut(7)), client: hasty, want: slow("no answer for 50ms")},
		{name: "silence after an empty STDOUT", script: send(Stdout(1, "")), client: hasty, want: slow("no answer for 50ms")},
		{name: "silence inside the head", script: send(Stdout(1, "Content-Ty")), client: hasty, want: slow("no further byte of the answer for 50ms")},
		{name: "silence after the head", script: send(head), client: hasty, want: slow("no further byte of the answer for 50ms").after(200, "")},
		{name: "silence inside the body", script: send(head, Stdout(1, "ab")), client: hasty, want: slow("no further byte of the answer for 50ms").after(200, "ab")},
		{name: "nothing but STDERR", script: noise(Stderr(1, "busy\n")), client: hasty, want: slow("no answer for 50ms")},
		{name: "nothing but management records", script: noise(GetValuesResult()), client: hasty, want: slow("no answer for 50ms")},
		{name: "nothing but STDERR inside the head", script: noise(Stderr(1, "busy\n"), Stdout(1, "Content-Ty")), client: hasty, want: slow("no further byte of the answer for 50ms")},
		{name: "nothing but STDERR after the head", script: noise(Stderr(1, "busy\n"), head), client: hasty, want: slow("no further byte of the answer for 50ms").after(200, "")},
		{name: "nothing but management records after the head", script: noise(GetValuesResult(), head), client: hasty, want: slow("no further byte of the answer for 50ms").after(200, "")},
		{name: "silence after the end of STDOUT", script: send(Stdout(1, hello), Stdout(1, "")), client: hasty, want: whole(200, "hello")},
		{name: "silence after the announced length", script: send(Stdout(1, "Content-Length: 5\r\n\r\nhello")), client: hasty, want: slow("no further byte of the answer for 50ms").after(200, "hello")},
	}
}
