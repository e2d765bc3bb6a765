package cgi

import (
	"iter"
	"net/url"
	"strconv"
	"strings"
)

// Software is the SERVER_SOFTWARE that applications see.
const Software = "sluice"

// Params yields the meta-variables of r, in an order that does not change from
// run to run, each name once (RFC 3875 §4.1):
//
//   - CONTENT_LENGTH comes first, as SCGI asks; it is left out when there is
//     no body or its size is not known.
//   - A variable whose value is not known is left out, but for SCRIPT_NAME and
//     QUERY_STRING, which RFC 3875 wants in any case.
//   - Header fields become HTTP_* only if their name is made of letters,
//     digits and "-". Any other name would collide with one of those once it
//     is written as a variable ("X_Forwarded_For"). Proxy is never passed
//     (https://httpoxy.org), nor are hop-by-hop fields, nor what a variable
//     above already says.
//   - Fields of one name are joined with ", ", Cookie with "; ".
//   - Extra wins over a variable of the same name and comes last. Of two in
//     Extra with one name, the later counts.
//   - An authorizer is not told of the body or the script (FastCGI 1.0 §6.3);
//     a filter is told of the length and the time of its file (§6.4).
//
// If r.Received is not nil, it is yielded as it is.
func (r *Request) Params() iter.Seq2[string, string] {
	return func(yield func(name, value string) bool) {
		if r.Received != nil {
			eachField(r.Received, yield)
			return
		}
		if !r.variables(yield) || !r.headerParams(yield) {
			return
		}
		for i, f := range r.Extra {
			if !isIn(r.Extra[i+1:], f.Name) && !yield(f.Name, f.Value) {
				return
			}
		}
	}
}

func eachField(fields []Field, yield func(name, value string) bool) {
	for _, f := range fields {
		if !yield(f.Name, f.Value) {
			return
		}
	}
}

// variables yields all but HTTP_* and Extra.
func (r *Request) variables(yield func(name, value string) bool) bool {
	path, query, _ := strings.Cut(r.Target, "?")
	put := func(name, value string) bool {
		return r.isExtra(name) || yield(name, value)
	}
	opt := func(name, value string) bool {
		return value == "" || put(name, value)
	}
	s := &r.Script
	if r.Role != Authorizer {
		if r.Body != nil && r.ContentLength >= 0 && !put("CONTENT_LENGTH", strconv.FormatInt(r.ContentLength, 10)) {
			return false
		}
		scriptName := s.Name
		if scriptName == "" && s.PathInfo == "" && s.Filename == "" {
			scriptName = unescape(path)
		}
		if !put("SCRIPT_NAME", scriptName) || !opt("PATH_INFO", s.PathInfo) {
			return false
		}
		if s.PathInfo != "" && s.Root != "" && !put("PATH_TRANSLATED", s.Root+s.PathInfo) {
			return false
		}
	}
	if s.Filename != "" {
		// php-cgi refuses to run a file without REDIRECT_STATUS.
		if !put("SCRIPT_FILENAME", s.Filename) || !put("REDIRECT_STATUS", "200") {
			return false
		}
	}
	scheme, https := "http", ""
	if r.HTTPS {
		scheme, https = "https", "on"
	}
	if r.Role == Filter && r.Data != nil {
		var changed int64
		if !r.Data.ModTime.IsZero() {
			changed = r.Data.ModTime.Unix()
		}
		if !put("FCGI_DATA_LAST_MOD", strconv.FormatInt(changed, 10)) ||
			!put("FCGI_DATA_LENGTH", strconv.FormatInt(r.Data.Length, 10)) {
			return false
		}
	}
	return opt("DOCUMENT_ROOT", s.Root) &&
		put("GATEWAY_INTERFACE", "CGI/1.1") &&
		put("SERVER_SOFTWARE", Software) &&
		put("REQUEST_METHOD", r.Method) &&
		put("REQUEST_URI", r.Target) &&
		put("QUERY_STRING", query) &&
		put("SERVER_PROTOCOL", r.Proto) &&
		put("REQUEST_SCHEME", scheme) &&
		opt("HTTPS", https) &&
		put("SERVER_NAME", r.serverName()) &&
		opt("SERVER_ADDR", r.ServerAddr) &&
		opt("SERVER_PORT", r.ServerPort) &&
		opt("REMOTE_ADDR", r.RemoteAddr) &&
		opt("REMOTE_PORT", r.RemotePort) &&
		opt("AUTH_TYPE", r.AuthType) &&
		opt("REMOTE_USER", r.RemoteUser) &&
		opt("CONTENT_TYPE", r.Header.Get("Content-Type")) &&
		opt("HTTP_HOST", r.Host)
}

