package cgi

import "strings"

// A headCase is what an application wrote and what must become of it. Most
// are from a test of six web servers, none of which passed: what they made of
// it stands behind the case.
type headCase struct {
	name string
	in   string // head and body
	body string // what is left of in
	want Head   // a Header of nil stands for one without fields
	err  error
}

func headCases() []headCase {
	accepted := []headCase{
		{
			name: "minimal",
			in:   "Content-Type: text/plain\r\n\r\nhello",
			body: "hello",
			want: Head{Status: 200, Header: Header{{"Content-Type", "text/plain"}}},
		},
		{
			name: "LF only",
			in:   "Content-Type: text/plain\n\nhello",
			body: "hello",
			want: Head{Status: 200, Header: Header{{"Content-Type", "text/plain"}}},
		},
		{
			name: "LF, then CR LF",
			in:   "A: 1\nB: 2\r\nC: 3\n\r\n\n",
			body: "\n",
			want: Head{Status: 200, Header: Header{{"A", "1"}, {"B", "2"}, {"C", "3"}}},
		},
		{
			name: "empty, and a body", // Apache: nothing
			in:   "\r\nhello",
			body: "hello",
			want: Head{Status: 200},
		},
		{
			name: "empty, LF",
			in:   "\n",
			want: Head{Status: 200},
		},
		{
			name: "spaces around the value",
			in:   "A: \t 1 \t\r\nB:2\r\nC:\r\n\r\n",
			want: Head{Status: 200, Header: Header{{"A", "1"}, {"B", "2"}, {"C", ""}}},
		},
		{
			name: "colon in the value",
			in:   "A: b: c\r\n\r\n",
			want: Head{Status: 200, Header: Header{{"A", "b: c"}}},
		},
		{
			name: "fields of one name stay apart", // RFC 6265 §3: cookies cannot be joined
			in:   "Set-Cookie: a=1\r\nX: y\r\nSet-Cookie: b=2\r\n\r\n",
			want: Head{Status: 200, Header: Header{{"Set-Cookie", "a=1"}, {"X", "y"}, {"Set-Cookie", "b=2"}}},
		},
		{
			name: "bytes above ASCII in a value",
			in:   "X: \xe4\xff\r\n\r\n",
			want: Head{Status: 200, Header: Header{{"X", "\xe4\xff"}}},
		},
		{
			name: "tab in a value",
			in:   "X: a\tb\r\n\r\n",
			want: Head{Status: 200, Header: Header{{"X", "a\tb"}}},
		},
		{
			name: "300 fields", // HAProxy: 502, H2O: 503
			in:   strings.Repeat("X: y\r\n", 300) + "\r\n",
			want: Head{Status: 200, Header: repeat(Field{"X", "y"}, 300)},
		},
		{
			name: "40 kB", // nginx, HAProxy: 502, Apache: 500
			in:   "X: " + strings.Repeat("y", 40000) + "\r\n\r\n",
			want: Head{Status: 200, Header: Header{{"X", strings.Repeat("y", 40000)}}},
		},
		{
			name: "dropped later, not here",
			in:   "Connection: Upgrade\r\nUpgrade: x\r\n\r\n",
			want: Head{Status: 200, Header: Header{{"Connection", "Upgrade"}, {"Upgrade", "x"}}},
		},

		{
			name: "status and reason",
			in:   "Status: 404 Not Found\r\n\r\n",
			want: Head{Status: 404},
		},
		{
			name: "status without reason",
			in:   "Status: 299\r\n\r\n",
			want: Head{Status: 299},
		},
		{
			name: "status with a space and no reason",
			in:   "Status: 299 \r\n\r\n",
			want: Head{Status: 299},
		},
		{
			name: "status last, in lower case",
			in:   "A: 1\r\nstatus: 500 x\r\n\r\n",
			want: Head{Status: 500, Header: Header{{"A", "1"}}},
		},
		{
			name: "largest status",
			in:   "Status: 999\r\n\r\n",
			want: Head{Status: 999},
		},
		{
			name: "smallest status",
			in:   "Status: 100\r\n\r\n",
			want: Head{Status: 100},
		},

		{
			name: "location alone", // RFC 3875 §6.2.3; Apache, H2O: 200
			in:   "Location: http://h.example/x\r\n\r\n",
			want: Head{Status: 302, Header: Header{{"Location", "http://h.example/x"}}},
		},
		{
			name: "location and status", // HAProxy: 302
			in:   "Status: 201 Created\r\nLocation: /new\r\n\r\n",
			want: Head{Status: 201, Header: Header{{"Location", "/new"}}},
		},
		{
			name: "empty location",
			in:   "Location:\r\n\r\n",
			want: Head{Status: 200, Header: Header{{"Location", ""}}},
		},
		{
			name: "local redirect", // RFC 3875 §6.2.2
			in:   "Location: /other?x=1\r\n\r\n",
			want: Head{Status: 302, Header: Header{{"Location", "/other?x=1"}}, LocalRedirect: "/other?x=1"},
		},
		{
			name: "path with another field is for the client",
			in:   "Location: /other\r\nSet-Cookie: a=1\r\n\r\n",
			want: Head{Status: 302, Header: Header{{"Location", "/other"}, {"Set-Cookie", "a=1"}}},
		},
		{
			name: "path with a status is for the client",
			in:   "Status: 302 Found\r\nLocation: /other\r\n\r\n",
			want: Head{Status: 302, Header: Header{{"Location", "/other"}}},
		},
		{
			name: "another host is for the client",
			in:   "Location: //h.example/x\r\n\r\n",
			want: Head{Status: 302, Header: Header{{"Location", "//h.example/x"}}},
		},
		{
			name: "a fragment is for the client",
			in:   "Location: /other#part\r\n\r\n",
			want: Head{Status: 302, Header: Header{{"Location", "/other#part"}}},
		},
		{
			name: "relative path is for the client",
			in:   "Location: other\r\n\r\n",
			want: Head{Status: 302, Header: Header{{"Location", "other"}}},
		},

		{
			name: "length",
			in:   "Content-Length: 5\r\n\r\nhello",
			body: "hello",
			want: Head{Status: 200, Header: Header{{"Content-Length", "5"}}, ContentLength: 5},
		},
		{
			name: "length zero",
			in:   "Content-Length: 0\r\n\r\n",
			want: Head{Status: 200, Header: Header{{"Content-Length", "0"}}, ContentLength: 0},
		},
		{
			name: "length said twice",
			in:   "Content-Length: 5\r\nA: 1\r\ncontent-length: 5\r\n\r\n",
			want: Head{Status: 200, Header: Header{{"Content-Length", "5"}, {"A", "1"}}, ContentLength: 5},
		},
		{
			name: "length folded",
			in:   "Content-Length:\r\n 5\r\n\r\n",
			want: Head{Status: 200, Header: Header{{"Content-Length", "5"}}, ContentLength: 5},
		},
		{
			name: "largest length",
			in:   "Content-Length: 9223372036854775807\r\n\r\n",
			want: Head{Status: 200, Header: Header{{"Content-Length", "9223372036854775807"}}, ContentLength: 1<<63 - 1},
		},
		{
			name: "length of a response without body", // RFC 9110 §8.6 allows it
			in:   "Status: 304\r\nContent-Length: 9\r\n\r\n",
			want: Head{Status: 304, Header: Header{{"Content-Length", "9"}}, ContentLength: 9},
		},

		{
			name: "folded", // lighttpd: first line only, H2O: a field without name
			in:   "A: 1\r\n 2\r\n\t 3\r\nB: 4\r\n\r\n",
			want: Head{Status: 200, Header: Header{{"A", "1 2 3"}, {"B", "4"}}},
		},
		{
			name: "folded with LF, first line empty",
			in:   "A:\n 1\n\n",
			want: Head{Status: 200, Header: Header{{"A", "1"}}},
		},
		{
			name: "folded line of spaces",
			in:   "A: 1\r\n  \t\r\nB: 2\r\n\r\n",
			want: Head{Status: 200, Header: Header{{"A", "1"}, {"B", "2"}}},
		},
		{
			name: "status folded",
			in:   "A: 1\r\nStatus: 404\r\n Not Found\r\n\r\n",
			want: Head{Status: 404, Header: Header{{"A", "1"}}},
		},
		{
			name: "folded after status and field",
			in:   "Status: 404\r\nA: 1\r\n 2\r\n\r\n",
			want: Head{Status: 404, Header: Header{{"A", "1 2"}}},
		},

		{
			name: "status line", // RFC 3875 §5; nginx: 200, lighttpd: 404, others: 50x
			in:   "HTTP/1.1 404 Not Found\r\nA: 1\r\n\r\n",
			want: Head{Status: 404, Header: Header{{"A", "1"}}},
		},
		{
			name: "status line without reason, LF",
			in:   "HTTP/1.0 200\n\n",
			want: Head{Status: 200},
		},
		{
			name: "status line and location",
			in:   "HTTP/1.1 200 OK\r\nLocation: /x\r\n\r\n",
			want: Head{Status: 200, Header: Header{{"Location", "/x"}}},
		},
	}
	for i := range accepted {
		if !accepted[i].want.Header.Has("Content-Length") {
			accepted[i].want.ContentLength = -1
		}
	}
	return append(accepted, refusedHeads()...)
}

