package static

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/cgi/cgihttp"
)

var _ cgi.Handler = (*Files)(nil)

// ServeCGI answers with the file that the target names, index.html for a
// folder. Whoever has more to say about paths and error pages calls Serve.
func (f *Files) ServeCGI(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	err := f.serveTarget(ctx, w, r)
	if err == nil {
		return
	}
	status := Status(err)
	text := http.StatusText(status) + "\n"
	h := cgi.Header{
		{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
		{Name: "Content-Length", Value: strconv.Itoa(len(text))},
	}
	if status == http.StatusMethodNotAllowed {
		h = append(h, cgi.Field{Name: "Allow", Value: Allow})
	}
	if w.WriteHeader(status, h) == nil && r.Method != http.MethodHead {
		w.Write([]byte(text)) // an error would have no further reader
	}
}

func (f *Files) serveTarget(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) error {
	decoded, err := url.PathUnescape(r.Path())
	if err != nil || !strings.HasPrefix(decoded, "/") || strings.IndexByte(decoded, 0) >= 0 {
		return fs.ErrNotExist
	}
	clean := path.Clean(decoded)
	if !strings.HasSuffix(decoded, "/") {
		return f.Serve(ctx, w, r, clean)
	}
	folder := strings.TrimSuffix(clean, "/") + "/"
	if err := f.Serve(ctx, w, r, folder+"index.html"); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return f.Serve(ctx, w, r, folder)
}

// Serve answers r with the file at path, whatever the target of r says. A
// folder whose path does not end with "/" is answered with a redirect to the
// one that does; one that ends with it is refused, as its index is for the
// caller to look for.
//
// With an error nothing has been sent, and the answer is for the caller to
// give; Status says which.
func (f *Files) Serve(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request, path string) error {
	file, info, err := f.open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	switch {
	case info.IsDir() && strings.HasSuffix(path, "/"):
		return f.failed(path, ErrFolder)
	case r.Method == http.MethodOptions:
		// An error of w means that the client has gone.
		w.WriteHeader(http.StatusNoContent, cgi.Header{{Name: "Allow", Value: Allow}})
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		return f.failed(path, ErrMethod)
	case info.IsDir():
		redirect(w, path+"/", r.Query())
	default:
		send(ctx, w, r, file, info)
	}
	return nil
}

// redirect sends the client to a folder's own path. It is made of the decoded
// path: of the target as received, a "//" at the start would name another host.
func redirect(w cgi.ResponseWriter, path, query string) {
	location := (&url.URL{Path: path, RawQuery: query}).RequestURI()
	w.WriteHeader(http.StatusMovedPermanently, cgi.Header{
		{Name: "Location", Value: location},
		{Name: "Content-Length", Value: "0"},
	})
}

// send leaves ranges and conditions to net/http. It gives the file itself to
// the front end (io.ReaderFrom), so that the kernel can copy it to the socket.
func send(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request, file *os.File, info fs.FileInfo) {
	content := func(hw http.ResponseWriter, hr *http.Request) {
		h := hw.Header()
		h["Content-Type"] = []string{contentType(info.Name())}
		modified := info.ModTime()
		if modified.Unix() <= unknownTime {
			modified = time.Time{}
		} else {
			h["Etag"] = []string{etag(info)}
		}
		http.ServeContent(hw, hr, "", modified, file)
	}
	cgihttp.Handler(http.HandlerFunc(content)).ServeCGI(ctx, w, r)
}

// unknownTime is the last second that says nothing about a file: reproducible
// images and the store of Nix give 0 or 1 to all their files, and those of two
// releases would be taken for the same.
const unknownTime = 1

// etag changes when the file does, as far as its time and size tell.
func etag(info fs.FileInfo) string {
	b := make([]byte, 0, 40)
	b = append(b, '"')
	b = strconv.AppendInt(b, info.ModTime().UnixNano(), 36)
	b = append(b, '-')
	b = strconv.AppendInt(b, info.Size(), 36)
	return string(append(b, '"'))
}
