package static

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/cgi/cgihttp"
)

// serve starts the files behind net/http and returns a function that asks for
// a target, as raw as it is.
func serve(t *testing.T, f *Files) func(method, target string, header ...string) (*http.Response, string) {
	t.Helper()
	s := httptest.NewServer(&cgihttp.FrontEnd{Handler: f})
	t.Cleanup(s.Close)
	client := s.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return func(method, target string, header ...string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequest(method, s.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.URL.Opaque = "//" + req.Host + target
		for i := 0; i < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
}

func TestServe(t *testing.T) {
	ask := serve(t, tree(t))
	tests := []struct {
		name, method, target string
		status               int
		body                 string // empty: not compared
		field, value         string // one field of the response
	}{
		{"file", "GET", "/a.txt", 200, "0123456789", "Content-Type", "text/plain; charset=utf-8"},
		{"length", "GET", "/a.txt", 200, "0123456789", "Content-Length", "10"},
		{"time", "GET", "/a.txt", 200, "0123456789", "Last-Modified", "Sat, 14 Mar 2026 15:09:26 GMT"},
		{"query does not matter", "GET", "/a.txt?v=2", 200, "0123456789", "", ""},
		{"head", "HEAD", "/a.txt", 200, "", "Content-Length", "10"},
		{"empty", "GET", "/empty.css", 200, "", "Content-Length", "0"},
		{"type is never guessed", "GET", "/README", 200, "<html>not a page</html>", "Content-Type", "application/octet-stream"},
		{"escaped", "GET", "/docs/a%20b.txt", 200, "space", "", ""},
		{"not UTF-8", "GET", "/%ff%fe.txt", 200, "not UTF-8", "", ""},
		{"dot segments", "GET", "/docs/../a.txt", 200, "0123456789", "", ""},
		{"well-known", "GET", "/.well-known/security.txt", 200, "Contact:", "", ""},
		{"link inside", "GET", "/in.txt", 200, "0123456789", "Content-Type", "text/plain; charset=utf-8"},
		{"index of the root", "GET", "/", 200, "<p>start</p>", "Content-Type", "text/html; charset=utf-8"},
		{"index of a folder", "GET", "/docs/", 200, "<p>docs</p>", "", ""},

		{"folder without slash", "GET", "/docs", 301, "", "Location", "/docs/"},
		{"folder without slash, query", "GET", "/docs?x=1&y=%20", 301, "", "Location", "/docs/?x=1&y=%20"},
		{"folder without slash, HEAD", "HEAD", "/docs", 301, "", "Location", "/docs/"},
		{"a redirect stays on this host", "GET", "//docs", 301, "", "Location", "/docs/"},
		{"folder without index", "GET", "/bare/", 403, "Forbidden\n", "", ""},

		{"options", "OPTIONS", "/a.txt", 204, "", "Allow", "GET, HEAD, OPTIONS"},
		{"post", "POST", "/a.txt", 405, "Method Not Allowed\n", "Allow", "GET, HEAD, OPTIONS"},
		{"put", "PUT", "/a.txt", 405, "", "Allow", "GET, HEAD, OPTIONS"},
		{"delete", "DELETE", "/a.txt", 405, "", "Allow", "GET, HEAD, OPTIONS"},
		{"trace", "TRACE", "/a.txt", 405, "", "Allow", "GET, HEAD, OPTIONS"},
		{"post to a folder", "POST", "/docs", 405, "", "", ""},
		{"post to nothing", "POST", "/nothing", 404, "", "", ""},

		{"nothing", "GET", "/nothing", 404, "Not Found\n", "Content-Type", "text/plain; charset=utf-8"},
		{"file and a slash", "GET", "/a.txt/", 404, "", "", ""},
		{"file and more", "GET", "/a.txt/x", 404, "", "", ""},
		{"hidden", "GET", "/.env", 404, "", "", ""},
		{"hidden folder", "GET", "/.git/config", 404, "", "", ""},
		{"hidden, escaped", "GET", "/%2eenv", 404, "", "", ""},
		{"link out", "GET", "/out.txt", 404, "", "", ""},
		{"absolute link out", "GET", "/out-abs.txt", 404, "", "", ""},
		{"folder link out", "GET", "/out-dir/secret.txt", 404, "", "", ""},
		{"dots out", "GET", "/../secret.txt", 404, "", "", ""},
		{"escaped dots out", "GET", "/%2e%2e%2fsecret.txt", 404, "", "", ""},
		{"fifo", "GET", "/fifo", 404, "", "", ""},
		{"device", "GET", "/zero", 404, "", "", ""},
		{"loop", "GET", "/loop-a", 404, "", "", ""},
		{"bad escape", "GET", "/%zz", 400, "", "", ""},
		{"NUL", "GET", "/a.txt%00.html", 404, "", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := ask(tt.method, tt.target)
			if resp.StatusCode != tt.status || tt.body != "" && body != tt.body {
				t.Errorf("%s %s = %d %q, want %d %q", tt.method, tt.target, resp.StatusCode, body, tt.status, tt.body)
			}
			if got := resp.Header.Get(tt.field); tt.field != "" && got != tt.value {
				t.Errorf("%s %s: %s is %q, want %q", tt.method, tt.target, tt.field, got, tt.value)
			}
			if strings.Contains(body, secret) {
				t.Errorf("%s %s: the secret came back", tt.method, tt.target)
			}
		})
	}
}

func TestConditionsAndRanges(t *testing.T) {
	ask := serve(t, tree(t))
	first, _ := ask("GET", "/a.txt")
	tag := first.Header.Get("Etag")
	if tag == "" || strings.HasPrefix(tag, "W/") {
		t.Fatalf("ETag is %q, want a strong one", tag)
	}
	tests := []struct {
		name   string
		header []string
		status int
		body   string
	}{
		{"first bytes", []string{"Range", "bytes=0-3"}, 206, "0123"},
		{"last bytes", []string{"Range", "bytes=-2"}, 206, "89"},
		{"behind the end", []string{"Range", "bytes=10-"}, 416, ""},
		{"not a range", []string{"Range", "lines=1-2"}, 416, ""},
		{"range of this version", []string{"Range", "bytes=0-3", "If-Range", tag}, 206, "0123"},
		{"range of another version", []string{"Range", "bytes=0-3", "If-Range", `"other"`}, 200, "0123456789"},
		{"known by tag", []string{"If-None-Match", tag}, 304, ""},
		{"other tag", []string{"If-None-Match", `"other"`}, 200, "0123456789"},
		{"known by time", []string{"If-Modified-Since", written.Format(http.TimeFormat)}, 304, ""},
		{"other version wanted", []string{"If-Match", `"other"`}, 412, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			resp, body := ask("GET", "/a.txt", tt.header...)
			if resp.StatusCode != tt.status || tt.body != "" && body != tt.body {
				t.Errorf("GET with %q = %d %q, want %d %q", tt.header, resp.StatusCode, body, tt.status, tt.body)
			}
		})
	}
	t.Run("a time that says nothing", func(t *testing.T) {
		resp, _ := ask("GET", "/old.txt")
		if resp.Header.Get("Etag") != "" || resp.Header.Get("Last-Modified") != "" {
			t.Errorf("header %v, want neither ETag nor Last-Modified", resp.Header)
		}
	})
}

