package cgihttp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
)

// A recorder is a cgi.ResponseWriter that writes down what is called.
type recorder struct {
	calls  strings.Builder
	stderr bytes.Buffer
	err    error // what the calls return
}

func (w *recorder) WriteHeader(status int, h cgi.Header) error {
	fmt.Fprint(&w.calls, status)
	for _, f := range h {
		fmt.Fprintf(&w.calls, " %s=%q", f.Name, f.Value)
	}
	w.calls.WriteString("\n")
	return w.err
}

func (w *recorder) Write(p []byte) (int, error) {
	fmt.Fprintf(&w.calls, "write %q\n", p)
	return len(p), w.err
}

func (w *recorder) Flush() error {
	w.calls.WriteString("flush\n")
	return w.err
}

func (w *recorder) Abort()            { w.calls.WriteString("abort\n") }
func (w *recorder) Stderr() io.Writer { return &w.stderr }

func serve(h http.HandlerFunc, r *cgi.Request) *recorder {
	w := new(recorder)
	Handler(h).ServeCGI(context.Background(), w, r)
	return w
}

func get(target string) *cgi.Request {
	return &cgi.Request{Method: "GET", Target: target, Proto: "HTTP/1.1", Host: "h"}
}

func TestRequestFromParams(t *testing.T) {
	tests := []struct {
		name   string
		params []cgi.Field
		check  func(r *http.Request) any // nil if the request is refused
		want   any
	}{
		{
			// golang/go#81686: an @ in the target must not move the host.
			"at sign", []cgi.Field{{Name: "REQUEST_URI", Value: "@evil.example/"}, {Name: "HTTP_HOST", Value: "good.example"}},
			nil, nil,
		},
		{
			"at sign in the path", []cgi.Field{{Name: "REQUEST_URI", Value: "/@evil.example/x"}, {Name: "HTTP_HOST", Value: "good.example"}},
			func(r *http.Request) any { return r.Host + " " + r.URL.Host + " " + r.URL.Path }, "good.example  /@evil.example/x",
		},
		{
			"two slashes", []cgi.Field{{Name: "REQUEST_URI", Value: "//evil.example/x"}},
			func(r *http.Request) any { return r.URL.Host + " " + r.URL.Path }, " //evil.example/x",
		},
		{
			"bad escape", []cgi.Field{{Name: "REQUEST_URI", Value: "/%zz"}},
			nil, nil,
		},
		{
			"control character", []cgi.Field{{Name: "REQUEST_URI", Value: "/a\nb"}},
			nil, nil,
		},
		{
			// golang/go#54961
			"query from QUERY_STRING", []cgi.Field{{Name: "REQUEST_URI", Value: "/a"}, {Name: "QUERY_STRING", Value: "b=c"}},
			func(r *http.Request) any { return r.URL.RawQuery + " " + r.RequestURI }, "b=c /a?b=c",
		},
		{
			"addresses", []cgi.Field{{Name: "REMOTE_ADDR", Value: "::1"}, {Name: "REMOTE_PORT", Value: "99"}},
			func(r *http.Request) any { return r.RemoteAddr }, "[::1]:99",
		},
		{
			"no port", []cgi.Field{{Name: "REMOTE_ADDR", Value: "192.0.2.1"}},
			func(r *http.Request) any { return r.RemoteAddr }, "192.0.2.1:0",
		},
		{
			"a port that is none", []cgi.Field{{Name: "REMOTE_ADDR", Value: "192.0.2.1"}, {Name: "REMOTE_PORT", Value: "http"}},
			func(r *http.Request) any { return r.RemoteAddr }, "192.0.2.1:0",
		},
		{
			"no address", nil,
			func(r *http.Request) any { return r.RemoteAddr }, "",
		},
		{
			"https", []cgi.Field{{Name: "HTTPS", Value: "on"}},
			func(r *http.Request) any { return r.TLS != nil && r.TLS.HandshakeComplete }, true,
		},
		{
			"http", []cgi.Field{{Name: "HTTPS", Value: "off"}},
			func(r *http.Request) any { return r.TLS != nil }, false,
		},
		{
			"header", []cgi.Field{{Name: "HTTP_X_A", Value: "1"}, {Name: "CONTENT_TYPE", Value: "text/x"}, {Name: "HTTP_HOST", Value: "h:1"}},
			func(r *http.Request) any { return r.Header }, http.Header{"X-A": {"1"}, "Content-Type": {"text/x"}},
		},
		{
			"HTTP/2", []cgi.Field{{Name: "SERVER_PROTOCOL", Value: "HTTP/2"}},
			func(r *http.Request) any { return []int{r.ProtoMajor, r.ProtoMinor} }, []int{2, 0},
		},
		{
			"server-side include", []cgi.Field{{Name: "SERVER_PROTOCOL", Value: "INCLUDED"}},
			func(r *http.Request) any { return r.Proto + fmt.Sprint(r.ProtoMajor, r.ProtoMinor) }, "INCLUDED1 0",
		},
		{
			// net/http/fcgi hides all that it has used itself, and more.
			"params", []cgi.Field{{Name: "REMOTE_USER", Value: "me"}, {Name: "PATH_INFO", Value: "/p"}, {Name: "X", Value: "1"}, {Name: "X", Value: "2"}},
			func(r *http.Request) any {
				var all []string
				for n, v := range Params(r) {
					all = append(all, n+"="+v)
				}
				user, ok := Param(r, "REMOTE_USER")
				_, none := Param(r, "NONE")
				return fmt.Sprintf("%v %s %v %v", all, user, ok, none)
			}, "[REQUEST_METHOD=GET REMOTE_USER=me PATH_INFO=/p X=1 X=2] me true false",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := cgi.FromParams(append([]cgi.Field{{Name: "REQUEST_METHOD", Value: "GET"}}, tt.params...))
			if err != nil {
				t.Fatal(err)
			}
			called := false
			w := serve(func(_ http.ResponseWriter, r *http.Request) {
				called = true
				if tt.check == nil {
					t.Fatalf("the handler is called, with %s", r.RequestURI)
				}
				if got := tt.check(r); !reflect.DeepEqual(got, tt.want) {
					t.Errorf("got %v, want %v", got, tt.want)
				}
			}, r)
			if refused := strings.HasPrefix(w.calls.String(), "400"); refused != (tt.check == nil) || refused == called {
				t.Errorf("answer: %s", &w.calls)
			}
		})
	}
}

