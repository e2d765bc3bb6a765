package cgihttp

import (
	"context"
	"io"
	"net/http"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
)

// typical is what a web server sends for a browser's GET: 22 params, 8 of them
// header fields.
var typical = []cgi.Field{
	{Name: "QUERY_STRING", Value: "x=1&y=2"}, {Name: "REQUEST_METHOD", Value: "GET"}, {Name: "CONTENT_TYPE", Value: ""},
	{Name: "CONTENT_LENGTH", Value: ""}, {Name: "SCRIPT_NAME", Value: "/hello"}, {Name: "REQUEST_URI", Value: "/hello?x=1&y=2"},
	{Name: "DOCUMENT_ROOT", Value: "/usr/share/nginx/html"}, {Name: "SERVER_PROTOCOL", Value: "HTTP/1.1"},
	{Name: "GATEWAY_INTERFACE", Value: "CGI/1.1"}, {Name: "SERVER_SOFTWARE", Value: "nginx/1.22.1"}, {Name: "REMOTE_ADDR", Value: "127.0.0.1"},
	{Name: "REMOTE_PORT", Value: "54321"}, {Name: "SERVER_ADDR", Value: "127.0.0.1"}, {Name: "SERVER_PORT", Value: "80"},
	{Name: "HTTP_HOST", Value: "example.org"}, {Name: "HTTP_USER_AGENT", Value: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"},
	{Name: "HTTP_ACCEPT", Value: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}, {Name: "HTTP_ACCEPT_LANGUAGE", Value: "en-US,en;q=0.5"},
	{Name: "HTTP_ACCEPT_ENCODING", Value: "gzip, deflate, br, zstd"}, {Name: "HTTP_COOKIE", Value: "session=0123456789abcdef"},
	{Name: "HTTP_UPGRADE_INSECURE_REQUESTS", Value: "1"}, {Name: "HTTP_CACHE_CONTROL", Value: "max-age=0"},
}

func hello(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	io.WriteString(w, "hello")
}

func typicalRequest(t testing.TB) *cgi.Request {
	r, err := cgi.FromParams(typical)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func BenchmarkApplication(b *testing.B) {
	r, h := typicalRequest(b), Handler(http.HandlerFunc(hello))
	b.ReportAllocs()
	for b.Loop() {
		h.ServeCGI(context.Background(), nopCGIWriter{}, r)
	}
}

func TestAllocations(t *testing.T) {
	info, ok := debug.ReadBuildInfo()
	if ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("under the race detector a sync.Pool forgets now and then")
	}
	// The call, two header maps at two each, the address of the client, and
	// the slice that Header.Set makes.
	const want = 7
	r, h := typicalRequest(t), Handler(http.HandlerFunc(hello))
	got := testing.AllocsPerRun(200, func() { h.ServeCGI(context.Background(), nopCGIWriter{}, r) })
	if got > want {
		t.Errorf("%v allocations, want %v at most", got, want)
	}
}

type nopCGIWriter struct{}

func (nopCGIWriter) WriteHeader(int, cgi.Header) error { return nil }
func (nopCGIWriter) Write(p []byte) (int, error)       { return len(p), nil }
func (nopCGIWriter) Flush() error                      { return nil }
func (nopCGIWriter) Abort()                            {}