// The tag must change with the content, or caches keep the old one.
func TestEtagChanges(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "a.txt")
	tag := func() string {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		return etag(info)
	}
	write(t, name, "1234")
	before := tag()
	write(t, name, "12345")
	if after := tag(); after == before {
		t.Errorf("etag of another size is %s again", after)
	}
	write(t, name, "1234")
	if err := os.Chtimes(name, written, written.Add(1)); err != nil {
		t.Fatal(err)
	}
	if after := tag(); after == before {
		t.Errorf("etag of another time is %s again", after)
	}
}

func TestUnreadable(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root reads everything")
	}
	f := tree(t)
	if err := os.Chmod(filepath.Join(f.Dir(), "unreadable.txt"), 0); err != nil {
		t.Fatal(err)
	}
	if resp, _ := serve(t, f)("GET", "/unreadable.txt"); resp.StatusCode != 403 {
		t.Errorf("GET of a file with mode 000 = %d, want 403", resp.StatusCode)
	}
}

// sink takes a file as the kernel would.
type sink struct {
	status int
	from   io.Reader
	got    strings.Builder
}

func (s *sink) WriteHeader(status int, h cgi.Header) error { s.status = status; return nil }
func (s *sink) Write(p []byte) (int, error)                { return s.got.Write(p) }
func (s *sink) Flush() error                               { return nil }
func (s *sink) Abort()                                     {}

func (s *sink) ReadFrom(r io.Reader) (int64, error) {
	s.from = r
	return io.Copy(&s.got, r)
}

// The kernel can copy a file to a socket only if it is given the file.
func TestFileReachesFrontEnd(t *testing.T) {
	var w sink
	err := tree(t).Serve(context.Background(), &w, &cgi.Request{Method: "GET", Target: "/a.txt", Proto: "HTTP/1.1"}, "/a.txt")
	if err != nil {
		t.Fatal(err)
	}
	limited, ok := w.from.(*io.LimitedReader)
	if !ok {
		t.Fatalf("ReadFrom got a %T, want an *io.LimitedReader", w.from)
	}
	if _, ok := limited.R.(*os.File); !ok || w.got.String() != "0123456789" {
		t.Errorf("ReadFrom got %q from a %T, want the file", w.got.String(), limited.R)
	}
}

// Serve goes by the path it is given, and sends nothing with an error.
func TestServeError(t *testing.T) {
	f := tree(t)
	var w sink
	err := f.Serve(context.Background(), &w, &cgi.Request{Method: "GET", Target: "/a.txt", Proto: "HTTP/1.1"}, "/bare/")
	if Status(err) != 403 || w.status != 0 {
		t.Errorf("Serve(/bare/) = %v, status %d was sent; want ErrFolder and nothing sent", err, w.status)
	}
	if at, ok := errors.AsType[*fs.PathError](err); !ok || at.Path != "/bare/" {
		t.Errorf("Serve(/bare/) = %#v, want an *fs.PathError with the URL's path", err)
	}
}

func TestContentType(t *testing.T) {
	tests := []struct{ name, file, want string }{
		{"page", "index.html", "text/html; charset=utf-8"},
		{"upper case", "INDEX.HTML", "text/html; charset=utf-8"},
		{"script", "app.js", "text/javascript; charset=utf-8"},
		{"module", "app.mjs", "text/javascript; charset=utf-8"},
		{"wasm", "app.wasm", "application/wasm"},
		{"drawing", "a.svg", "image/svg+xml"},
		{"font", "a.woff2", "font/woff2"},
		{"last extension counts", "a.tar.gz", "application/gzip"},
		{"none", "LICENSE", "application/octet-stream"},
		{"unheard of", "a.sluice-unheard-of", "application/octet-stream"},
		{"dot at the end", "a.", "application/octet-stream"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := contentType(tt.file); got != tt.want {
				t.Errorf("contentType(%q) = %q, want %q", tt.file, got, tt.want)
			}
		})
	}
	for ext, typ := range types {
		if strings.HasPrefix(typ, "text/") && !strings.HasSuffix(typ, "; charset=utf-8") {
			t.Errorf("types[%q] = %q, want a charset", ext, typ)
		}
	}
}
