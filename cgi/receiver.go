package cgi

import "strings"

// A Receiver makes requests out of the params that come over one connection.
// Web servers send nearly the same ones again and again; a string that has not
// changed since the request before is used again instead of being made anew,
// so a request that is like the one before costs no memory.
//
// For each request, Start is called, Param for each param in order, and End.
// The zero Receiver is ready to use. It is not safe for concurrent use.
type Receiver struct {
	reading reading
	last    []known // of the request before, or of this one up to next
	next    int     // where in last the next param is expected
	gone    []known // those of last that have given way
	found   int     // how many of gone have been passed
	size    int     // bytes of the strings of this request
	chunk   strings.Builder
}

// known is a param that has been seen.
type known struct {
	Field
	meaning meaning
}

const (
	// maxKnown and maxKnownParams bound what a connection that may be idle
	// remembers, in bytes and in params.
	maxKnown       = 16 << 10
	maxKnownParams = 100

	// usualParams is how many params most requests have, at the most.
	usualParams = 32

	// chunkSize is how many bytes of short values share one allocation.
	chunkSize = 1 << 10
)

// Start begins with an empty request of r's role. The slices of r are used
// again, so r must not be in use any more.
func (v *Receiver) Start(r *Request) {
	if r.Received == nil {
		r.Received, r.Header = make([]Field, 0, usualParams), make(Header, 0, usualParams/2)
	}
	if v.last == nil {
		v.last = make([]known, 0, usualParams)
	}
	v.reading.start(r)
	v.gone = v.gone[:0]
	v.next, v.found, v.size = 0, 0, 0
}

// Param takes one param. It keeps neither name nor value. The error wraps
// ErrMalformed.
func (v *Receiver) Param(name, value []byte) error {
	k := v.find(name)
	if k.Value != string(value) {
		k.Value = v.string(value)
	}
	v.size += len(name) + len(value)
	r := v.reading.r
	r.Received = append(r.Received, k.Field)
	return v.reading.param(k.Value, k.meaning)
}

// find returns the place of a param in last, with what is known of it.
func (v *Receiver) find(name []byte) *known {
	if v.next < len(v.last) && v.last[v.next].Name != string(name) {
		// From here on the two requests differ: a field more, or one less.
		v.gone = append(v.gone, v.last[v.next:]...)
		clear(v.last[v.next:])
		v.last = v.last[:v.next]
	}
	if v.next == len(v.last) {
		v.last = append(v.last, v.take(name))
	}
	v.next++
	return &v.last[v.next-1]
}

// take returns what is known of a name.
func (v *Receiver) take(name []byte) known {
	for i, k := range v.gone[v.found:] {
		if k.Name == string(name) {
			v.found += i + 1
			return k
		}
	}
	if k, ok := commonNames[string(name)]; ok {
		return k
	}
	k := known{Field: Field{Name: string(name)}}
	k.meaning = meaningOf(k.Name)
	return k
}

// commonNames holds the names that need not be made.
var commonNames = func() map[string]known {
	m := make(map[string]known)
	for name, meaning := range meanings {
		m[name] = known{Field{Name: name}, meaning}
	}
	for _, name := range commonParams {
		m[name] = known{Field{Name: name}, meaningOf(name)}
	}
	for _, name := range []string{"GATEWAY_INTERFACE", "SERVER_SOFTWARE", "SERVER_NAME", "PATH_TRANSLATED", "DOCUMENT_URI", "REDIRECT_STATUS"} {
		m[name] = known{Field: Field{Name: name}}
	}
	return m
}()

// string returns b as a string, which is cut off a larger one if it is short.
func (v *Receiver) string(b []byte) string {
	if len(b) > chunkSize/4 {
		return string(b)
	}
	if v.chunk.Cap()-v.chunk.Len() < len(b) {
		v.chunk.Reset()
		v.chunk.Grow(chunkSize)
	}
	start := v.chunk.Len()
	v.chunk.Write(b)
	return v.chunk.String()[start:]
}

// End completes the request. The errors are those of [FromParams].
func (v *Receiver) End() error {
	clear(v.last[v.next:])
	v.last = v.last[:v.next]
	clear(v.gone)
	if v.size > maxKnown || len(v.last) > maxKnownParams {
		v.last, v.gone = nil, nil
	}
	x := v.reading
	v.reading = reading{}
	return x.end()
}
