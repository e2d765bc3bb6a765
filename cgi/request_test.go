package cgi

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

func TestPathAndQuery(t *testing.T) {
	tests := []struct {
		name, target, path, query string
	}{
		{"both", "/a%20b?c=d", "/a%20b", "c=d"},
		{"no query", "/a", "/a", ""},
		{"empty query", "/a?", "/a", ""},
		{"question mark in the query", "/?a?b", "/", "a?b"},
		{"asterisk", "*", "*", ""},
		{"empty", "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &Request{Target: tt.target}
			if path, query := r.Path(), r.Query(); path != tt.path || query != tt.query {
				t.Errorf("target %q: Path() = %q, Query() = %q, want %q, %q", tt.target, path, query, tt.path, tt.query)
			}
		})
	}
}

func TestIdempotent(t *testing.T) {
	tests := []struct {
		method string
		want   bool
	}{
		{"GET", true}, {"HEAD", true}, {"OPTIONS", true}, {"TRACE", true}, {"PUT", true}, {"DELETE", true},
		{"POST", false}, {"PATCH", false}, {"CONNECT", false}, {"get", false}, {"", false},
	}
	for _, tt := range tests {
		if got := (&Request{Method: tt.method}).Idempotent(); got != tt.want {
			t.Errorf("Idempotent() of %q = %t, want %t", tt.method, got, tt.want)
		}
	}
}

func TestRoleString(t *testing.T) {
	tests := []struct {
		role Role
		want string
	}{
		{0, "responder"}, {Responder, "responder"}, {Authorizer, "authorizer"}, {Filter, "filter"}, {3, "unknown role"},
	}
	for _, tt := range tests {
		if got := tt.role.String(); got != tt.want {
			t.Errorf("Role(%d).String() = %q, want %q", tt.role, got, tt.want)
		}
	}
}

func TestHeader(t *testing.T) {
	h := Header{{"Accept", "a"}, {"X-Empty", ""}, {"accept", "b"}}
	tests := []struct {
		name, want string
		has        bool
	}{
		{"Accept", "a", true}, {"ACCEPT", "a", true}, {"X-Empty", "", true}, {"Accept-", "", false}, {"", "", false},
	}
	for _, tt := range tests {
		if got, has := h.Get(tt.name), h.Has(tt.name); got != tt.want || has != tt.has {
			t.Errorf("Get(%q) = %q, Has = %t, want %q, %t", tt.name, got, has, tt.want, tt.has)
		}
	}
}

func TestHopByHop(t *testing.T) {
	for _, name := range []string{
		"Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization", "TE", "Trailer",
		"Transfer-Encoding", "Upgrade",
	} {
		if !HopByHop(name) || !HopByHop(strings.ToLower(name)) {
			t.Errorf("HopByHop(%q) = false in one spelling, want true", name)
		}
	}
	for _, name := range []string{"", "Host", "Accept", "Via", "Date", "Content-Length", "Set-Cookie", "Connections", "Upgrades"} {
		if HopByHop(name) {
			t.Errorf("HopByHop(%q) = true, want false", name)
		}
	}
}

func TestBytesBody(t *testing.T) {
	body := BytesBody([]byte("hello"))
	for range 2 {
		got, err := io.ReadAll(body)
		if err != nil || string(got) != "hello" {
			t.Fatalf("ReadAll = %q, %v, want the 5 bytes", got, err)
		}
		if err := body.(Rewinder).Rewind(); err != nil {
			t.Fatalf("Rewind() = %v", err)
		}
	}
	body.Cancel()
	body.Cancel()
}

type plainWriter struct{ ResponseWriter }

type loggingWriter struct {
	ResponseWriter
	log bytes.Buffer
}

func (w *loggingWriter) Stderr() io.Writer { return &w.log }

func TestStderr(t *testing.T) {
	if n, err := io.WriteString(Stderr(plainWriter{}), "lost"); n != 4 || err != nil {
		t.Errorf("Write to a writer without a log = %d, %v, want 4, nil", n, err)
	}
	w := &loggingWriter{}
	h := HandlerFunc(func(_ context.Context, w ResponseWriter, r *Request) {
		io.WriteString(Stderr(w), "said by "+r.Method)
	})
	h.ServeCGI(t.Context(), w, &Request{Method: "GET"})
	if got := w.log.String(); got != "said by GET" {
		t.Errorf("log = %q, want %q", got, "said by GET")
	}
}
