package scgi

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
)

// A Decoder reads the headers of a request. It is fed the bytes as they arrive
// and does no I/O. The zero Decoder is ready to use.
//
// Of the specification's rules one is not enforced: a name may come twice,
// unless it is CONTENT_LENGTH or SCGI. nginx sends what its configuration says,
// and people's configurations say things twice.
type Decoder struct {
	// MaxBytes bounds the content of the netstring, MaxPairs the number of
	// its params. Zero means DefaultMaxParams and DefaultMaxPairs; negative,
	// no limit.
	MaxBytes, MaxPairs int

	step   decoderStep
	size   int    // of the content, as far as it is known
	buf    []byte // the content so far
	next   int    // where in buf the next pair starts
	length int64  // of the body
	err    error
}

type decoderStep uint8

const (
	wantLength  decoderStep = iota // the first digit
	wantColon                      // a digit or the colon
	wantContent                    // as many bytes as that said
	wantComma
	decoded
)

// Feed takes the next bytes of the request. It returns how many of them belong
// to the headers, and whether these are complete; what comes after those is the
// body. It keeps no reference to b, and takes memory only for what has come.
// The error wraps ErrMalformed or ErrTooLong and is final: there is no telling
// what the rest means.
func (d *Decoder) Feed(b []byte) (n int, done bool, err error) {
	for d.err == nil && d.step != decoded && n < len(b) {
		if d.step == wantContent {
			part := b[n:min(len(b), n+d.size-len(d.buf))]
			d.buf = append(d.buf, part...)
			n += len(part)
			if len(d.buf) == d.size {
				d.step = wantComma
			}
			continue
		}
		d.err = d.frame(b[n])
		n++
	}
	if d.err != nil {
		return 0, false, d.err
	}
	return n, d.step == decoded, nil
}

// frame takes a byte of the netstring that is not of its content.
func (d *Decoder) frame(c byte) error {
	switch {
	case d.step == wantComma && c == ',':
		d.step = decoded
		return d.check()
	case d.step == wantComma:
		return malformed("netstring of %d bytes: %q where its comma should be", d.size, c)
	case d.step == wantColon && c == ':':
		d.step = wantContent
		if d.size == 0 {
			d.step = wantComma
		}
		return nil
	case c < '0' || c > '9':
		return malformed("netstring: %q in its length", c)
	case d.step == wantColon && d.size == 0:
		return malformed("netstring: its length starts with 0")
	}
	d.step = wantColon
	if max := min(limit(d.MaxBytes, DefaultMaxParams), math.MaxInt32); int64(d.size)*10+int64(c-'0') > int64(max) {
		return fmt.Errorf("%w: more than %d bytes", ErrTooLong, max)
	}
	d.size = d.size*10 + int(c-'0')
	return nil
}

// check looks at the whole content.
func (d *Decoder) check() error {
	if len(d.buf) > 0 && d.buf[len(d.buf)-1] != 0 {
		return malformed("the last value does not end with NUL")
	}
	versions, max := 0, limit(d.MaxPairs, DefaultMaxPairs)
	for i := 0; d.next < len(d.buf); i++ {
		name, value, ok := d.pair()
		switch {
		case i == max:
			return fmt.Errorf("%w: more than %d params", ErrTooLong, max)
		case !ok:
			return malformed("the name %.40q has no value", name)
		case len(name) == 0:
			return malformed("a param without a name")
		case (string(name) == lengthName) != (i == 0):
			return malformed("%.40q is param %d: CONTENT_LENGTH must come first, and once", name, i+1)
		case i == 0:
			if d.length, ok = parseLength(value); !ok {
				return malformed("CONTENT_LENGTH %.40q is not a number", value)
			}
		case string(name) == versionName:
			if versions++; string(value) != version || versions > 1 {
				return malformed("SCGI is %.40q: it must be %q, and come once", value, version)
			}
		}
	}
	switch {
	case len(d.buf) == 0:
		return malformed("no CONTENT_LENGTH")
	case versions == 0:
		return malformed("no SCGI")
	}
	d.next = 0
	return nil
}

// pair cuts the next pair off. ok is false if there is a name only.
func (d *Decoder) pair() (name, value []byte, ok bool) {
	name, rest, _ := bytes.Cut(d.buf[d.next:], []byte{0})
	if len(rest) == 0 {
		d.next = len(d.buf)
		return name, nil, false
	}
	value, _, _ = bytes.Cut(rest, []byte{0})
	d.next += len(name) + 1 + len(value) + 1
	return name, value, true
}

// parseLength reads 1*DIGIT that fits an int64.
func parseLength(b []byte) (int64, bool) {
	if len(b) == 0 || b[0] < '0' || b[0] > '9' {
		return 0, false // ParseInt would take a sign
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil
}

// Next returns one param after the other, CONTENT_LENGTH and SCGI among them,
// once Feed has said done. The slices are valid until Reset. ok is false when
// there are no more.
func (d *Decoder) Next() (name, value []byte, ok bool) {
	if d.step != decoded || d.err != nil {
		return nil, nil, false
	}
	return d.pair()
}

// ContentLength returns the size of the body in bytes, once Feed has said
// done.
func (d *Decoder) ContentLength() int64 { return d.length }

// Started reports whether any byte has been fed.
func (d *Decoder) Started() bool { return d.step != wantLength || d.err != nil }

// Reset makes d ready for another request. It keeps the limits and, unless
// that is unusually much, the memory.
func (d *Decoder) Reset() {
	buf := d.buf[:0]
	if cap(buf) > keptBuffer {
		buf = nil
	}
	*d = Decoder{MaxBytes: d.MaxBytes, MaxPairs: d.MaxPairs, buf: buf}
}