func TestParamsOfForeignRequest(t *testing.T) {
	r, _ := http.NewRequest("GET", "/", nil)
	for range Params(r) {
		t.Error("a request that is not ours has params")
	}
	if Stderr(r) != io.Discard {
		t.Error("a request that is not ours has a stderr")
	}
}

// Contexts made from a request's context must find both values and the end.
func TestContext(t *testing.T) {
	type key struct{}
	type other struct{}
	ctx, cancel := context.WithCancelCause(context.WithValue(context.Background(), key{}, "v"))
	why := errors.New("why")
	w := new(recorder)
	Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		r = r.WithContext(context.WithValue(r.Context(), other{}, 1))
		io.WriteString(Stderr(r), "note")
		cancel(why)
		<-r.Context().Done()
		if v := r.Context().Value(key{}); v != "v" || context.Cause(r.Context()) != why {
			t.Errorf("value %v, cause %v", v, context.Cause(r.Context()))
		}
	})).ServeCGI(ctx, w, get("/"))
	if w.stderr.String() != "note" {
		t.Errorf("stderr = %q", &w.stderr)
	}
}

func TestResponseCalls(t *testing.T) {
	const plain = ` Content-Type="text/plain; charset=utf-8"`
	kib := strings.Repeat("x", 1024)
	tests := []struct {
		name   string
		method string
		h      http.HandlerFunc
		want   string
	}{
		{"nothing", "GET", func(w http.ResponseWriter, r *http.Request) {}, "200 Content-Length=\"0\"\n"},
		{"hello", "GET", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "hel")
			w.Write([]byte("lo"))
		}, "200" + plain + " Content-Length=\"5\"\nwrite \"hello\"\n"},
		{"fields are sorted, the type too", "GET", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-B", "1")
			w.Header().Set("Content-Type", "a/b")
			w.Header().Set("A", "1")
			io.WriteString(w, "x")
		}, "200 A=\"1\" Content-Type=\"a/b\" X-B=\"1\" Content-Length=\"1\"\nwrite \"x\"\n"},
		{"what CGI has not", "GET", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			w.Header().Set("Transfer-Encoding", "identity")
			w.Header().Set("Bad name", "1")
			w.Header().Set("X-Break", "a\r\nStatus: 500\x00")
			w.WriteHeader(200)
		}, "200 X-Break=\"a  Status: 500 \" Content-Length=\"0\"\n"},
		{"length is no number", "GET", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5x")
			io.WriteString(w, "12345")
		}, "200" + plain + " Content-Length=\"5\"\nwrite \"12345\"\n"},
		{"more than said", "GET", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "12345")
			if _, err := io.WriteString(w, "6"); err != http.ErrContentLength {
				t.Errorf("error = %v, want http.ErrContentLength", err)
			}
		}, "200" + plain + " Content-Length=\"5\"\nwrite \"12345\"\n"},
		{"less than said", "GET", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			io.WriteString(w, "1234")
		}, "200" + plain + " Content-Length=\"5\"\nwrite \"1234\"\nabort\n"},
		{"longest buffered", "GET", func(w http.ResponseWriter, r *http.Request) {
			for range 4 {
				io.WriteString(w, kib)
			}
		}, "200" + plain + " Content-Length=\"4096\"\n" + fmt.Sprintf("write %q\n", strings.Repeat(kib, 4))},
		{"one byte longer", "GET", func(w http.ResponseWriter, r *http.Request) {
			for range 4 {
				io.WriteString(w, kib)
			}
			io.WriteString(w, "y")
		}, "200" + plain + "\n" + fmt.Sprintf("write %q\nwrite \"y\"\n", strings.Repeat(kib, 4))},
		{"flush", "GET", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "a")
			w.(http.Flusher).Flush()
			io.WriteString(w, "b")
		}, "200" + plain + "\nwrite \"a\"\nflush\nwrite \"b\"\n"},
		{"head", "HEAD", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "hello")
		}, "200" + plain + " Content-Length=\"5\"\n"},
		{"head of a large body", "HEAD", func(w http.ResponseWriter, r *http.Request) {
			io.Copy(w, strings.NewReader(strings.Repeat(kib, 5)))
		}, "200" + plain + "\n"},
		{"head with flush", "HEAD", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "hello")
			w.(http.Flusher).Flush()
		}, "200" + plain + "\nflush\n"},
		{"head with nothing", "HEAD", func(w http.ResponseWriter, r *http.Request) {}, "200\n"},
		{"not modified", "GET", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			w.Header().Set("Content-Type", "a/b")
			w.Header().Set("Etag", "e")
			w.WriteHeader(304)
			if _, err := io.WriteString(w, "x"); err != http.ErrBodyNotAllowed {
				t.Errorf("error = %v, want http.ErrBodyNotAllowed", err)
			}
		}, "304 Etag=\"e\"\n"},
		{"interim", "GET", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Link", "l")
			w.Header().Set("Content-Length", "0")
			w.WriteHeader(103)
			w.WriteHeader(404)
			w.WriteHeader(200)
		}, "103 Link=\"l\"\n404 Link=\"l\" Content-Length=\"0\"\n"},
		{"bad status", "GET", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(99) },
			"500" + plain + " Content-Length=\"22\"\nwrite \"Internal Server Error\\n\"\n"},
		{"switching protocols", "GET", func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(101) },
			"500" + plain + " Content-Length=\"22\"\nwrite \"Internal Server Error\\n\"\n"},
		{"many fields", "GET", func(w http.ResponseWriter, r *http.Request) {
			for _, name := range strings.Split("HGFEDCBA", "") {
				w.Header().Set(name, "1")
			}
		}, "200 A=\"1\" B=\"1\" C=\"1\" D=\"1\" E=\"1\" F=\"1\" G=\"1\" H=\"1\" Content-Length=\"0\"\n"},
		{"panic with a buffer", "GET", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "secret")
			panic("oops")
		}, "500" + plain + " Content-Length=\"22\"\nwrite \"Internal Server Error\\n\"\n"},
		{"panic after a part", "GET", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "a")
			w.(http.Flusher).Flush()
			panic("oops")
		}, "200" + plain + "\nwrite \"a\"\nflush\nabort\n"},
		{"http.ErrAbortHandler", "GET", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "a")
			panic(http.ErrAbortHandler)
		}, "abort\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := get("/")
			r.Method = tt.method
			if got := serve(tt.h, r).calls.String(); got != tt.want {
				t.Errorf("calls:\n%swant:\n%s", got, tt.want)
			}
		})
	}
}

