package scgi

import (
	"fmt"
	"iter"
	"strconv"
	"strings"
)

// The two headers that a request cannot be without.
const (
	lengthName  = "CONTENT_LENGTH"
	versionName = "SCGI"
	version     = "1"
)

// AppendHeaders appends the headers of a request, as a netstring, to dst and
// returns the longer slice: CONTENT_LENGTH, SCGI, and then params in their
// order. length is the size of the body that will follow, 0 without one;
// because it is what delimits the request, it wins over a CONTENT_LENGTH in
// params, as "1" wins over an SCGI there.
//
// If length is negative, which is to say not known, the error is
// ErrLengthRequired. An empty name, a NUL anywhere, and a name that comes
// twice are errors that wrap ErrMalformed; more than max bytes within the
// netstring (0: no bound) are one that wraps ErrTooLong. On an error dst is
// returned as it came.
func AppendHeaders(dst []byte, length int64, params iter.Seq2[string, string], max int) ([]byte, error) {
	var e encoder
	return e.encode(dst, length, params, max, e.add)
}

// An encoder is AppendHeaders at work. It is a type, and the loop is not a
// range over the sequence, so that a client can keep one together with its
// method value: that is what makes the encoding free of allocations.
type encoder struct {
	dst   []byte
	start int // of the content in dst
	max   int
	names []string            // so far, as long as they are few
	seen  map[string]struct{} // instead of names
	err   error
}

// fewNames is how many names are compared one by one.
const fewNames = 64

// lengthSpace is room for the length of a netstring and its colon.
const lengthSpace = len("9223372036854775807:")

func (e *encoder) encode(dst []byte, length int64, params iter.Seq2[string, string], max int, add func(name, value string) bool) ([]byte, error) {
	if length < 0 {
		return dst, ErrLengthRequired
	}
	before := len(dst)
	e.start, e.max, e.err = before+lengthSpace, max, nil
	var space [lengthSpace]byte
	dst = append(dst, space[:]...)
	dst = append(dst, lengthName...)
	dst = append(dst, 0)
	dst = strconv.AppendInt(dst, length, 10)
	dst = append(dst, "\x00"+versionName+"\x00"+version+"\x00"...)
	e.dst = dst
	if e.fits() {
		params(add)
	}
	dst = e.dst
	e.dst, e.seen = nil, nil
	clear(e.names)
	e.names = e.names[:0]
	if e.err != nil {
		return dst[:before], e.err
	}
	return closeNetstring(dst, before, e.start), nil
}

// closeNetstring writes the length of the content that goes from start to the
// end of dst to where the netstring begins, moves the content up to it, and
// appends the comma.
func closeNetstring(dst []byte, begin, start int) []byte {
	content := dst[start:]
	prefix := strconv.AppendInt(dst[:begin], int64(len(content)), 10)
	prefix = append(prefix, ':')
	return append(append(prefix, content...), ',')
}

// add appends one param and reports whether more may follow.
func (e *encoder) add(name, value string) bool {
	switch {
	case name == lengthName || name == versionName:
		return true
	case name == "":
		e.err = malformed("a param without a name")
	case strings.IndexByte(name, 0) >= 0 || strings.IndexByte(value, 0) >= 0:
		e.err = malformed("a NUL in the param %.40q", name)
	case e.isTwice(name):
		e.err = malformed("the param %.40q comes twice", name)
	}
	if e.err != nil {
		return false
	}
	e.dst = append(e.dst, name...)
	e.dst = append(e.dst, 0)
	e.dst = append(e.dst, value...)
	e.dst = append(e.dst, 0)
	return e.fits()
}

// fits reports whether the content is not too long.
func (e *encoder) fits() bool {
	if e.max > 0 && len(e.dst)-e.start > e.max {
		e.err = fmt.Errorf("%w: more than %d bytes", ErrTooLong, e.max)
	}
	return e.err == nil
}

// isTwice notes a name, and reports whether it has come before.
func (e *encoder) isTwice(name string) bool {
	if e.seen == nil {
		for _, n := range e.names {
			if n == name {
				return true
			}
		}
		if e.names = append(e.names, name); len(e.names) < fewNames {
			return false
		}
		e.seen = make(map[string]struct{}, 2*fewNames)
		for _, n := range e.names {
			e.seen[n] = struct{}{}
		}
		return false
	}
	_, twice := e.seen[name]
	e.seen[name] = struct{}{}
	return twice
}
