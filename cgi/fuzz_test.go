package cgi

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// FuzzHeadParser: where the bytes are split does not matter, and what is
// accepted can be passed on: it reads the same when it is written again.
func FuzzHeadParser(f *testing.F) {
	for i, tt := range headCases() {
		if len(tt.in) < 1000 {
			f.Add([]byte(tt.in), uint16(i), uint16(0))
		}
	}
	f.Add([]byte("A: 1\r\nB: 2\r\n\r\n"), uint16(3), uint16(10))
	f.Fuzz(func(t *testing.T, in []byte, splits, limit uint16) {
		head, body, done, err := feed(&HeadParser{MaxBytes: int(limit)}, string(in))
		head2, body2, done2, err2 := feed(&HeadParser{MaxBytes: int(limit)}, pieces(string(in), splits)...)
		if done != done2 || body != body2 || text(err) != text(err2) || !reflect.DeepEqual(head, head2) {
			t.Errorf("at once: %+v %q %t %v\nin pieces: %+v %q %t %v", head, body, done, err, head2, body2, done2, err2)
		}
		if err != nil {
			if !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrTooLarge) {
				t.Errorf("error %v wraps neither ErrMalformed nor ErrTooLarge", err)
			}
			return
		}
		if !done {
			return
		}
		if !bytes.HasSuffix(in, []byte(body)) || !bytes.HasSuffix(in[:len(in)-len(body)], []byte("\n")) {
			t.Errorf("body %q is not what follows an empty line", body)
		}
		checkAccepted(t, head)
	})
}

func checkAccepted(t *testing.T, head Head) {
	if head.Status < 100 || head.Status > 999 || head.Status == 101 {
		t.Errorf("Status = %d", head.Status)
	}
	var again strings.Builder
	if head.LocalRedirect == "" {
		fmt.Fprintf(&again, "Status: %d\r\n", head.Status)
	}
	lengths := 0
	for _, f := range head.Header {
		if !validName(f.Name) || strings.EqualFold(f.Name, "Status") || strings.EqualFold(f.Name, "Transfer-Encoding") {
			t.Errorf("field name %q was accepted", f.Name)
		}
		if strings.ContainsAny(f.Value, "\r\n\x00") || f.Value != strings.Trim(f.Value, " \t") {
			t.Errorf("value %q was accepted", f.Value)
		}
		if strings.EqualFold(f.Name, "Content-Length") {
			lengths++
		}
		fmt.Fprintf(&again, "%s: %s\r\n", f.Name, f.Value)
	}
	if lengths > 1 || (lengths == 1) != (head.ContentLength >= 0) {
		t.Errorf("%d Content-Length fields, ContentLength = %d", lengths, head.ContentLength)
	}
	again.WriteString("\r\n")
	p := HeadParser{MaxBytes: -1, MaxFields: -1}
	if head2, _, done, err := feed(&p, again.String()); err != nil || !done || !reflect.DeepEqual(head, head2) {
		t.Errorf("%q reads as %+v, %t, %v, want %+v", again.String(), head2, done, err, head)
	}
}

