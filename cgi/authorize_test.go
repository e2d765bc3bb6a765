package cgi

import (
	"errors"
	"reflect"
	"testing"
)

// collect is an Output that gathers a response.
type collect struct{ b []byte }

func (c *collect) Send(a, p []byte) error { c.b = append(append(c.b, a...), p...); return nil }
func (*collect) Gone() error              { return nil }

// answer returns what a handler sends as the answer to r.
func answer(r *Request, h func(w ResponseWriter)) (text string, whole bool) {
	var out collect
	var p Reply
	p.Reset(&out, r)
	h(&p)
	rest, whole, _ := p.End()
	return string(out.b) + string(rest), whole
}

// What an authorizer says with Allow comes out of Variables at the other end.
func TestAllow(t *testing.T) {
	want := []Field{{"AUTH_METHOD", "database lookup"}, {"EMPTY", ""}}
	text, _ := answer(&Request{Method: "GET"}, func(w ResponseWriter) {
		if err := Allow(w, want...); err != nil {
			t.Error(err)
		}
	})
	var p HeadParser
	if n, done, err := p.Feed([]byte(text)); n != len(text) || !done || err != nil {
		t.Fatalf("Feed(%q) = %d, %v, %v", text, n, done, err)
	}
	head, err := p.Head()
	if err != nil || !head.Allows() {
		t.Fatalf("head %+v, %v, want one that allows", head, err)
	}
	var got []Field
	for name, value := range head.Variables() {
		got = append(got, Field{name, value})
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("variables = %v, want %v", got, want)
	}
}

func TestAllowRefusesNames(t *testing.T) {
	text, _ := answer(&Request{Method: "GET"}, func(w ResponseWriter) {
		if err := Allow(w, Field{"A\r\nB", "x"}); !errors.Is(err, ErrMalformed) {
			t.Errorf("error %v, want ErrMalformed", err)
		}
	})
	if text[:11] != "Status: 500" {
		t.Errorf("answer %q, want status 500: an authorizer that fails must not let pass", text)
	}
}

func TestVariables(t *testing.T) {
	h := Head{Status: 401, Header: Header{{"variable-a", "1"}, {"Variable-", "no name"}, {"Variable", "no"}, {"X", "y"}, {"VARIABLE-B-c", "2"}}}
	var got []Field
	for name, value := range h.Variables() {
		got = append(got, Field{name, value})
		if name == "B-c" {
			break
		}
	}
	if want := []Field{{"a", "1"}, {"B-c", "2"}}; !reflect.DeepEqual(got, want) || h.Allows() {
		t.Errorf("variables = %v, allows %v, want %v, false", got, h.Allows(), want)
	}
}
