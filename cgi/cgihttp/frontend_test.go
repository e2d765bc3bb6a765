package cgihttp

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// handlerFunc serves every request of the test with f.
func handlerFunc(f func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request)) *FrontEnd {
	return &FrontEnd{Handler: cgi.HandlerFunc(f)}
}

func TestRequestOnTheWire(t *testing.T) {
	var got *cgi.Request
	s := startServer(t, handlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) { got = r }))
	serverHost, serverPort, _ := net.SplitHostPort(s.Listener.Addr().String())
	tests := []struct {
		name, in string
		want     cgi.Request // without addresses
	}{
		{
			"origin form, fields sorted",
			"GET /a%20b/..//c?x=1?2 HTTP/1.1\r\nX-B: 2\r\nHost: h:1\r\naccept: */*\r\nX-B: 1\r\nConnection: close\r\n\r\n",
			cgi.Request{Method: "GET", Target: "/a%20b/..//c?x=1?2", Proto: "HTTP/1.1", Host: "h:1", Header: cgi.Header{
				{Name: "Accept", Value: "*/*"}, {Name: "Connection", Value: "close"}, {Name: "X-B", Value: "2"}, {Name: "X-B", Value: "1"},
			}},
		},
		{
			"absolute form wins over Host",
			"GET http://a.example/p?q HTTP/1.1\r\nHost: b.example\r\n\r\n",
			cgi.Request{Method: "GET", Target: "/p?q", Proto: "HTTP/1.1", Host: "a.example", Header: cgi.Header{}},
		},
		{
			"absolute form without path",
			"GET http://a.example?q HTTP/1.1\r\nHost: b\r\n\r\n",
			cgi.Request{Method: "GET", Target: "/?q", Proto: "HTTP/1.1", Host: "a.example", Header: cgi.Header{}},
		},
		{
			"absolute form with nothing",
			"GET http://a.example HTTP/1.1\r\nHost: b\r\n\r\n",
			cgi.Request{Method: "GET", Target: "/", Proto: "HTTP/1.1", Host: "a.example", Header: cgi.Header{}},
		},
		{
			"two slashes are no authority",
			"GET //evil.example/p HTTP/1.1\r\nHost: h\r\n\r\n",
			cgi.Request{Method: "GET", Target: "//evil.example/p", Proto: "HTTP/1.1", Host: "h", Header: cgi.Header{}},
		},
		{
			"asterisk",
			"TRACE * HTTP/1.1\r\nHost: h\r\n\r\n",
			cgi.Request{Method: "TRACE", Target: "*", Proto: "HTTP/1.1", Host: "h", Header: cgi.Header{}},
		},
		{
			"old protocol",
			"GET / HTTP/1.0\r\n\r\n",
			cgi.Request{Method: "GET", Target: "/", Proto: "HTTP/1.0", Header: cgi.Header{}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dialRaw(t, s)
			c.send(tt.in)
			c.response("GET")
			host, port, _ := net.SplitHostPort(c.LocalAddr().String())
			tt.want.RemoteAddr, tt.want.RemotePort = host, port
			tt.want.ServerAddr, tt.want.ServerPort = serverHost, serverPort
			if !reflect.DeepEqual(*got, tt.want) {
				t.Errorf("request = %+v\nwant %+v", *got, tt.want)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	f := &FrontEnd{
		MaxHeaderBytes: 500, MaxFields: 4,
		Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) { fmt.Fprint(w, "served") }),
		Refuse: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request, status int) {
			w.WriteHeader(status, nil)
			fmt.Fprintf(w, "page %d for %.10s, %d fields", status, r.Target, len(r.Header))
		},
	}
	s := startServer(t, f)
	field := func(n int) string { return "A: " + strings.Repeat("x", n) + "\r\n" }
	// "GET", "/", "HTTP/1.1" and "h" are 13 bytes, a field A has 5 more than its value.
	tests := []struct {
		name, in string
		status   int
		want     string
	}{
		{"longest", "GET / HTTP/1.1\r\nHost: h\r\n" + field(482), 200, "served"},
		{"one byte more", "GET / HTTP/1.1\r\nHost: h\r\n" + field(483), 431, "page 431 for /, 0 fields"},
		{"most fields", "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat(field(1), 4), 200, "served"},
		{"one field more", "GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat(field(1), 5), 431, "page 431 for /, 0 fields"},
		{"long target", "GET /" + strings.Repeat("x", 500) + " HTTP/1.1\r\nHost: h\r\n", 414, "page 414 for /xxxxxxxxx, 0 fields"},
		{"connect", "CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n", 501, "page 501 for a.example:, 0 fields"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dialRaw(t, s)
			c.send(tt.in + "\r\n")
			res, got := c.response("GET")
			if res.StatusCode != tt.status || got != tt.want {
				t.Errorf("got %d %q, want %d %q", res.StatusCode, got, tt.status, tt.want)
			}
		})
	}
	f.Refuse = nil
	c := dialRaw(t, s)
	c.send("GET / HTTP/1.1\r\nHost: h\r\n" + field(600) + "\r\n")
	if res, got := c.response("GET"); res.StatusCode != 431 || got != "Request Header Fields Too Large\n" {
		t.Errorf("without Refuse: got %d %q, want 431 and its text", res.StatusCode, got)
	}
}

func TestResponseFields(t *testing.T) {
	for _, proto := range []string{"h1", "h2c"} {
		t.Run(proto, func(t *testing.T) {
			s := startServer(t, handlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				w.WriteHeader(200, cgi.Header{
					{Name: "set-cookie", Value: "a"}, {Name: "Connection", Value: "X-A"}, {Name: "X-A", Value: "1"}, {Name: "Keep-Alive", Value: "1"},
					{Name: "Upgrade", Value: "h2c"}, {Name: "Transfer-Encoding", Value: "gzip"}, {Name: "Set-Cookie", Value: "b"},
					{Name: "Trailer:X", Value: "1"}, {Name: "SET-COOKIE", Value: "c"},
				})
				io.WriteString(w, "<html>")
				if err := w.WriteHeader(500, nil); err == nil {
					panic("second WriteHeader: no error")
				}
			}))
			res, err := newClient(t, proto).Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			b, err := io.ReadAll(res.Body)
			res.Body.Close()
			res.Header.Del("Date")
			want := http.Header{"Set-Cookie": {"a", "b", "c"}, "X-A": {"1"}, "Content-Length": {"6"}}
			if !reflect.DeepEqual(res.Header, want) || string(b) != "<html>" || err != nil || res.Trailer != nil {
				t.Errorf("got %v %q %v, trailers %v, want %v", res.Header, b, err, res.Trailer, want)
			}
		})
	}
}

