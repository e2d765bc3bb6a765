package cgi

import (
	"strings"
	"time"
)

// A Request is a CGI/1.1 request as a value.
//
// A front end fills the fields and leaves Received nil; the meta-variables are
// then computed by Params. On the application's side [FromParams] fills both.
// A Request belongs to one goroutine at a time; its strings may be kept, its
// slices may not: see [Handler].
type Request struct {
	// Role is what the application is asked to be. Zero means Responder.
	Role Role

	// Method is the request method, as received: it is case-sensitive.
	Method string

	// Target is the request target in origin form, path and query as the
	// client sent them, still percent-encoded ("/a%20b?x=1"). Sent as
	// REQUEST_URI.
	Target string

	// Proto is the protocol the client spoke, for example "HTTP/1.1".
	Proto string

	// Host is the authority the client asked for, with its port if it named
	// one. It wins over a field named Host.
	Host string

	// HTTPS tells that the client's connection is encrypted.
	HTTPS bool

	// Header holds the header fields in the order received. Fields that
	// must not reach an application may be left in: Params drops them.
	Header Header

	RemoteAddr string // IP address of the client, without brackets
	RemotePort string
	ServerAddr string // IP address the client connected to, without brackets
	ServerPort string // port the client connected to

	// AuthType and RemoteUser are set when the gateway itself, or an
	// authorizer, has identified the user (RFC 3875 §4.1.1, §4.1.11).
	AuthType, RemoteUser string

	// Script says what the target means on this server.
	Script Script

	// Extra holds params that the configuration or an authorizer adds. They
	// win over every other param of the same name.
	Extra []Field

	// Received holds the params as they came over the wire, in order, on the
	// application's side. If it is not nil, Params yields it unchanged.
	Received []Field

	// Body is the request body; nil if there is none.
	Body Body

	// ContentLength is the size of Body in bytes, or -1 if it is not known.
	// It is not used when Body is nil.
	ContentLength int64

	// Data is the file that a [Filter] answers a changed copy of; nil in the
	// other roles.
	Data *Data

	// Informational, if not nil, is called for each interim response (1xx)
	// before the response itself. The header may be kept.
	Informational func(status int, h Header)
}

// A Role is what an application is asked to be (FastCGI 1.0 §6).
type Role uint8

// The three roles. CGI and SCGI know only the first.
const (
	Responder  Role = iota // answers the request
	Authorizer             // says whether the request may go on
	Filter                 // answers with a changed copy of a file
)

func (r Role) String() string {
	switch r {
	case Responder:
		return "responder"
	case Authorizer:
		return "authorizer"
	case Filter:
		return "filter"
	}
	return "unknown role"
}

// Data is a file for a filter (FastCGI 1.0 §6.4).
type Data struct {
	Body    Body
	Length  int64     // in bytes; FCGI_DATA_LENGTH
	ModTime time.Time // when it was changed last, in whole seconds; FCGI_DATA_LAST_MOD, 0 if not known
}

// A Script says what part of a request's path names a program or a file, and
// what is left for it (RFC 3875 §4.1.5, §4.1.13).
type Script struct {
	Root     string // document root in the application's file system; DOCUMENT_ROOT
	Filename string // the file in the application's file system; SCRIPT_FILENAME
	Name     string // the URL path that leads to the script, decoded; SCRIPT_NAME
	PathInfo string // the rest of the path, decoded; PATH_INFO, left out when empty
}

// Path returns the undecoded path of the target, without the query.
func (r *Request) Path() string {
	path, _, _ := strings.Cut(r.Target, "?")
	return path
}

// Query returns the undecoded query of the target, without the "?".
func (r *Request) Query() string {
	_, query, _ := strings.Cut(r.Target, "?")
	return query
}

// Param returns one meta-variable, and whether the request has it. On the
// application's side it looks at what was received.
func (r *Request) Param(name string) (value string, ok bool) {
	for n, v := range r.Params() {
		if n == name {
			return v, true
		}
	}
	return "", false
}

// Idempotent reports whether asking twice is as good as asking once
// (RFC 9110 §9.2.2), so that a request which may have been served can be sent
// again.
func (r *Request) Idempotent() bool {
	switch r.Method {
	case "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE":
		return true
	}
	return false
}
