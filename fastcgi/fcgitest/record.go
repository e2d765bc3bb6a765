package fcgitest

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/sluice-gateway/sluice/fastcgi"
)

const (
	headerLen = 8 // bytes before the content of a record (FastCGI 1.0 §3.3)
	version   = 1
)

// A Record is one FastCGI record as a value; == compares two. Content may be
// anything, also what is wrong for the type. The methods With… and Cut return
// a changed copy whose bytes are wrong in one more way.
type Record struct {
	Type    fastcgi.Type
	ID      uint16
	Content string // at most fastcgi.MaxContent bytes, or see WithLength
	Padding uint8  // number of bytes after the content

	// Zero stands for what is right.
	version  uint8 // XOR 1
	reserved uint8
	length   int // that the header claims, plus 1
	cut      cut
}

// A cut says how much of a record is sent.
type cut struct {
	on bool
	n  int // bytes from the start, or if negative, to leave out at the end
}

// WithVersion returns r with another protocol version than 1.
func (r Record) WithVersion(v uint8) Record {
	r.version = v ^ version
	return r
}

// WithPadding returns r with n bytes of padding. They are sent as 0xFF, so
// that a reader that takes them for a record finds no version.
func (r Record) WithPadding(n uint8) Record {
	r.Padding = n
	return r
}

// WithReserved returns r with another reserved byte than 0 in its header.
func (r Record) WithReserved(b uint8) Record {
	r.reserved = b
	return r
}

// WithLength returns r with a header that claims n bytes of content, however
// many there are.
func (r Record) WithLength(n uint16) Record {
	r.length = int(n) + 1
	return r
}

// Cut returns r without its end: only the first n bytes are sent, of which the
// header takes 8. If n is negative, -n bytes are left out at the end.
func (r Record) Cut(n int) Record {
	r.cut = cut{on: true, n: n}
	return r
}

// Append appends the bytes of r. It panics if the content is too long for a
// record, and WithLength has not said that this is meant.
func (r Record) Append(dst []byte) []byte {
	start := len(dst)
	length := len(r.Content)
	if r.length > 0 {
		length = r.length - 1
	} else if length > fastcgi.MaxContent {
		panic(fmt.Sprintf("fcgitest: %d bytes of content in one record: use Stream", length))
	}
	dst = append(dst, version^r.version, byte(r.Type))
	dst = binary.BigEndian.AppendUint16(dst, r.ID)
	dst = binary.BigEndian.AppendUint16(dst, uint16(length))
	dst = append(dst, r.Padding, r.reserved)
	dst = append(dst, r.Content...)
	dst = append(dst, bytes.Repeat([]byte{0xff}, int(r.Padding))...)
	if !r.cut.on {
		return dst
	}
	end := start + r.cut.n
	if r.cut.n < 0 {
		end = len(dst) + r.cut.n
	}
	return dst[:min(max(end, start), len(dst))]
}

// Encode returns the bytes of records, one after the other.
func Encode(records ...Record) []byte {
	var b []byte
	for _, r := range records {
		b = r.Append(b)
	}
	return b
}

// check is how strict the reading is: nil for a record that FastCGI 1.0
// allows. What it leaves to the reader of a stream is the order of records.
func (r Record) check() error {
	v := version ^ r.version
	switch {
	case v != version:
		return fmt.Errorf("protocol version %d, want 1", v)
	case r.reserved != 0:
		return fmt.Errorf("reserved byte %#02x in the header, want 0", r.reserved)
	}
	want, reserved := len(r.Content), 0
	switch r.Type {
	case fastcgi.TypeBeginRequest:
		want, reserved = 8, 5
	case fastcgi.TypeEndRequest:
		want, reserved = 8, 3
	case fastcgi.TypeUnknownType:
		want, reserved = 8, 7
	case fastcgi.TypeAbortRequest:
		want = 0
	}
	if len(r.Content) != want {
		return fmt.Errorf("%v of %d bytes, want %d", r.Type, len(r.Content), want)
	}
	for _, b := range []byte(r.Content[want-reserved:]) {
		if b != 0 {
			return fmt.Errorf("%v with reserved bytes % x, want zeros", r.Type, r.Content[want-reserved:])
		}
	}
	application := r.Type >= fastcgi.TypeBeginRequest && r.Type <= fastcgi.TypeData
	management := r.Type >= fastcgi.TypeGetValues && r.Type <= fastcgi.TypeUnknownType
	if application && r.ID == 0 || management && r.ID != 0 {
		return fmt.Errorf("%v with request id %d", r.Type, r.ID)
	}
	return nil // also of types that are not known: whoever reads on decides
}
