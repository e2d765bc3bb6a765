package cgihttp

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A fileRecorder is a recorder that can send files.
type fileRecorder struct{ recorder }

func (w *fileRecorder) ReadFrom(src io.Reader) (int64, error) {
	b, err := io.ReadAll(src)
	fmt.Fprintf(&w.calls, "file %q\n", b)
	return int64(len(b)), err
}

// A file is given to the server as it is, unless its bytes have to be looked
// at or counted.
func TestFileToServer(t *testing.T) {
	name := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(name, []byte("abcdef"), 0o600); err != nil {
		t.Fatal(err)
	}
	typed := func(w http.ResponseWriter) { w.Header().Set("Content-Type", "a/b") }
	tests := []struct {
		name, method string
		setup        func(w http.ResponseWriter)
		src          func(f *os.File) io.Reader
		want         string
	}{
		{"part of a file", "GET", typed, func(f *os.File) io.Reader { return io.LimitReader(f, 3) },
			"200 Content-Type=\"a/b\"\nfile \"abc\"\n3 <nil>"},
		{"with length", "GET", func(w http.ResponseWriter) { typed(w); w.Header().Set("Content-Length", "3") },
			func(f *os.File) io.Reader { return io.LimitReader(f, 3) },
			"200 Content-Type=\"a/b\" Content-Length=\"3\"\nfile \"abc\"\n3 <nil>"},
		{"more than said", "GET", func(w http.ResponseWriter) { typed(w); w.Header().Set("Content-Length", "2") },
			func(f *os.File) io.Reader { return io.LimitReader(f, 3) },
			"200 Content-Type=\"a/b\" Content-Length=\"2\"\nabort\n0 http: wrote more than the declared Content-Length"},
		{"type to be guessed", "GET", func(http.ResponseWriter) {}, func(f *os.File) io.Reader { return io.LimitReader(f, 3) },
			"200 Content-Type=\"text/plain; charset=utf-8\" Content-Length=\"3\"\nwrite \"abc\"\n3 <nil>"},
		{"head", "HEAD", typed, func(f *os.File) io.Reader { return io.LimitReader(f, 3) },
			"200 Content-Type=\"a/b\" Content-Length=\"3\"\n3 <nil>"},
		{"whole file, of unknown size", "GET", typed, func(f *os.File) io.Reader { return f },
			"200 Content-Type=\"a/b\" Content-Length=\"6\"\nwrite \"abcdef\"\n6 <nil>"},
		{"no file", "GET", typed, func(*os.File) io.Reader { return io.LimitReader(strings.NewReader("abc"), 3) },
			"200 Content-Type=\"a/b\" Content-Length=\"3\"\nwrite \"abc\"\n3 <nil>"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := os.Open(name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			r, w := get("/"), new(fileRecorder)
			r.Method = tt.method
			var result string
			Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				tt.setup(w)
				n, err := w.(io.ReaderFrom).ReadFrom(tt.src(f))
				result = fmt.Sprint(n, " ", err)
			})).ServeCGI(context.Background(), w, r)
			if got := w.calls.String() + result; got != tt.want {
				t.Errorf("got:\n%s\nwant:\n%s", got, tt.want)
			}
		})
	}
}
