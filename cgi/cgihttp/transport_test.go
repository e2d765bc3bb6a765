package cgihttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httputil"
	"net/url"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
)

var _ interface {
	RoundTrip(ctx context.Context, network, address string, r *cgi.Request) (*cgi.Response, error)
} = (*fastcgi.Client)(nil)

// startApp serves h over FastCGI on a unix socket and returns a Transport to
// it.
func startApp(t testing.TB, h cgi.Handler) *Transport {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &fastcgi.Server{Handler: h}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }() // ends with Close
	c := new(fastcgi.Client)
	t.Cleanup(func() {
		c.Close()
		s.Close()
		<-done
	})
	return &Transport{Client: c, Network: "unix", Address: path}
}

func startHTTPApp(t testing.TB, h http.HandlerFunc) *http.Client {
	return &http.Client{Transport: startApp(t, Handler(h)), Timeout: 20 * time.Second}
}

// fetch returns status and body of one request.
func fetch(t *testing.T, c *http.Client, method, url string, body io.Reader) string {
	t.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d %s", res.StatusCode, b)
}

// What the handler at the other end sees is what the client was told to send.
func TestTransportRequest(t *testing.T) {
	var got *http.Request
	c := startHTTPApp(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		io.Copy(w, r.Body)
	})
	r, err := http.NewRequest("PUT", "https://example.org:8443/a%2Fb?x=%41&y", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-A", "1")
	r.Header.Add("X-B", "1")
	r.Header.Add("X-B", "2")
	r.Header.Set("Connection", "X-A")
	r.Header.Set("Te", "trailers")
	before := r.Clone(t.Context())
	res, err := c.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if b, err := io.ReadAll(res.Body); string(b) != "body" || err != nil {
		t.Errorf("body %q, %v", b, err)
	}
	seen := []any{got.Method, got.RequestURI, got.Host, got.TLS != nil, got.ContentLength, got.Proto, got.Header}
	want := []any{"PUT", "/a%2Fb?x=%41&y", "example.org:8443", true, int64(4), "HTTP/1.1",
		http.Header{"X-A": {"1"}, "X-B": {"1, 2"}, "Content-Length": {"4"}}}
	if !reflect.DeepEqual(seen, want) {
		t.Errorf("the application saw\n%q, want\n%q", seen, want)
	}
	if !reflect.DeepEqual(r.Header, before.Header) || *r.URL != *before.URL {
		t.Error("the request was changed")
	}
}

func TestTransportResponse(t *testing.T) {
	type answer struct {
		Status string
		Length int64
		Header http.Header
		Body   string
	}
	plain := http.Header{"Content-Type": {"text/plain"}}
	tests := []struct {
		name, method string
		h            cgi.HandlerFunc
		want         answer
		wantErr      error // of the body
	}{
		{"with length", "GET", func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			w.WriteHeader(404, cgi.Header{{Name: "Content-Length", Value: "3"}, {Name: "x-a", Value: "1"}, {Name: "X-A", Value: "2"}, {Name: "Connection", Value: "close"}})
			io.WriteString(w, "abc")
		}, answer{"404 Not Found", 3, http.Header{"Content-Length": {"3"}, "X-A": {"1", "2"}}, "abc"}, nil},
		{"without length", "GET", func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			w.WriteHeader(200, cgi.Header{{Name: "Content-Type", Value: "text/plain"}})
			io.WriteString(w, "abc")
		}, answer{"200 OK", -1, plain, "abc"}, nil},
		{"unknown status", "GET", func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			w.WriteHeader(799, nil)
		}, answer{"799", -1, http.Header{}, ""}, nil},
		{"shorter than said", "GET", func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			w.WriteHeader(200, cgi.Header{{Name: "Content-Length", Value: "5"}})
			io.WriteString(w, "abc")
		}, answer{"500 Internal Server Error", -1, http.Header{"Content-Type": {"text/plain; charset=utf-8"}}, "Internal Server Error\n"}, nil},
		{"longer than said", "GET", func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			w.WriteHeader(200, cgi.Header{{Name: "Content-Length", Value: "2"}})
			io.WriteString(w, "abc")
		}, answer{"200 OK", 2, http.Header{"Content-Length": {"2"}}, "ab"}, nil},
		{"head", "HEAD", func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			w.WriteHeader(200, cgi.Header{{Name: "Content-Length", Value: "3"}})
		}, answer{"200 OK", 3, http.Header{"Content-Length": {"3"}}, ""}, nil},
		{"no content", "GET", func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			w.WriteHeader(204, nil)
		}, answer{"204 No Content", 0, http.Header{}, ""}, nil},
		{"not modified", "GET", func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			w.WriteHeader(304, cgi.Header{{Name: "Etag", Value: "e"}})
		}, answer{"304 Not Modified", 0, http.Header{"Etag": {"e"}}, ""}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, _ := http.NewRequest(tt.method, "http://h/", nil)
			res, err := startApp(t, tt.h).RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if got := (answer{res.Status, res.ContentLength, res.Header, string(b)}); !reflect.DeepEqual(got, tt.want) || !errors.Is(err, tt.wantErr) {
				t.Errorf("got %+v %v, want %+v %v", got, err, tt.want, tt.wantErr)
			}
			if res.Proto != "HTTP/1.1" || res.Request != r || res.Uncompressed {
				t.Errorf("proto %s, request %p, uncompressed %v", res.Proto, res.Request, res.Uncompressed)
			}
		})
	}
}

