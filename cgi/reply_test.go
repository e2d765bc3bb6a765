package cgi

import (
	"errors"
	"io"
	"strings"
	"testing"
)

// An out is an Output that writes down what is sent, a line a Send.
type out struct {
	sent []string
	gone error
	fail error
}

func (o *out) Send(gathered, p []byte) error {
	if o.fail != nil {
		return o.fail
	}
	o.sent = append(o.sent, string(gathered)+string(p))
	return nil
}

func (o *out) Gone() error { return o.gone }

const okHead = "Status: 200 OK\r\n\r\n"

// What is gathered, what is sent, and what is left at the end.
func TestReplyGathers(t *testing.T) {
	x := strings.Repeat("x", gatherSize)
	full := x[:gatherSize-len(okHead)]
	tests := []struct {
		name  string
		write func(w *Reply)
		sent  []string
		rest  string
	}{
		{"nothing", func(w *Reply) {}, nil, okHead},
		{"as much as fits", func(w *Reply) { io.WriteString(w, full) }, nil, okHead + full},
		{"one byte more", func(w *Reply) { io.WriteString(w, full+"y") }, []string{okHead + full + "y"}, ""},
		{"one byte more, later", func(w *Reply) { io.WriteString(w, full); io.WriteString(w, "y") }, []string{okHead + full + "y"}, ""},
		{"after what did not fit", func(w *Reply) { io.WriteString(w, x); io.WriteString(w, "y") }, []string{okHead + x}, "y"},
		{"flushed", func(w *Reply) { io.WriteString(w, "a"); w.Flush(); w.Flush(); io.WriteString(w, "b") }, []string{okHead + "a"}, "b"},
		{"reader", func(w *Reply) { w.ReadFrom(strings.NewReader("abc")) }, nil, okHead + "abc"},
		{"aborted", func(w *Reply) { io.WriteString(w, "a"); w.Abort(); io.WriteString(w, "b"); w.Flush() }, nil, okHead + "a"},
	}
	var w Reply // used again for each: nothing of one may reach the next
	for _, tt := range tests {
		var o out
		w.Reset(&o, &Request{Method: "GET"})
		tt.write(&w)
		rest, whole, err := w.End()
		if string(rest) != tt.rest || strings.Join(o.sent, "\n") != strings.Join(tt.sent, "\n") || err != nil {
			t.Errorf("%s: sent %d times, %.40q is left, %v", tt.name, len(o.sent), rest, err)
		}
		if aborted := tt.name == "aborted"; whole == aborted {
			t.Errorf("%s: whole %v", tt.name, whole)
		}
	}
}

// Nothing can be written when the handler has returned, when it has aborted,
// or when nobody is there.
func TestReplyIsOver(t *testing.T) {
	gone := errors.New("gone")
	tests := []struct {
		name string
		end  func(w *Reply, o *out)
		want error
	}{
		{"returned", func(w *Reply, _ *out) { w.End() }, errEnded},
		{"returned after an abort", func(w *Reply, _ *out) { w.Abort(); w.End() }, errEnded},
		{"aborted", func(w *Reply, _ *out) { w.Abort() }, errAborted},
		{"nobody there", func(_ *Reply, o *out) { o.gone = gone }, gone},
	}
	for _, tt := range tests {
		var o out
		var w Reply
		w.Reset(&o, &Request{Method: "GET"})
		io.WriteString(&w, "a")
		tt.end(&w, &o)
		_, writeErr := io.WriteString(&w, "b")
		_, readErr := w.ReadFrom(strings.NewReader("b"))
		for what, err := range map[string]error{"Write": writeErr, "ReadFrom": readErr, "Flush": w.Flush(), "WriteHeader": w.WriteHeader(200, nil)} {
			if err != tt.want {
				t.Errorf("%s: %s = %v, want %v", tt.name, what, err, tt.want)
			}
		}
		if len(o.sent) > 0 {
			t.Errorf("%s: %q was sent", tt.name, o.sent)
		}
	}
}

