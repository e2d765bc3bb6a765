package cgi

import (
	"fmt"
	"strconv"
	"strings"
)

// FromParams makes the request that an application received out of its
// meta-variables: the inverse of [Request.Params]. The request keeps params,
// which must not be changed afterwards; Body is left nil and ContentLength is
// CONTENT_LENGTH, or -1 if that is missing.
//
// REQUEST_URI may be missing (RFC 3875 does not know it) or lack the query
// (golang/go#54961): the target is then put together from SCRIPT_NAME,
// PATH_INFO and QUERY_STRING. Of the HTTP_* those become header fields that
// Params makes: nginx sends HTTP_CONTENT_LENGTH and HTTP_PROXY as well. A wrong
// CONTENT_LENGTH or a missing REQUEST_METHOD is an error that wraps
// ErrMalformed.
func FromParams(params []Field) (*Request, error) {
	r := &Request{Received: params, ContentLength: -1}
	if r.Received == nil {
		r.Received = []Field{}
	}
	r.Header = make(Header, 0, len(params))
	var query, scheme string
	for _, p := range params {
		if to := r.field(p.Name); to != nil {
			*to = p.Value
			continue
		}
		switch p.Name {
		case "QUERY_STRING":
			query = p.Value
		case "HTTPS":
			r.HTTPS = r.HTTPS || strings.EqualFold(p.Value, "on") || p.Value == "1"
		case "REQUEST_SCHEME":
			scheme = p.Value
		case "CONTENT_TYPE":
			if p.Value != "" {
				r.Header = append(r.Header, Field{"Content-Type", p.Value})
			}
		case "CONTENT_LENGTH":
			n, err := contentLength(p.Value)
			if err != nil {
				return nil, err
			}
			r.ContentLength = n
		default:
			if name, ok := fieldName(p.Name); ok && passes(name) {
				r.Header = append(r.Header, Field{name, p.Value})
			}
		}
	}
	if r.Method == "" {
		return nil, fmt.Errorf("%w: no REQUEST_METHOD", ErrMalformed)
	}
	r.HTTPS = r.HTTPS || strings.EqualFold(scheme, "https")
	r.Target = target(r.Target, &r.Script, query)
	return r, nil
}

// field returns where a param goes as it is; nil if it does not.
func (r *Request) field(param string) *string {
	switch param {
	case "REQUEST_METHOD":
		return &r.Method
	case "REQUEST_URI":
		return &r.Target
	case "SERVER_PROTOCOL":
		return &r.Proto
	case "HTTP_HOST":
		return &r.Host
	case "REMOTE_ADDR":
		return &r.RemoteAddr
	case "REMOTE_PORT":
		return &r.RemotePort
	case "SERVER_ADDR":
		return &r.ServerAddr
	case "SERVER_PORT":
		return &r.ServerPort
	case "AUTH_TYPE":
		return &r.AuthType
	case "REMOTE_USER":
		return &r.RemoteUser
	case "DOCUMENT_ROOT":
		return &r.Script.Root
	case "SCRIPT_FILENAME":
		return &r.Script.Filename
	case "SCRIPT_NAME":
		return &r.Script.Name
	case "PATH_INFO":
		return &r.Script.PathInfo
	}
	return nil
}

// contentLength reads CONTENT_LENGTH, which nginx sends empty when there is no
// body.
func contentLength(s string) (int64, error) {
	if s == "" {
		return -1, nil
	}
	n, ok := parseLength(s)
	if !ok {
		return 0, fmt.Errorf("%w: CONTENT_LENGTH %.40q is not a number", ErrMalformed, s)
	}
	return n, nil
}

// parseLength reads 1*DIGIT, without sign and space, that fits an int64.
func parseLength(s string) (int64, bool) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

// target returns the origin-form target. Apache and H2O pass an absolute
// REQUEST_URI when the client sent one.
func target(uri string, s *Script, query string) string {
	if !strings.HasPrefix(uri, "/") {
		if _, rest, ok := strings.Cut(uri, "://"); ok {
			uri = "/"
			if i := strings.IndexAny(rest, "/?"); i >= 0 {
				uri += strings.TrimPrefix(rest[i:], "/")
			}
		}
	}
	if uri == "" {
		uri = escapePath(s.Name + s.PathInfo)
	}
	if uri == "" {
		uri = "/"
	}
	if query != "" && !strings.Contains(uri, "?") {
		uri += "?" + query
	}
	return uri
}

// escapePath encodes what may not stand in the path of a target (RFC 3986
// §3.3).
func escapePath(path string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(path) {
		c := path[i]
		if isAlnum(c) || strings.IndexByte("/-._~!$&'()*+,;=:@", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', hex[c>>4], hex[c&15]})
	}
	return b.String()
}

// fieldName turns "HTTP_USER_AGENT" into "User-Agent".
func fieldName(param string) (string, bool) {
	rest, ok := strings.CutPrefix(param, "HTTP_")
	if !ok || rest == "" {
		return "", false
	}
	if name, ok := commonFields[param]; ok {
		return name, true
	}
	b := []byte(rest)
	start := true
	for i, c := range b {
		switch {
		case c == '_':
			b[i] = '-'
		case !start && 'A' <= c && c <= 'Z':
			b[i] = c - 'A' + 'a'
		}
		start = c == '_'
	}
	return string(b), true
}

var commonFields = func() map[string]string {
	m := make(map[string]string, len(commonParams))
	for field, param := range commonParams {
		m[param] = field
	}
	return m
}()