// http.Client's own features, with the application behind them.
func TestTransportInClient(t *testing.T) {
	c := startHTTPApp(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/login":
			http.SetCookie(w, &http.Cookie{Name: "session", Value: "s1", Path: "/"})
			http.Redirect(w, r, "/private?x=1", http.StatusSeeOther)
		case "/moved":
			http.Redirect(w, r, "http://other.example/private", http.StatusTemporaryRedirect)
		case "/private":
			session, _ := r.Cookie("session")
			b, _ := io.ReadAll(r.Body)
			fmt.Fprint(w, r.Method, " ", r.Host, " ", r.URL.RawQuery, " ", session, " ", string(b))
		}
	})
	c.Jar, _ = cookiejar.New(nil)
	if got, want := fetch(t, c, "POST", "http://h/login", strings.NewReader("name=me")), "200 GET h x=1 session=s1 "; got != want {
		t.Errorf("redirect with a cookie: got %q, want %q", got, want)
	}
	for _, body := range []string{"small", strings.Repeat("x", 300_000)} {
		got := fetch(t, c, "POST", "http://h/moved", strings.NewReader(body))
		if want := "200 POST other.example   " + body; got != want {
			t.Errorf("body replayed at 307: got %.60q, want %.60q", got, want)
		}
	}
}

func TestTransportRefuses(t *testing.T) {
	tr := &Transport{} // there is nobody to be asked
	tests := []struct {
		name   string
		change func(r *http.Request)
		want   string
	}{
		{"scheme", func(r *http.Request) { r.URL.Scheme = "ftp" }, `scheme "ftp" is neither http nor https`},
		{"no URL", func(r *http.Request) { r.URL = nil }, "no URL"},
		{"method", func(r *http.Request) { r.Method = "GET /" }, `method "GET /" cannot be sent`},
		{"CONNECT", func(r *http.Request) { r.Method = "CONNECT" }, `method "CONNECT" cannot be sent`},
		{"opaque", func(r *http.Request) { r.URL = &url.URL{Scheme: "http", Opaque: "x"} }, `target "x" is not a path`},
		{"host", func(r *http.Request) { r.Host = "a\nb" }, `host "a\nb" cannot be sent`},
		{"field name", func(r *http.Request) { r.Header["A b"] = []string{"1"} }, `header field "A b" cannot be sent`},
		{"field value", func(r *http.Request) { r.Header["A"] = []string{"secret\r\nB: 1"} }, `header field "A" cannot be sent`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			body := &closeCounter{Reader: strings.NewReader("x")}
			r, _ := http.NewRequest("POST", "http://h/", body)
			tt.change(r)
			_, err := tr.RoundTrip(r)
			if want := "cgihttp: send request: " + tt.want; err == nil || err.Error() != want {
				t.Errorf("error = %v, want %s", err, want)
			}
			if body.closed.Load() != 1 {
				t.Errorf("body closed %d times", body.closed.Load())
			}
		})
	}
}

func TestTransportPrepare(t *testing.T) {
	var got []string
	tr := startApp(t, cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		for _, name := range []string{"SCRIPT_NAME", "PATH_INFO", "SCRIPT_FILENAME", "REMOTE_ADDR", "SERVER_PORT", "X"} {
			v, _ := r.Param(name)
			got = append(got, v)
		}
		w.WriteHeader(200, nil)
	}))
	tr.Prepare = func(r *cgi.Request, hr *http.Request) {
		r.Script = cgi.Script{Filename: "/srv/app.php", Name: "/app.php", PathInfo: strings.TrimPrefix(hr.URL.Path, "/app.php")}
		r.RemoteAddr = "192.0.2.1"
		r.Extra = append(r.Extra, cgi.Field{Name: "X", Value: "1"})
	}
	c := &http.Client{Transport: tr}
	fetch(t, c, "GET", "https://h/app.php/p", nil)
	if want := []string{"/app.php", "/p", "/srv/app.php", "192.0.2.1", "443", "1"}; !reflect.DeepEqual(got, want) {
		t.Errorf("params %q, want %q", got, want)
	}
}