// unescape decodes a path; one that cannot be decoded stays as it is.
func unescape(path string) string {
	if decoded, err := url.PathUnescape(path); err == nil {
		return decoded
	}
	return path
}

// serverName is the host without a port: RFC 3875 §4.1.14 has no port there,
// and applications that build URLs from SERVER_NAME and SERVER_PORT would say
// it twice. An IPv6 address stands in brackets.
func (r *Request) serverName() string {
	host := r.Host
	if i := strings.LastIndexByte(host, ':'); i >= 0 && strings.IndexByte(host[i:], ']') < 0 {
		host = host[:i]
	}
	switch {
	case host != "":
		return host
	case strings.Contains(r.ServerAddr, ":"):
		return "[" + r.ServerAddr + "]"
	}
	return r.ServerAddr
}

// headerParams yields the header fields as HTTP_*.
func (r *Request) headerParams(yield func(name, value string) bool) bool {
	for i, f := range r.Header {
		if !passes(f.Name) || r.seenBefore(i) {
			continue
		}
		name := paramName(f.Name)
		if r.isExtra(name) {
			continue
		}
		if !yield(name, r.joined(i)) {
			return false
		}
	}
	return true
}

// passes reports whether a request header field may become a param.
func passes(name string) bool {
	if name == "" || HopByHop(name) {
		return false
	}
	for i := range len(name) {
		if !isAlnum(name[i]) && name[i] != '-' {
			return false
		}
	}
	switch len(name) {
	case 4:
		return !strings.EqualFold(name, "Host")
	case 5:
		return !strings.EqualFold(name, "Proxy")
	case 12:
		return !strings.EqualFold(name, "Content-Type")
	case 14:
		return !strings.EqualFold(name, "Content-Length")
	}
	return true
}

func (r *Request) seenBefore(i int) bool {
	name := r.Header[i].Name
	for _, f := range r.Header[:i] {
		if len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			return true
		}
	}
	return false
}

// joined returns the value of field i with those of later fields of the same
// name (RFC 3875 §4.1.18). "; " is the separator inside a Cookie
// (RFC 6265 §4.2.1, RFC 9113 §8.2.3).
func (r *Request) joined(i int) string {
	name, value := r.Header[i].Name, r.Header[i].Value
	sep := ", "
	if strings.EqualFold(name, "Cookie") {
		sep = "; "
	}
	for _, f := range r.Header[i+1:] {
		if len(f.Name) == len(name) && strings.EqualFold(f.Name, name) {
			value += sep + f.Value
		}
	}
	return value
}

func (r *Request) isExtra(name string) bool { return isIn(r.Extra, name) }

func isIn(fields []Field, name string) bool {
	for _, f := range fields {
		if f.Name == name {
			return true
		}
	}
	return false
}

// paramName turns "User-Agent" into "HTTP_USER_AGENT". The names that browsers
// send are looked up, because making one is an allocation.
func paramName(field string) string {
	if name, ok := commonParams[field]; ok {
		return name
	}
	b := make([]byte, 0, len("HTTP_")+len(field))
	b = append(b, "HTTP_"...)
	for i := range len(field) {
		b = append(b, upper(field[i]))
	}
	return string(b)
}

func upper(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z':
		return c - 'a' + 'A'
	case c == '-':
		return '_'
	}
	return c
}

var commonParams = func() map[string]string {
	m := make(map[string]string)
	for _, name := range []string{
		"Accept", "Accept-Encoding", "Accept-Language", "Authorization", "Cache-Control", "Cookie", "Dnt", "From",
		"Forwarded", "If-Match", "If-Modified-Since", "If-None-Match", "If-Range", "Origin", "Pragma", "Priority",
		"Range", "Referer", "Sec-Ch-Ua", "Sec-Ch-Ua-Mobile", "Sec-Ch-Ua-Platform", "Sec-Fetch-Dest", "Sec-Fetch-Mode",
		"Sec-Fetch-Site", "Sec-Fetch-User", "Upgrade-Insecure-Requests", "User-Agent", "Via", "X-Forwarded-For",
		"X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-Ip", "X-Request-Id", "X-Requested-With",
	} {
		m[name] = "HTTP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
	}
	return m
}()
