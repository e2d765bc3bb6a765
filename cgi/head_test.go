package cgi

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func repeat(f Field, n int) Header {
	h := make(Header, n)
	for i := range h {
		h[i] = f
	}
	return h
}

// feed gives the pieces to p, then takes the head. body is what came after
// it.
func feed(p *HeadParser, pieces ...string) (head Head, body string, done bool, err error) {
	for i, piece := range pieces {
		n, done, err := p.Feed([]byte(piece))
		if err != nil {
			return Head{}, "", false, err
		}
		if done {
			head, err = p.Head()
			return head, piece[n:] + strings.Join(pieces[i+1:], ""), true, err
		}
		if n != len(piece) {
			return Head{}, "", false, fmt.Errorf("Feed took %d of %d bytes and is not done", n, len(piece))
		}
	}
	return Head{}, "", false, nil
}

func (tt *headCase) check(t *testing.T, how string, pieces ...string) {
	t.Helper()
	head, body, done, err := feed(new(HeadParser), pieces...)
	if tt.err != nil {
		if !errors.Is(err, tt.err) {
			t.Errorf("%s: error = %v, want one that wraps %q", how, err, tt.err)
		}
		return
	}
	if err != nil || !done {
		t.Errorf("%s: done = %t, error = %v, want a head", how, done, err)
		return
	}
	if len(head.Header) == 0 {
		head.Header = nil
	}
	if !reflect.DeepEqual(head, tt.want) {
		t.Errorf("%s: head = %+v, want %+v", how, head, tt.want)
	}
	if body != tt.body {
		t.Errorf("%s: body = %q, want %q", how, body, tt.body)
	}
}

func TestHeadParser(t *testing.T) {
	for _, tt := range headCases() {
		t.Run(tt.name, func(t *testing.T) {
			tt.check(t, "at once", tt.in)
			for i := range min(len(tt.in), 200) {
				tt.check(t, fmt.Sprintf("split at %d", i), tt.in[:i], tt.in[i:])
			}
			tt.check(t, "byte by byte", strings.Split(tt.in, "")...)
		})
	}
}

func TestHeadParserLimits(t *testing.T) {
	const in = "A: 1\r\nB: 2\r\nStatus: 404\r\n\r\n" // 27 bytes
	tests := []struct {
		name string
		p    HeadParser
		err  error
	}{
		{"bytes: all", HeadParser{MaxBytes: 27}, nil},
		{"bytes: one too many", HeadParser{MaxBytes: 26}, ErrTooLarge},
		{"bytes: no limit", HeadParser{MaxBytes: -1}, nil},
		{"fields: all, Status does not count", HeadParser{MaxFields: 2}, nil},
		{"fields: one too many", HeadParser{MaxFields: 1}, ErrTooLarge},
		{"fields: no limit", HeadParser{MaxFields: -1}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, body := range []string{"", strings.Repeat("x", 1000)} {
				p := tt.p
				if _, _, _, err := feed(&p, in+body); !errors.Is(err, tt.err) {
					t.Errorf("at once, %d bytes of body: %v, want %v", len(body), err, tt.err)
				}
				p = tt.p
				if _, _, _, err := feed(&p, strings.Split(in+body, "")...); !errors.Is(err, tt.err) {
					t.Errorf("byte by byte, %d bytes of body: %v, want %v", len(body), err, tt.err)
				}
			}
		})
	}
	t.Run("negative is no limit", func(t *testing.T) {
		p := HeadParser{MaxBytes: -1, MaxFields: -1}
		in := strings.Repeat("X: "+strings.Repeat("y", 95)+"\r\n", 2000) + "\r\n"
		head, _, done, err := feed(&p, in[:100000], in[100000:])
		if err != nil || !done || len(head.Header) != 2000 {
			t.Errorf("200 kB: done = %t, %d fields, error = %v, want 2000 fields", done, len(head.Header), err)
		}
	})
	t.Run("a head that never ends", func(t *testing.T) {
		var p HeadParser
		fed := 0
		for {
			n, done, err := p.Feed([]byte("X: y\r\n"))
			if done {
				t.Fatal("Feed says done without an empty line")
			}
			if fed += n; err != nil {
				if !errors.Is(err, ErrTooLarge) || fed != DefaultMaxHead/6*6 {
					t.Errorf("after %d bytes: %v, want ErrTooLarge after %d", fed, err, DefaultMaxHead/6*6)
				}
				return
			}
		}
	})
}

// Early hints (RFC 8297) come before the response itself. nginx, H2O and
// Apache take them for the response.
func TestHeadParserInterim(t *testing.T) {
	const in = "Status: 103 Early Hints\r\nLink: </a.css>\r\n\r\n" +
		"Status: 103\n\n" +
		"Status: 200 OK\r\nContent-Type: text/plain\r\n\r\nhello"
	for size := 1; size <= len(in); size++ {
		var p HeadParser
		var heads []Head
		rest := in
		for ahead := min(size, len(rest)); len(heads) < 3; {
			n, done, err := p.Feed([]byte(rest[:ahead]))
			if err != nil {
				t.Fatalf("pieces of %d: %v", size, err)
			}
			if rest = rest[n:]; done {
				head, err := p.Head()
				if err != nil {
					t.Fatalf("pieces of %d: %v", size, err)
				}
				heads = append(heads, head)
				if ahead -= n; ahead > 0 {
					continue
				}
			}
			ahead = min(size, len(rest))
		}
		want := []Head{
			{Status: 103, Header: Header{{"Link", "</a.css>"}}, ContentLength: -1},
			{Status: 103, Header: Header{}, ContentLength: -1},
			{Status: 200, Header: Header{{"Content-Type", "text/plain"}}, ContentLength: -1},
		}
		if !reflect.DeepEqual(heads, want) || rest != "hello" {
			t.Fatalf("pieces of %d: heads = %+v, rest = %q, want %+v, %q", size, heads, rest, want, "hello")
		}
	}
}

func TestHeadParserStarted(t *testing.T) {
	var p HeadParser
	steps := []struct {
		feed string
		want bool
	}{
		{"", false}, {"S", true}, {"tatus: 200\r\n", true},
	}
	if p.Started() {
		t.Error("Started() = true before the first byte, want false")
	}
	for _, s := range steps {
		if _, done, err := p.Feed([]byte(s.feed)); done || err != nil {
			t.Fatalf("Feed(%q) = %t, %v", s.feed, done, err)
		}
		if got := p.Started(); got != s.want {
			t.Errorf("Started() after %q = %t, want %t", s.feed, got, s.want)
		}
	}
	if _, done, err := p.Feed([]byte("\r\n")); !done || err != nil {
		t.Fatalf("Feed(empty line) = %t, %v, want a head", done, err)
	}
	if _, err := p.Head(); err != nil {
		t.Fatal(err)
	}
	if p.Started() {
		t.Error("Started() = true for the next head, want false")
	}
}

// The caller's buffer is used again for the next read.
func TestHeadParserKeepsNoReference(t *testing.T) {
	var p HeadParser
	buf := []byte("Content-Type: text/plain\r\n\r\n")
	if _, done, err := p.Feed(buf); !done || err != nil {
		t.Fatalf("Feed = %t, %v, want a head", done, err)
	}
	clear(buf)
	head, err := p.Head()
	if err != nil || head.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("Head() = %+v, %v, want the type as it was fed", head, err)
	}
}