func TestInterimAndOddStatus(t *testing.T) {
	s := startServer(t, handlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		if err := w.WriteHeader(103, cgi.Header{{Name: "Link", Value: "</a>"}, {Name: "Content-Length", Value: "9"}}); err != nil {
			panic(err)
		}
		for _, status := range []int{-1, 0, 99, 101, 1000} {
			if w.WriteHeader(status, nil) == nil {
				panic(fmt.Sprintf("status %d was sent", status))
			}
		}
		w.WriteHeader(299, nil)
	}))
	tests := []struct{ in, want string }{
		{"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 299 status code 299\r\nDate: D\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"},
		{"GET / HTTP/1.0\r\n\r\n", "HTTP/1.0 299 status code 299\r\nDate: D\r\nContent-Length: 0\r\n\r\n"},
	}
	for _, tt := range tests {
		c := dialRaw(t, s)
		c.send(tt.in)
		lines := strings.SplitAfter(c.rest(), "\r\n")
		for i, l := range lines {
			if strings.HasPrefix(l, "Date:") {
				lines[i] = "Date: D\r\n"
			}
		}
		if got := strings.Join(lines, ""); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.in, got, tt.want)
		}
	}
}

// A 204 or 304 has no body, whatever the application writes: behind it a
// client would look for the next response.
func TestBareStatusSwallowsBody(t *testing.T) {
	s := startServer(t, handlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		w.WriteHeader(304, cgi.Header{{Name: "Content-Length", Value: "4"}})
		if n, err := io.WriteString(w, "body"); n != 4 || err != nil {
			panic(err)
		}
		if n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("more")); n != 4 || err != nil {
			panic(err)
		}
	}))
	c := dialRaw(t, s)
	for range 2 {
		c.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n")
		if res, body := c.response("GET"); res.StatusCode != 304 || body != "" {
			t.Errorf("got %d %q, want 304 without body", res.StatusCode, body)
		}
	}
}

