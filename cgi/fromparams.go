package cgi

import (
	"fmt"
	"strconv"
	"strings"
	"time"
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
	r := &Request{Header: make(Header, 0, len(params))}
	var x reading
	x.start(r)
	for _, p := range params {
		if err := x.param(p.Value, meaningOf(p.Name)); err != nil {
			return nil, err
		}
	}
	if r.Received = params; params == nil {
		r.Received = []Field{}
	}
	return r, x.end()
}

// A reading is a request at the time when its params are read.
type reading struct {
	r      *Request
	query  string
	scheme string
}

// start begins with an empty request. Its slices are used again.
func (x *reading) start(r *Request) {
	*x = reading{r: r}
	*r = Request{Role: r.Role, Header: r.Header[:0], Received: r.Received[:0], ContentLength: -1}
}

// A meaning says what a param is.
type meaning struct {
	is   param
	name string // of the header field
}

type param uint8

const (
	other param = iota // kept in Received only
	method
	target
	proto
	host
	remoteAddr
	remotePort
	serverAddr
	serverPort
	authType
	remoteUser
	root
	filename
	scriptName
	pathInfo
	query
	https
	scheme
	contentType
	length
	dataLength
	dataTime
	headerField
)

// meaningOf is the one place that knows what the names of params mean.
func meaningOf(name string) meaning {
	if m, ok := meanings[name]; ok {
		return m
	}
	if field, ok := fieldName(name); ok && passes(field) {
		return meaning{headerField, field}
	}
	return meaning{}
}

var meanings = map[string]meaning{
	"REQUEST_METHOD": {is: method}, "REQUEST_URI": {is: target}, "SERVER_PROTOCOL": {is: proto}, "HTTP_HOST": {is: host},
	"REMOTE_ADDR": {is: remoteAddr}, "REMOTE_PORT": {is: remotePort}, "SERVER_ADDR": {is: serverAddr}, "SERVER_PORT": {is: serverPort},
	"AUTH_TYPE": {is: authType}, "REMOTE_USER": {is: remoteUser}, "DOCUMENT_ROOT": {is: root}, "SCRIPT_FILENAME": {is: filename},
	"SCRIPT_NAME": {is: scriptName}, "PATH_INFO": {is: pathInfo}, "QUERY_STRING": {is: query}, "HTTPS": {is: https},
	"REQUEST_SCHEME": {is: scheme}, "CONTENT_TYPE": {is: contentType}, "CONTENT_LENGTH": {is: length},
	"FCGI_DATA_LENGTH": {is: dataLength}, "FCGI_DATA_LAST_MOD": {is: dataTime},
}

// param takes one param.
func (x *reading) param(value string, m meaning) (err error) {
	r := x.r
	switch m.is {
	case method:
		r.Method = value
	case target:
		r.Target = value
	case proto:
		r.Proto = value
	case host:
		r.Host = value
	case remoteAddr:
		r.RemoteAddr = value
	case remotePort:
		r.RemotePort = value
	case serverAddr:
		r.ServerAddr = value
	case serverPort:
		r.ServerPort = value
	case authType:
		r.AuthType = value
	case remoteUser:
		r.RemoteUser = value
	case root:
		r.Script.Root = value
	case filename:
		r.Script.Filename = value
	case scriptName:
		r.Script.Name = value
	case pathInfo:
		r.Script.PathInfo = value
	case query:
		x.query = value
	case https:
		r.HTTPS = r.HTTPS || strings.EqualFold(value, "on") || value == "1"
	case scheme:
		x.scheme = value
	case contentType:
		if value != "" {
			r.Header = append(r.Header, Field{"Content-Type", value})
		}
	case length:
		r.ContentLength, err = contentLength(value)
	case headerField:
		r.Header = append(r.Header, Field{m.name, value})
	case dataLength, dataTime:
		err = x.data(m.is, value)
	}
	return err
}

// data takes what a filter is told of its file.
func (x *reading) data(is param, value string) error {
	if x.r.Role != Filter {
		return nil
	}
	n, ok := parseLength(value)
	if !ok {
		return fmt.Errorf("%w: FCGI_DATA_LENGTH or FCGI_DATA_LAST_MOD %.40q is not a number", ErrMalformed, value)
	}
	if x.r.Data == nil {
		x.r.Data = &Data{Length: -1}
	}
	if is == dataLength {
		x.r.Data.Length = n
	} else {
		x.r.Data.ModTime = time.Unix(n, 0)
	}
	return nil
}

// end makes of the params what takes more than one of them.
func (x *reading) end() error {
	r := x.r
	switch {
	case r.Method == "":
		return fmt.Errorf("%w: no REQUEST_METHOD", ErrMalformed)
	case r.Role == Filter && (r.Data == nil || r.Data.Length < 0):
		return fmt.Errorf("%w: a filter without FCGI_DATA_LENGTH", ErrMalformed) // FastCGI 1.0 §6.4
	}
	r.HTTPS = r.HTTPS || strings.EqualFold(x.scheme, "https")
	r.Target = targetOf(r.Target, &r.Script, x.query)
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

// targetOf returns the origin-form target. Apache and H2O pass an absolute
// REQUEST_URI when the client sent one.
func targetOf(uri string, s *Script, query string) string {
	if !strings.HasPrefix(uri, "/") {
		if _, rest, ok := strings.Cut(uri, "://"); ok {
			uri = "/"
			if i := strings.IndexAny(rest, "/?"); i >= 0 {
				uri += strings.TrimPrefix(rest[i:], "/")
			}
		}
	}
	if uri == "" {
		uri = "/" + strings.TrimPrefix(escapePath(s.Name+s.PathInfo), "/")
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
