package cgihttp

import (
	"crypto/tls"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/cgi"
)

// newRequest makes the http.Request, and tells the response of it.
func (x *call) newRequest() (*http.Request, error) {
	r := x.r
	if err := parseTarget(&x.url, r.Target); err != nil {
		return nil, err
	}
	hr := http.Request{
		Method:     r.Method,
		URL:        &x.url,
		Proto:      r.Proto,
		Header:     headerOf(r.Header, x.values[:]),
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
	// There is no other way to set the context. Both copies are cheaper than
	// memory of its own.
	x.request = *hr.WithContext((*requestContext)(x))
	return &x.request, nil
}

// headerOf makes the header map: all fields but Host, as in net/http. room is
// for the values; if it is too small, there will be more.
func headerOf(fields cgi.Header, room []string) http.Header {
	h := make(http.Header, len(fields))
	addFields(h, fields, room, isHost)
	return h
}

func isHost(name string) bool { return len(name) == 4 && strings.EqualFold(name, "Host") }

// remoteAddr has the form of net/http's: host:port. A port that is not known
// is 0; an address that is not known is "", as for a unix socket's peer.
func remoteAddr(r *cgi.Request) string {
	if r.RemoteAddr == "" {
		return ""
	}
	port := r.RemotePort
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
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