func TestBrokenResponses(t *testing.T) {
	part := func(w cgi.ResponseWriter) { io.WriteString(w, "part") }
	tests := []struct {
		name   string
		serve  func(w cgi.ResponseWriter)
		status int    // 0: no response at all
		body   string // what comes before the break
		broken bool
	}{
		{"abort", func(w cgi.ResponseWriter) { part(w); w.Abort() }, 200, "part", true},
		{"abort before anything", func(w cgi.ResponseWriter) { w.Abort() }, 0, "", true},
		{"write after abort", func(w cgi.ResponseWriter) {
			w.Abort()
			if _, err := io.WriteString(w, "x"); err == nil {
				panic("no error")
			}
			if w.WriteHeader(200, nil) == nil || w.Flush() == nil {
				panic("no error")
			}
		}, 0, "", true},
		{"shorter than said", func(w cgi.ResponseWriter) {
			w.WriteHeader(200, cgi.Header{{Name: "Content-Length", Value: "5"}})
			part(w)
		}, 200, "part", true},
		{"panic", func(w cgi.ResponseWriter) { panic("oops") }, 500, "Internal Server Error\n", false},
		{"panic after a part", func(w cgi.ResponseWriter) { part(w); panic("oops") }, 200, "part", true},
		{"http.ErrAbortHandler", func(w cgi.ResponseWriter) { panic(http.ErrAbortHandler) }, 0, "", true},
	}
	for _, tt := range tests {
		for _, proto := range []string{"h1", "h2c"} {
			t.Run(tt.name+"/"+proto, func(t *testing.T) {
				var log bytes.Buffer
				f := handlerFunc(func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) { tt.serve(w) })
				f.Log = slog.New(slog.NewTextHandler(&log, nil))
				s := startServer(t, f)
				var status int
				var b []byte
				res, err := newClient(t, proto).Get(s.URL)
				if err == nil {
					status = res.StatusCode
					b, err = io.ReadAll(res.Body)
					res.Body.Close()
				}
				if status != tt.status || string(b) != tt.body || (err != nil) != tt.broken {
					t.Errorf("got %d %q %v, want %d %q, broken: %v", status, b, err, tt.status, tt.body, tt.broken)
				}
				s.Close() // ends the handler, which writes the log
				if logged := strings.Contains(log.String(), "panic=oops"); logged != strings.HasPrefix(tt.name, "panic") {
					t.Errorf("log: %s", &log)
				}
			})
		}
	}
}

func TestHandlerPanicHasItsPage(t *testing.T) {
	f := handlerFunc(func(context.Context, cgi.ResponseWriter, *cgi.Request) { panic("oops") })
	f.Refuse = func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request, status int) {
		w.WriteHeader(status, nil)
		io.WriteString(w, "our page")
	}
	s := startServer(t, f)
	res, err := newClient(t, "h1").Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, _ := io.ReadAll(res.Body); res.StatusCode != 500 || string(b) != "our page" {
		t.Errorf("got %d %q, want 500 and our page", res.StatusCode, b)
	}
}

// readerFrom tells whether a file reached net/http as a file.
type readerFrom struct {
	http.ResponseWriter
	src any
}

