package cgihttp

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/cgi"
)

// fill sets all of r but the body. If it returns a status, the request must be
// refused with it.
func (f *FrontEnd) fill(r *cgi.Request, hr *http.Request) (status int) {
	r.Method, r.Proto, r.Host, r.HTTPS = hr.Method, hr.Proto, hr.Host, hr.TLS != nil
	r.RemoteAddr, r.RemotePort = splitHostPort(hr.RemoteAddr)
	r.ServerAddr, r.ServerPort = f.serverAddr(hr.Context())
	uri := hr.RequestURI
	if uri == "" {
		uri = hr.URL.RequestURI() // not from a server: a test, or a handler that calls another
	}
	maxBytes := orDefault(f.MaxHeaderBytes, DefaultMaxHeaderBytes)
	if len(uri) > maxBytes {
		r.Target = uri[:min(len(uri), shownTarget)]
		return http.StatusRequestURITooLong
	}
	target, ok := originForm(uri)
	if !ok || hr.Method == http.MethodConnect {
		r.Target = uri
		return http.StatusNotImplemented
	}
	r.Target = target
	fields, bytes := 0, len(hr.Method)+len(uri)+len(hr.Proto)+len(hr.Host)
	for name, values := range hr.Header {
		fields += len(values)
		for _, v := range values {
			bytes += len(name) + len(v) + len(": \r\n")
		}
	}
	if bytes > maxBytes || fields > orDefault(f.MaxFields, DefaultMaxFields) {
		return http.StatusRequestHeaderFieldsTooLarge
	}
	r.Header = fieldsOf(hr.Header, make(cgi.Header, 0, fields))
	return 0
}

// originForm returns the path and query of a request target; "*" stays as it
// is (RFC 9112 §3.2). The authority of the absolute form is in the request's
// Host already.
func originForm(uri string) (string, bool) {
	if uri[0] == '/' || uri == "*" {
		return uri, true
	}
	_, rest, ok := strings.Cut(uri, "://")
	if !ok {
		return "", false
	}
	i := strings.IndexAny(rest, "/?")
	switch {
	case i < 0:
		return "/", true
	case rest[i] == '?':
		return "/" + rest[i:], true
	}
	return rest[i:], true
}

// splitHostPort is net.SplitHostPort for addresses that may have no port,
// such as those of unix sockets, which then have no host that CGI knows.
func splitHostPort(addr string) (host, port string) {
	if strings.IndexByte(addr, ':') < 0 {
		return "", ""
	}
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return "", ""
	}
	return host, port
}

// A localAddr is an address we listen on, in the two strings that CGI wants.
type localAddr struct {
	addr       netip.AddrPort
	host, port string
}

// serverAddr returns the address that the client connected to. A server has
// few of those, so the strings of the last one are kept.
func (f *FrontEnd) serverAddr(ctx context.Context) (host, port string) {
	switch a := ctx.Value(http.LocalAddrContextKey).(type) {
	case *net.TCPAddr:
		addr := a.AddrPort()
		if l := f.local.Load(); l != nil && l.addr == addr {
			return l.host, l.port
		}
		l := &localAddr{addr, addr.Addr().Unmap().String(), strconv.Itoa(int(addr.Port()))}
		f.local.Store(l)
		return l.host, l.port
	case net.Addr:
		return splitHostPort(a.String())
	}
	return "", ""
}
