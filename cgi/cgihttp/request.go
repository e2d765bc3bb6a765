package cgihttp

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/cgi"
)

// Params yields the params of the CGI request that an [Application] made r of:
// all of them, in the order they came, as they came. For any other request it
// yields nothing.
func Params(r *http.Request) iter.Seq2[string, string] {
	if c, ok := r.Context().Value(contextKey{}).(*requestContext); ok {
		return c.r.Params()
	}
	return func(func(name, value string) bool) {}
}

// Param returns one of [Params], and whether the request has it. Of several
// with the same name it returns the first.
func Param(r *http.Request, name string) (value string, ok bool) {
	for n, v := range Params(r) {
		if n == name {
			return v, true
		}
	}
	return "", false
}

// Stderr returns the stream for messages to the web server's log, see
// cgi.Stderr. It must not be used after the handler has returned.
func Stderr(r *http.Request) io.Writer {
	if c, ok := r.Context().Value(contextKey{}).(*requestContext); ok {
		return cgi.Stderr(c.w)
	}
	return io.Discard
}

// A requestContext is the context of a request that an Application made.
type requestContext struct {
	context.Context
	w cgi.ResponseWriter
	r *cgi.Request
}

type contextKey struct{}

// Value implements context.Context.
func (c *requestContext) Value(key any) any {
	if key == (contextKey{}) {
		return c
	}
	return c.Context.Value(key)
}

// newRequest makes an http.Request, and tells the response of it. Handlers
// keep requests and parts of them, so all of it is new.
func (x *call) newRequest(r *cgi.Request) (*http.Request, error) {
	u, err := parseTarget(r.Target)
	if err != nil {
		return nil, err
	}
	hr := http.Request{
		Method:     r.Method,
		URL:        u,
		Proto:      r.Proto,
		Header:     headerOf(r.Header),
		Body:       http.NoBody,
		Host:       r.Host,
		RequestURI: r.Target,
		RemoteAddr: remoteAddr(r),
	}
	hr.ProtoMajor, hr.ProtoMinor = version(r.Proto)
	if r.HTTPS {
		hr.TLS = &tls.ConnectionState{HandshakeComplete: true}
	}
	if r.Body != nil && r.ContentLength != 0 {
		x.body.src, x.body.left = r.Body, r.ContentLength
		x.response.body = &x.body
		hr.Body, hr.ContentLength = &x.body, max(r.ContentLength, -1)
		if r.ContentLength > 0 && hr.Header["Content-Length"] == nil {
			hr.Header["Content-Length"] = []string{strconv.FormatInt(r.ContentLength, 10)}
		}
	}
	x.response.head = hr.Method == http.MethodHead
	return hr.WithContext(&x.ctx), nil
}

// parseTarget reads a target in origin form, or "*".
func parseTarget(target string) (*url.URL, error) {
	if !strings.HasPrefix(target, "/") && target != "*" {
		return nil, fmt.Errorf("cgihttp: parse request: %.60q is not a path", target)
	}
	u, err := url.ParseRequestURI(target)
	if err != nil {
		return nil, fmt.Errorf("cgihttp: parse request: %w", err)
	}
	return u, nil
}

// headerOf makes the header map: all fields but Host, as in net/http.
func headerOf(fields cgi.Header) http.Header {
	h := make(http.Header, len(fields))
	addFields(h, fields, func(name string) bool { return strings.EqualFold(name, "Host") })
	return h
}

// remoteAddr has the form of net/http's: host:port. A port that is not known
// is 0; an address that is not known is "", as for a unix socket's peer.
func remoteAddr(r *cgi.Request) string {
	if r.RemoteAddr == "" {
		return ""
	}
	port := r.RemotePort
	if port == "" {
		port = "0"
	}
	return net.JoinHostPort(r.RemoteAddr, port)
}

// version reads SERVER_PROTOCOL. Some servers write "HTTP/2", and server-side
// includes are told "INCLUDED" (RFC 3875 §4.1.16); whatever is not known is
// taken for 1.0, which promises least.
func version(proto string) (major, minor int) {
	if major, minor, ok := http.ParseHTTPVersion(proto); ok {
		return major, minor
	}
	if n, ok := strings.CutPrefix(proto, "HTTP/"); ok && len(n) == 1 && '1' <= n[0] && n[0] <= '9' {
		return int(n[0] - '0'), 0
	}
	return 1, 0
}
