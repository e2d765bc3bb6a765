package fcgi

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/cgi/cgihttp"
)

// likeStandard gives a handler the request that it would have behind the
// standard package. What cgihttp has made is new, nobody else has it yet.
type likeStandard struct{ http.Handler }

// ServeHTTP implements http.Handler.
func (h likeStandard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Host != "" && r.URL.Path != "*" && isHost(r.Host) {
		r.URL.Scheme, r.URL.Host = "http", r.Host
		if r.TLS != nil {
			r.URL.Scheme = "https"
		}
	}
	c := &call{parent: r.Context(), params: make([]cgi.Field, 0, 16)}
	var addr, port string
	for name, value := range cgihttp.Params(r) {
		switch {
		case name == "REMOTE_ADDR":
			addr = value
		case name == "REMOTE_PORT":
			port = value
		case !used(name):
			c.params = append(c.params, cgi.Field{Name: name, Value: value})
		}
	}
	n, _ := strconv.Atoi(port)
	r.RemoteAddr = net.JoinHostPort(addr, strconv.Itoa(n))
	r.Close = true
	r.Trailer = http.Header{}
	if r.Body != http.NoBody {
		r.Body = body{r.Body}
	}
	defer c.end()
	h.Handler.ServeHTTP(w, r.WithContext(c))
}

// isHost reports whether all of what the client calls the host is one. With
// an "@" in it, say, it would mean another host in a URL (golang/go#81686).
func isHost(s string) bool {
	u, err := url.Parse("//" + s)
	return err == nil && u.Host == s
}

// A body is a request body whose errors can be compared with "==", as those of
// the standard package.
type body struct{ io.ReadCloser }

// Read implements io.Reader.
func (b body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == nil:
	case errors.Is(err, ErrRequestAborted):
		err = ErrRequestAborted
	case errors.Is(err, ErrConnClosed):
		err = ErrConnClosed
	}
	return n, err
}
