package fastcgi

import (
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/sluice-gateway/sluice/cgi"
)

// maxPairLen is the longest name or value that can be written (FastCGI 1.0
// §3.4): 31 bits.
const maxPairLen = 1<<31 - 1

// AppendPair appends one name-value pair to dst and returns the longer slice.
// A length up to 127 bytes takes one byte, a longer one takes four with the
// top bit set (FastCGI 1.0 §3.4). On ErrTooLong dst is returned as it came.
func AppendPair(dst []byte, name, value string) ([]byte, error) {
	if len(name) > maxPairLen || len(value) > maxPairLen {
		return dst, ErrTooLong
	}
	dst = appendLen(dst, len(name))
	dst = appendLen(dst, len(value))
	dst = append(dst, name...)
	return append(dst, value...), nil
}

func appendLen(dst []byte, n int) []byte {
	if n < 1<<7 {
		return append(dst, byte(n))
	}
	return binary.BigEndian.AppendUint32(dst, uint32(n)|1<<31)
}

// AppendParams appends the PARAMS stream of a request, with its end. A pair is
// never split over two records if it fits in one: applications of flup's
// family lose a split pair. A pair that fits in none is split. If the stream
// would be longer than max bytes (0: no bound), the error is ErrTooLong and
// dst is returned as it came.
func AppendParams(dst []byte, id uint16, params iter.Seq2[string, string], max int) ([]byte, error) {
	var e paramsEncoder
	return e.encode(dst, id, params, max, e.add)
}

// A paramsEncoder is AppendParams at work. It is a type, and the loop is not
// a range over the sequence, so that a client can keep one together with its
// method value: that is what makes the encoding free of allocations.
type paramsEncoder struct {
	dst    []byte
	start  int // of the stream in dst
	record int // of the last record in dst
	id     uint16
	max    int
	err    error
}

func (e *paramsEncoder) encode(dst []byte, id uint16, params iter.Seq2[string, string], max int, add func(name, value string) bool) ([]byte, error) {
	*e = paramsEncoder{dst: AppendHeader(dst, TypeParams, id, 0, 0), start: len(dst), record: len(dst), id: id, max: max}
	params(add)
	dst = e.dst
	e.dst = nil
	if e.err != nil {
		return dst[:e.start], e.err
	}
	if len(dst)-e.record == headerLen {
		return dst, nil // the empty record is the end of the stream
	}
	setLength(dst, e.record)
	return AppendEnd(dst, TypeParams, id), nil
}

// add appends one pair and reports whether more may follow.
func (e *paramsEncoder) add(name, value string) bool {
	pair := len(e.dst)
	if e.dst, e.err = AppendPair(e.dst, name, value); e.err != nil {
		return false
	}
	if e.max > 0 && len(e.dst)-e.start > e.max {
		e.err = ErrTooLong
		return false
	}
	if len(e.dst)-e.record-headerLen > MaxContent {
		e.dst, e.record = splitParams(e.dst, e.record, pair, e.id)
	}
	return true
}

// splitParams makes a new record before the pair that made the one at record
// too long, and more of them if the pair is too long itself. It returns where
// the last record starts.
func splitParams(dst []byte, record, pair int, id uint16) ([]byte, int) {
	rest := append([]byte(nil), dst[pair:]...)
	dst = dst[:pair]
	if pair-record > headerLen {
		setLength(dst, record)
		record = len(dst)
		dst = AppendHeader(dst, TypeParams, id, 0, 0)
	}
	for len(rest) > MaxContent {
		dst = append(dst, rest[:MaxContent]...)
		rest = rest[MaxContent:]
		setLength(dst, record)
		record = len(dst)
		dst = AppendHeader(dst, TypeParams, id, 0, 0)
	}
	return append(dst, rest...), record
}

// setLength writes the length of the record that starts at off and ends with
// dst into its header.
func setLength(dst []byte, off int) {
	binary.BigEndian.PutUint16(dst[off+4:], uint16(len(dst)-off-headerLen))
}

// ParsePairs reads name-value pairs: a whole PARAMS stream, or the content of
// GET_VALUES and its result. The strings share one copy of b. At most max
// pairs are read (0: no bound); more of them, or a length that runs past the
// end, is an error that wraps ErrMalformed or ErrTooLong.
func ParsePairs(b []byte, max int) ([]cgi.Field, error) {
	n, err := countPairs(b, max)
	if err != nil {
		return nil, err
	}
	pairs, s := make([]cgi.Field, 0, n), string(b)
	for off := 0; off < len(b); {
		nameLen, valueLen, w := pairLens(b[off:])
		name := off + w
		value := name + nameLen
		off = value + valueLen
		pairs = append(pairs, cgi.Field{Name: s[name:value], Value: s[value:off]})
	}
	return pairs, nil
}

// countPairs checks all lengths before anything is made of them.
func countPairs(b []byte, max int) (n int, err error) {
	for off := 0; off < len(b); n++ {
		if max > 0 && n == max {
			return 0, fmt.Errorf("%w: more than %d params", ErrTooLong, max)
		}
		nameLen, valueLen, w := pairLens(b[off:])
		// Compared one by one: the sum can overflow a 32-bit int.
		if rest := len(b) - off - w; w == 0 || nameLen > rest || valueLen > rest-nameLen {
			return 0, fmt.Errorf("%w: name-value pair at byte %d runs past the end", ErrMalformed, off)
		}
		off += w + nameLen + valueLen
	}
	return n, nil
}

// pairLens reads the two lengths of a pair and how many bytes they took, 0 if
// b is too short.
func pairLens(b []byte) (name, value, width int) {
	name, n := pairLen(b)
	value, v := pairLen(b[n:])
	if n == 0 || v == 0 {
		return 0, 0, 0
	}
	return name, value, n + v
}

func pairLen(b []byte) (n, width int) {
	switch {
	case len(b) > 0 && b[0] < 1<<7:
		return int(b[0]), 1
	case len(b) >= 4:
		return int(binary.BigEndian.Uint32(b) &^ (1 << 31)), 4
	}
	return 0, 0
}