func (w *readerFrom) ReadFrom(src io.Reader) (int64, error) {
	w.src = src
	return io.Copy(w.ResponseWriter, src)
}

// A file must reach net/http as a file, through both halves of the package, or
// there is no sendfile.
func TestFileIsNotCopied(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f.txt")
	if err := os.WriteFile(name, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &FrontEnd{Handler: Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, name)
	}))}
	rec := httptest.NewRecorder()
	w := &readerFrom{ResponseWriter: rec}
	f.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	limited, ok := w.src.(*io.LimitedReader)
	if !ok {
		t.Fatalf("net/http was given a %T, want an *io.LimitedReader", w.src)
	}
	if _, ok := limited.R.(*os.File); !ok {
		t.Errorf("net/http was given a %T, want an *os.File", limited.R)
	}
	if got := rec.Body.String(); got != "0123456789" {
		t.Errorf("body = %q", got)
	}
}

func TestContextOfClientThatLeaves(t *testing.T) {
	for _, proto := range []string{"h1", "h2c"} {
		t.Run(proto, func(t *testing.T) {
			started, done := make(chan bool), make(chan error, 1)
			s := startServer(t, handlerFunc(func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				close(started)
				select {
				case <-ctx.Done():
					done <- ctx.Err()
				case <-time.After(10 * time.Second):
					done <- nil
				}
			}))
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			r, _ := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
			go func() {
				<-started
				cancel()
			}()
			if _, err := newClient(t, proto).Do(r); err == nil {
				t.Fatal("no error")
			}
			if err := <-done; err == nil {
				t.Error("the context was not done after 10 s")
			}
		})
	}
}

// What is written and flushed must reach the client while the handler runs.
func TestFlushReachesClient(t *testing.T) {
	for _, proto := range []string{"h1", "h2c"} {
		t.Run(proto, func(t *testing.T) {
			read := make(chan bool)
			s := startServer(t, &FrontEnd{Handler: Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				for i := range 3 {
					fmt.Fprint(w, i)
					w.(http.Flusher).Flush()
					<-read
				}
			}))})
			res, err := newClient(t, proto).Get(s.URL)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b := make([]byte, 1)
			for i := range 3 {
				if _, err := io.ReadFull(res.Body, b); err != nil || b[0] != byte('0'+i) {
					t.Fatalf("part %d: got %q %v", i, b, err)
				}
				read <- true
			}
		})
	}
}

func TestUnixListenerHasNoAddresses(t *testing.T) {
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	got := make(chan cgi.Request, 1)
	s := httptest.NewUnstartedServer(handlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) { got <- *r }))
	s.Listener.Close()
	s.Listener = l
	s.Start()
	defer s.Close()
	c, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET / HTTP/1.0\r\n\r\n")
	r := <-got
	if addrs := r.RemoteAddr + r.RemotePort + r.ServerAddr + r.ServerPort; addrs != "" {
		t.Errorf("addresses = %q, want none", addrs)
	}
}

func BenchmarkFrontEnd(b *testing.B) {
	f := handlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		w.WriteHeader(200, cgi.Header{{Name: "Content-Type", Value: "text/plain"}, {Name: "Content-Length", Value: "5"}})
		io.WriteString(w, "hello")
	})
	r := httptest.NewRequest("GET", "/hello?x=1", nil)
	r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80}))
	for _, name := range []string{"User-Agent", "Accept", "Accept-Language", "Accept-Encoding", "Cookie"} {
		r.Header.Set(name, "value of "+name)
	}
	w := &nopWriter{}
	b.ReportAllocs()
	for b.Loop() {
		w.header = make(http.Header) // as net/http does
		f.ServeHTTP(w, r)
	}
}

type nopWriter struct{ header http.Header }

func (w *nopWriter) Header() http.Header         { return w.header }
func (w *nopWriter) WriteHeader(int)             {}
func (w *nopWriter) Write(p []byte) (int, error) { return len(p), nil }
