package fcgi

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// What web servers are given, by both packages, for what a handler says. Where
// they differ we do what net/http does behind HTTP, but for Date: all web
// servers have a clock.
func TestSameResponse(t *testing.T) {
	tests := []struct {
		name   string
		method string // GET if empty
		h      http.HandlerFunc
		differ []string // "field: standard's -> ours"
	}{
		{"nothing", "", func(w http.ResponseWriter, r *http.Request) {}, []string{
			"Content-Length: none -> 0", "Content-Type: text/plain; charset=utf-8 -> none"}},
		{"text", "", say("hello"), []string{"Content-Length: none -> 5"}},
		{"a type that is guessed", "", say("<!DOCTYPE html>"), []string{"Content-Length: none -> 15"}},
		{"long text", "", say(strings.Repeat("x", 100_000)), nil},
		{"header fields", "", func(w http.ResponseWriter, r *http.Request) {
			h := w.Header()
			h.Set("Content-Type", "a/b")
			h.Set("Content-Length", "0")
			h["Set-Cookie"] = []string{"a=1", "b=2"}
			h.Set("X-Lines", "a\r\nb")
			h.Set("X Y", "no name of a field")
		}, nil},
		{"not found", "", http.NotFound, []string{"Content-Length: none -> 19"}},
		{"redirect", "", http.RedirectHandler("/there", http.StatusFound).ServeHTTP, []string{"Content-Length: none -> 29"}},
		{"status without a name", "", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(499)
			io.WriteString(w, "x")
		}, []string{"Content-Length: none -> 1", "Status: 499  -> 499 status code 499"}},
		{"status twice", "", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(404)
			w.WriteHeader(200)
			w.Header().Set("Content-Type", "a/b")
		}, []string{"Content-Length: none -> 0", "Content-Type: a/b -> none"}},
		{"field after the status", "", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "a/b")
			w.WriteHeader(200)
			w.Header().Set("X-Late", "1")
			io.WriteString(w, "x")
		}, []string{"Content-Length: none -> 1", "X-Late: 1 -> none"}},
		{"flushed", "", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "a")
			w.(http.Flusher).Flush()
			io.WriteString(w, "b")
		}, nil},

		{"status that is none", "", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(42) }, []string{
			"Content-Length: none -> 22", "Status: 42  -> 500 Internal Server Error", `body: "" -> "Internal Server Error\n"`}},
		{"no content", "", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(204)
			io.WriteString(w, "x")
		}, []string{"Content-Type: text/plain; charset=utf-8 -> none", `body: "x" -> ""`}},
		{"not modified", "", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Etag", `"a"`)
			w.Header().Set("Content-Type", "a/b")
			w.WriteHeader(304)
		}, nil},
		{"head", "HEAD", say("hello"), []string{"Content-Length: none -> 5", `body: "hello" -> ""`}},
		{"length too short", "", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "4")
			io.WriteString(w, "hell")
			io.WriteString(w, "o")
		}, []string{`body: "hello" -> "hell"`}},
		{"compressed", "", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			io.WriteString(w, "\x1f\x8b\x08")
		}, []string{"Content-Length: none -> 3", "Content-Type: application/x-gzip -> none"}},
		{"fields of the connection", "", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			w.Header().Set("Transfer-Encoding", "chunked")
			w.Header().Set("Trailer", "X")
			w.Header().Set(http.TrailerPrefix+"X", "1")
			say("x")(w, r)
		}, []string{"Connection: close -> none", "Content-Length: none -> 1", "Trailer: X -> none", "Transfer-Encoding: chunked -> none"}},
		{"field named Status", "", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Status", "404")
			say("x")(w, r)
		}, []string{"Content-Length: none -> 1", "Status: 200 OK, 404 -> 200 OK"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			std, our := answered(t, theirs, tt.method, tt.h), answered(t, ours, tt.method, tt.h)
			if std["Date"] == "" || our["Date"] != "" {
				t.Errorf("Date: %q -> %q, want a date and none", std["Date"], our["Date"])
			}
			delete(std, "Date")
			if got := differences(std, our); !slices.Equal(got, tt.differ) {
				t.Errorf("differences:\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(tt.differ, "\n\t"))
			}
		})
	}
}

func say(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, s) }
}

// answered returns what the handler of one of the packages had sent.
func answered(t *testing.T, lib library, method string, h http.HandlerFunc) map[string]string {
	fields := make(map[string]string)
	inBubble(t, lib, h, func(t *testing.T, l *pipeListener) {
		w := newWeb(l.dial())
		defer w.close()
		params := get("REQUEST_URI", "/")
		if method != "" {
			params = append(params, "REQUEST_METHOD", method)
		}
		w.send(beginN1 + params1(params...) + endParams1 + endStdin1)
		head, body, _ := strings.Cut(w.stdout(), "\r\n\r\n")
		for line := range strings.SplitSeq(head, "\r\n") {
			name, value, _ := strings.Cut(line, ": ")
			if fields[name] != "" {
				value = fields[name] + ", " + value
			}
			fields[name] = value
		}
		fields["body"] = fmt.Sprintf("%.50q", body)
	})
	return fields
}

// Both kinds of ResponseWriter can do the same, and ours more.
func TestResponseWriter(t *testing.T) {
	can := func(lib library) (list []string) {
		inBubble(t, lib, func(w http.ResponseWriter, r *http.Request) {
			kinds := map[string]bool{}
			_, kinds["Flusher"] = w.(http.Flusher)
			_, kinds["Hijacker"] = w.(http.Hijacker)
			_, kinds["ReaderFrom"] = w.(io.ReaderFrom)
			_, kinds["StringWriter"] = w.(io.StringWriter)
			_, kinds["Pusher"] = w.(http.Pusher)
			maps.DeleteFunc(kinds, func(_ string, can bool) bool { return !can })
			list = slices.Sorted(maps.Keys(kinds))
		}, func(t *testing.T, l *pipeListener) {
			w := newWeb(l.dial())
			defer w.close()
			w.send(wholeN1)
			w.replies()
		})
		return list
	}
	if got := fmt.Sprint(can(theirs), can(ours)); got != "[Flusher] [Flusher Hijacker ReaderFrom StringWriter]" {
		t.Errorf("got %s", got)
	}
}