// pieces cuts s into parts whose sizes follow from seed.
func pieces(s string, seed uint16) []string {
	var parts []string
	for n := uint32(seed); s != ""; {
		n = n*1664525 + 1013904223
		size := min(len(s), int(n>>16)%(int(seed)%17+1)+1)
		parts, s = append(parts, s[:size]), s[size:]
	}
	return parts
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// fieldLines reads "name: value" lines, as a front end without any rules of
// its own would.
func fieldLines(s string) []Field {
	var fields []Field
	for line := range strings.SplitSeq(s, "\n") {
		if name, value, ok := strings.Cut(line, ": "); ok {
			fields = append(fields, Field{name, value})
		}
	}
	return fields
}

var ownVariables = []string{
	"CONTENT_LENGTH", "SCRIPT_NAME", "PATH_INFO", "PATH_TRANSLATED", "SCRIPT_FILENAME", "REDIRECT_STATUS",
	"DOCUMENT_ROOT", "GATEWAY_INTERFACE", "SERVER_SOFTWARE", "REQUEST_METHOD", "REQUEST_URI", "QUERY_STRING",
	"SERVER_PROTOCOL", "REQUEST_SCHEME", "HTTPS", "SERVER_NAME", "SERVER_ADDR", "SERVER_PORT", "REMOTE_ADDR",
	"REMOTE_PORT", "AUTH_TYPE", "REMOTE_USER", "CONTENT_TYPE",
}

// FuzzParams: whatever a client sends, each name is there once, none is
// HTTP_PROXY (https://httpoxy.org), and the client cannot make one that does
// not start with HTTP_ ("PHP_VALUE" would configure php-fpm).
func FuzzParams(f *testing.F) {
	f.Add("GET", "/a?b", "h.example:80", "User-Agent: x\nCookie: a\ncookie: b\nX_A: 1\nX-A: 2\nProxy: y", int64(0))
	f.Add("POST", "/", "[::1]:80", "Content-Length: 5\nContent-Type: a/b\nHTTP_PROXY: x\nPHP_VALUE: y", int64(5))
	f.Add("", "", "", ": \n-: \nA-B: \na-b: 1\nPhp-Value: x\nÄ: x", int64(-1))
	f.Add("GET", "/%zz", ":", "Connection: X-A\nX-A: 1\nTE: trailers\nHost: other", int64(1))
	f.Fuzz(func(t *testing.T, method, target, host, header string, length int64) {
		r := &Request{
			Method: method, Target: target, Host: host,
			Header: fieldLines(header), Body: BytesBody(nil), ContentLength: length,
		}
		got := params(r)
		noDuplicates(t, got)
		for i, p := range got {
			switch {
			case p.Name == "HTTP_PROXY":
				t.Error("HTTP_PROXY is there")
			case p.Name == "CONTENT_LENGTH" && i > 0:
				t.Errorf("CONTENT_LENGTH is number %d, want it first", i)
			case strings.HasPrefix(p.Name, "HTTP_"):
				if strings.Trim(p.Name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") != "" {
					t.Errorf("param %q has other letters than A-Z, 0-9 and _", p.Name)
				}
			case !slices.Contains(ownVariables, p.Name):
				t.Errorf("a client made %q", p.Name)
			}
		}
	})
}

// FuzzFromParams: what was received can be asked for again; and a request
// that came through a gateway does not change when it goes through another.
func FuzzFromParams(f *testing.F) {
	f.Add(listing(params(fullRequest())))
	f.Add("REQUEST_METHOD=GET\nREQUEST_URI=http://h/a?b\nHTTP_PROXY=x\nHTTP_X_A=1\nHTTP_x_a=2\nHTTP_A__B=")
	f.Add("REQUEST_METHOD=GET\nSCRIPT_NAME=/a b\nPATH_INFO=/c?d\nQUERY_STRING=e\nCONTENT_LENGTH=")
	f.Add("REQUEST_METHOD=POST\nCONTENT_LENGTH=5x")
	f.Add("REQUEST_METHOD=GET\nREQUEST_URI=?x://y\nHTTP_HOST=[::1\nSERVER_ADDR=::1\nCONTENT_TYPE=a\nCONTENT_TYPE=b")
	f.Fuzz(func(t *testing.T, lines string) {
		received := []Field{}
		for line := range strings.SplitSeq(lines, "\n") {
			name, value, _ := strings.Cut(line, "=")
			received = append(received, Field{name, value})
		}
		r, err := FromParams(received)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("error %v does not wrap ErrMalformed", err)
			}
			return
		}
		if got := params(r); !slices.Equal(got, received) {
			t.Errorf("Params() = %v, want what was received, %v", got, received)
		}
		if r.Method == "" || r.Target == "" || r.ContentLength < -1 {
			t.Errorf("Method = %q, Target = %q, ContentLength = %d", r.Method, r.Target, r.ContentLength)
		}
		want := params(asFrontEnd(r))
		noDuplicates(t, want)
		r2, err := FromParams(want)
		if err != nil {
			t.Fatalf("params of a request are refused: %v", err)
		}
		if got := params(asFrontEnd(r2)); !slices.Equal(got, want) {
			t.Errorf("through a second gateway:\n%swant\n%s", listing(got), listing(want))
		}
	})
}