func TestPanicIsLogged(t *testing.T) {
	var log bytes.Buffer
	a := &Application{Log: slog.New(slog.NewTextHandler(&log, nil)), Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oops") })}
	w := new(recorder)
	a.ServeCGI(context.Background(), w, get("/x?secret"))
	for _, got := range []string{log.String(), w.stderr.String()} {
		if !strings.Contains(got, "oops") || !strings.Contains(got, "TestPanicIsLogged") || strings.Contains(got, "secret") {
			t.Errorf("logged %q, want the panic and where it was, and no query", got)
		}
	}
}

// A handler that ends its goroutine, as t.FailNow does, must not leave a
// response that looks complete.
func TestGoexitAborts(t *testing.T) {
	w := new(recorder)
	done := make(chan bool)
	go func() {
		defer close(done)
		Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { runtime.Goexit() })).ServeCGI(context.Background(), w, get("/"))
	}()
	<-done
	if got := w.calls.String(); got != "abort\n" {
		t.Errorf("calls: %s, want abort", got)
	}
}

func TestWriteErrors(t *testing.T) {
	w := &recorder{err: errors.New("gone")}
	Handler(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, err := rw.Write(make([]byte, 5000))
		_, again := rw.Write([]byte("x"))
		flush := http.NewResponseController(rw).Flush()
		_, from := rw.(io.ReaderFrom).ReadFrom(strings.NewReader(strings.Repeat("x", 5000)))
		if err != w.err || again != nil || flush != w.err || from != w.err {
			t.Errorf("errors = %v, %v, %v, %v, want %v but for the buffered one", err, again, flush, from, w.err)
		}
	})).ServeCGI(context.Background(), w, get("/"))
}

func TestNothingAfterReturn(t *testing.T) {
	var kept http.ResponseWriter
	w := serve(func(w http.ResponseWriter, r *http.Request) { kept = w }, get("/"))
	before := w.calls.String()
	kept.WriteHeader(500)
	if _, err := io.WriteString(kept, "late"); err != errEnded {
		t.Errorf("Write = %v, want %v", err, errEnded)
	}
	if _, err := kept.Write(make([]byte, 10_000)); err != errEnded {
		t.Errorf("Write = %v, want %v", err, errEnded)
	}
	if err := http.NewResponseController(kept).Flush(); err != errEnded {
		t.Errorf("Flush = %v, want %v", err, errEnded)
	}
	if got := w.calls.String(); got != before {
		t.Errorf("calls after the handler has returned: %s", got[len(before):])
	}
}

func TestHijackIsRefused(t *testing.T) {
	serve(func(w http.ResponseWriter, r *http.Request) {
		_, _, err := http.NewResponseController(w).Hijack()
		if !errors.Is(err, http.ErrNotSupported) || !strings.Contains(err.Error(), "no connection of its own") {
			t.Errorf("Hijack = %v", err)
		}
	}, get("/"))
}