// A body of unknown length can be made one of known length on the way.
func TestTransportPrepareBuffers(t *testing.T) {
	tr := startApp(t, Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %q %v", r.ContentLength, b, err)
	})))
	tr.Prepare = func(r *cgi.Request, hr *http.Request) {
		if r.Body != nil && r.ContentLength < 0 {
			b, err := io.ReadAll(hr.Body)
			if err != nil {
				t.Error(err)
			}
			r.Body, r.ContentLength = cgi.BytesBody(b), int64(len(b))
		}
	}
	body := &closeCounter{Reader: strings.NewReader("abc")}
	if got, want := fetch(t, &http.Client{Transport: tr}, "POST", "http://h/", body), `200 3 "abc" <nil>`; got != want || body.closed.Load() != 1 {
		t.Errorf("got %s, closed %d times, want %s", got, body.closed.Load(), want)
	}
}

func TestTransportErrors(t *testing.T) {
	tr := &Transport{Client: new(fastcgi.Client), Network: "unix", Address: filepath.Join(t.TempDir(), "nobody")}
	body := &closeCounter{Reader: strings.NewReader("x")}
	r, _ := http.NewRequest("POST", "http://h/", body)
	_, err := tr.RoundTrip(r)
	if err == nil || !strings.HasPrefix(err.Error(), "fastcgi: dial") || body.closed.Load() != 1 {
		t.Errorf("error = %v, body closed %d times", err, body.closed.Load())
	}
}

func TestTransportConcurrently(t *testing.T) {
	c := startHTTPApp(t, func(w http.ResponseWriter, r *http.Request) { io.Copy(w, r.Body) })
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for n := range 10 {
				body := strings.Repeat(fmt.Sprint(i), 1+n*5000)
				if got := fetch(t, c, "POST", "http://h/", strings.NewReader(body)); got != "200 "+body {
					t.Errorf("got %d bytes, want %d", len(got)-4, len(body))
				}
			}
		})
	}
	wg.Wait()
}

// A reverse proxy to an application: upload, interim response and stream.
func TestTransportInReverseProxy(t *testing.T) {
	app := startApp(t, Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, " ", err, " ", r.Header.Get("X-Forwarded-For"))
	})))
	target, _ := url.Parse("http://app.example/")
	s := startServer(t, &httputil.ReverseProxy{Transport: app, Rewrite: func(r *httputil.ProxyRequest) {
		r.SetURL(target)
		r.SetXForwarded()
	}, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, 0)})
	for _, proto := range []string{"h1", "h2c"} {
		c := newClient(t, proto)
		if got, want := fetch(t, c, "POST", s.URL, strings.NewReader(strings.Repeat("x", 1<<20))), "200 1048576 <nil> 127.0.0.1"; got != want {
			t.Errorf("%s: got %q, want %q", proto, got, want)
		}
	}
}

// A clientFunc is a Client of a Transport.
type clientFunc func(ctx context.Context, r *cgi.Request) (*cgi.Response, error)

func (f clientFunc) RoundTrip(ctx context.Context, _, _ string, r *cgi.Request) (*cgi.Response, error) {
	return f(ctx, r)
}

// Whatever the application sends for the body of a response that has none is
// given back to the client at once.
func TestTransportClosesBareResponses(t *testing.T) {
	for method, status := range map[string]int{"HEAD": 200, "GET": 204, "PUT": 304} {
		body := &closeCounter{Reader: strings.NewReader("x")}
		tr := &Transport{Client: clientFunc(func(context.Context, *cgi.Request) (*cgi.Response, error) {
			return &cgi.Response{Head: cgi.Head{Status: status, ContentLength: 1}, Body: body}, nil
		})}
		r, _ := http.NewRequest(method, "http://h/", nil)
		res, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		if res.Body != http.NoBody || body.closed.Load() != 1 {
			t.Errorf("%s, %d: body %v, the client's closed %d times", method, status, res.Body, body.closed.Load())
		}
	}
}

func TestTransportDropsHopByHop(t *testing.T) {
	tr := &Transport{Client: clientFunc(func(_ context.Context, r *cgi.Request) (*cgi.Response, error) {
		h := cgi.Header{{Name: "connection", Value: "close"}, {Name: "Trailer", Value: "X"}, {Name: "A", Value: "1"}}
		return &cgi.Response{Head: cgi.Head{Status: 200, Header: h, ContentLength: -1}, Body: http.NoBody}, nil
	})}
	r, _ := http.NewRequest("GET", "http://h/", nil)
	res, err := tr.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if want := (http.Header{"A": {"1"}}); !reflect.DeepEqual(res.Header, want) {
		t.Errorf("header %v, want %v", res.Header, want)
	}
}
