package cgihttp

import (
	"io"
	"iter"
	"net/http"
	"slices"

	"github.com/sluice-gateway/sluice/cgi"
)

// Params yields the params of the CGI request that an [Application] made r of:
// all of them, in the order they came, as they came. For any other request it
// yields nothing.
//
// The params belong to the server and are copied by the first call. After the
// handler has returned a call yields them if there has been one before, and
// otherwise nothing. It may be called concurrently.
func Params(r *http.Request) iter.Seq2[string, string] {
	var params []cgi.Field
	if x := callOf(r.Context()); x != nil {
		params = x.copyParams()
	}
	return func(yield func(name, value string) bool) {
		for _, p := range params {
			if !yield(p.Name, p.Value) {
				return
			}
		}
	}
}

// Param returns one of [Params], and whether the request has it. Of several
// with the same name it returns the first. It copies nothing, but for a
// handler that has returned the same holds as for Params.
func Param(r *http.Request, name string) (value string, ok bool) {
	x := callOf(r.Context())
	if x == nil {
		return "", false
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.over {
		return x.r.Param(name)
	}
	for _, p := range x.params {
		if p.Name == name {
			return p.Value, true
		}
	}
	return "", false
}

func (x *call) copyParams() []cgi.Field {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.params != nil || x.over:
	case x.r.Received != nil:
		x.params = slices.Clone(x.r.Received)
	default:
		for name, value := range x.r.Params() {
			x.params = append(x.params, cgi.Field{Name: name, Value: value})
		}
	}
	return x.params
}

// Stderr returns the stream for messages to the web server's log, see
// cgi.Stderr. Each Write is one message. It may be used by several goroutines
// at the same time; after the handler has returned Write is an error. For a
// request that no [Application] made it is io.Discard.
func Stderr(r *http.Request) io.Writer {
	if x := callOf(r.Context()); x != nil {
		return (*stderr)(x)
	}
	return io.Discard
}

// A stderr is the server's log as a call sees it.
type stderr call

// Write implements io.Writer.
func (s *stderr) Write(p []byte) (int, error) {
	if !s.gate.enter() {
		return 0, errEnded
	}
	defer s.gate.leave()
	s.stderr.Lock()
	defer s.stderr.Unlock()
	return cgi.Stderr(s.w).Write(p)
}