func refusedHeads() []headCase {
	return []headCase{
		// lighttpd, HAProxy and Apache pass some of it on: how responses are split.
		{name: "NUL in a value", in: "A: 1\x002\r\n\r\n", err: ErrMalformed},
		{name: "NUL in a name", in: "A\x00: 1\r\n\r\n", err: ErrMalformed},
		{name: "bare CR in a value", in: "A: 1\rB: 2\r\n\r\n", err: ErrMalformed},
		{name: "bare CR at the end of a value", in: "A: 1\r\r\n\r\n", err: ErrMalformed},
		{name: "bare CR in a folded line", in: "A: 1\r\n 2\rB: 3\r\n\r\n", err: ErrMalformed},
		{name: "bare CR in a status", in: "Status: 200 O\rK\r\n\r\n", err: ErrMalformed},
		{name: "NUL in a status line", in: "HTTP/1.1 200 O\x00K\r\n\r\n", err: ErrMalformed},
		{name: "two CRs before LF are no end", in: "A: 1\r\n\r\r\nB: 2\r\n\r\n", err: ErrMalformed},
		{name: "DEL in a value", in: "A: \x7f\r\n\r\n", err: ErrMalformed},
		{name: "escape in a value", in: "A: \x1b[2J\r\n\r\n", err: ErrMalformed},

		{name: "space in a name", in: "A B: 1\r\n\r\n", err: ErrMalformed}, // lighttpd, HAProxy pass it
		{name: "space before the colon", in: "Content-Length : 5\r\n\r\n", err: ErrMalformed},
		{name: "no name", in: ": 1\r\n\r\n", err: ErrMalformed},
		{name: "no colon", in: "A: 1\r\nno field\r\n\r\n", err: ErrMalformed},
		{name: "body without head", in: "<html>\r\n<p>hello</p>\r\n\r\n", err: ErrMalformed},
		{name: "letter above ASCII in a name", in: "\xc3\xa4: 1\r\n\r\n", err: ErrMalformed},
		{name: "slash in a name", in: "A/B: 1\r\n\r\n", err: ErrMalformed},
		{name: "folded first line", in: " A: 1\r\n\r\n", err: ErrMalformed},
		{name: "folded status line", in: "HTTP/1.1 200 OK\r\n A: 1\r\n\r\n", err: ErrMalformed},

		// nginx takes the last length, lighttpd the first, Caddy sends both.
		{name: "two lengths", in: "Content-Length: 5\r\nContent-Length: 3\r\n\r\n", err: ErrMalformed},
		{name: "length 5x", in: "Content-Length: 5x\r\n\r\n", err: ErrMalformed}, // lighttpd passed it on
		{name: "length with a sign", in: "Content-Length: +5\r\n\r\n", err: ErrMalformed},
		{name: "negative length", in: "Content-Length: -5\r\n\r\n", err: ErrMalformed},
		{name: "empty length", in: "Content-Length:\r\n\r\n", err: ErrMalformed},
		{name: "list of lengths", in: "Content-Length: 5, 5\r\n\r\n", err: ErrMalformed},
		{name: "length in two lines", in: "Content-Length: 5\r\n 3\r\n\r\n", err: ErrMalformed},
		{name: "length past 63 bits", in: "Content-Length: 9223372036854775808\r\n\r\n", err: ErrMalformed},

		// Caddy sends length 3 and no body, nginx and Apache the raw text.
		{name: "chunked", in: "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", err: ErrMalformed},
		{name: "chunked and length", in: "Content-Length: 3\r\ntransfer-encoding: chunked\r\n\r\n", err: ErrMalformed},
		{name: "gzip as transfer encoding", in: "Transfer-Encoding: gzip\r\n\r\n", err: ErrMalformed},

		{name: "status abc", in: "Status: abc\r\n\r\n", err: ErrMalformed}, // HAProxy passes it on
		{name: "status 99", in: "Status: 99\r\n\r\n", err: ErrMalformed},   // Caddy panics
		{name: "status 099", in: "Status: 099\r\n\r\n", err: ErrMalformed},
		{name: "status 1000", in: "Status: 1000\r\n\r\n", err: ErrMalformed},
		{name: "status with a sign", in: "Status: +20\r\n\r\n", err: ErrMalformed},
		{name: "status and text without space", in: "Status: 200OK\r\n\r\n", err: ErrMalformed},
		{name: "empty status", in: "Status:\r\n\r\n", err: ErrMalformed},
		{name: "two statuses", in: "Status: 200\r\nStatus: 200\r\n\r\n", err: ErrMalformed},
		{name: "status line and status", in: "HTTP/1.1 200 OK\r\nStatus: 404\r\n\r\n", err: ErrMalformed},
		{name: "switching protocols", in: "Status: 101\r\n\r\n", err: ErrMalformed},
		{name: "status line without status", in: "HTTP/1.1\r\n\r\n", err: ErrMalformed},
		{name: "status line with an empty status", in: "HTTP/1.1 \r\nA: 1\r\n\r\n", err: ErrMalformed},
		{name: "status line in the second line", in: "A: 1\r\nHTTP/1.1 404 Not Found\r\n\r\n", err: ErrMalformed},
		{name: "1001 fields", in: strings.Repeat("X: y\r\n", 1001) + "\r\n", err: ErrTooLarge},
		{name: "64 KiB and one byte", in: "X: " + strings.Repeat("y", 64<<10-6) + "\r\n\r\n", err: ErrTooLarge},
	}
}