// What a panic leaves of an answer.
func TestReplyFails(t *testing.T) {
	tests := []struct {
		name   string
		method string
		write  func(w *Reply)
		rest   string
		whole  bool
	}{
		{"nothing written", "GET", func(w *Reply) {}, "Status: 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nInternal Server Error\n", true},
		{"nothing sent", "GET", func(w *Reply) { io.WriteString(w, "a") }, "Status: 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nInternal Server Error\n", true},
		{"HEAD", "HEAD", func(w *Reply) { io.WriteString(w, "a") }, "Status: 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", true},
		{"some sent", "GET", func(w *Reply) { w.Flush(); io.WriteString(w, "a") }, "a", false},
		{"aborted before", "GET", func(w *Reply) { io.WriteString(w, "a"); w.Abort() }, okHead + "a", false},
	}
	for _, tt := range tests {
		var o out
		var w Reply
		w.Reset(&o, &Request{Method: tt.method})
		tt.write(&w)
		w.Fail()
		if rest, whole, err := w.End(); string(rest) != tt.rest || whole != tt.whole || err != nil {
			t.Errorf("%s: %q is left, whole %v, %v", tt.name, rest, whole, err)
		}
	}
}

// A Send that fails ends the writing with its error.
func TestReplySendFails(t *testing.T) {
	broken := errors.New("broken")
	o := out{fail: broken}
	var w Reply
	w.Reset(&o, &Request{Method: "GET"})
	if _, err := w.Write(make([]byte, gatherSize+1)); err != broken {
		t.Errorf("Write = %v, want %v", err, broken)
	}
	n, err := w.ReadFrom(strings.NewReader(strings.Repeat("x", 100_000)))
	if n == 100_000 || err != broken {
		t.Errorf("ReadFrom = %d, %v, want %v", n, err, broken)
	}
}

// An answer is as long as its Content-Length says, or it is none.
func TestReplyLength(t *testing.T) {
	const broken = "Status: 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nInternal Server Error\n"
	long := strings.Repeat("x", gatherSize)
	say := func(status int, length string, parts ...string) func(w *Reply) error {
		return func(w *Reply) (err error) {
			if err := w.WriteHeader(status, Header{{"content-length", length}}); err != nil {
				return err
			}
			for _, p := range parts {
				if _, err = io.WriteString(w, p); err != nil {
					break
				}
			}
			return err
		}
	}
	tests := []struct {
		name, method string
		write        func(w *Reply) error
		written      string // what the handler is told
		body         string // what is sent, without the head
		whole        bool
		err          string
	}{
		{"as long", "GET", say(200, "5", "ab", "cde"), "", "abcde", true, ""},
		{"none", "GET", say(200, "0"), "", "", true, ""},
		{"shorter, gathered", "GET", say(200, "5", "abc"), "", broken, true, "cgi: 2 bytes fewer were written than Content-Length announces"},
		{"shorter, sent", "GET", say(200, "9000", long), "", long, false, "cgi: 808 bytes fewer were written than Content-Length announces"},
		{"longer", "GET", say(200, "5", "ab", "cdef"), errTooMuch.Error(), "abcde", true, errTooMuch.Error()},
		{"longer, and then more", "GET", say(200, "2", "ab", "c", "d"), errTooMuch.Error(), "ab", true, errTooMuch.Error()},
		{"of a head", "HEAD", say(200, "5"), "", "", true, ""},
		{"not modified", "GET", say(304, "5"), "", "", true, ""},
		{"no number", "GET", say(200, "x", "abc"), `cgi: malformed: Content-Length "x" in a response`, broken, true, `cgi: malformed: Content-Length "x" in a response`},
		{"with a sign", "GET", say(200, "+3", "abc"), `cgi: malformed: Content-Length "+3" in a response`, broken, true, `cgi: malformed: Content-Length "+3" in a response`},
	}
	var w Reply
	for _, tt := range tests {
		var o out
		w.Reset(&o, &Request{Method: tt.method})
		told := ""
		if err := tt.write(&w); err != nil {
			told = err.Error()
		}
		rest, whole, err := w.End()
		text := strings.Join(o.sent, "") + string(rest)
		if _, body, ok := strings.Cut(text, "\r\n\r\n"); ok && tt.body != broken {
			text = body
		}
		if text != tt.body || whole != tt.whole || told != tt.written || (err == nil) != (tt.err == "") || err != nil && err.Error() != tt.err {
			t.Errorf("%s: %.60q, whole %v, the handler is told %q, %v", tt.name, text, whole, told, err)
		}
	}
}
