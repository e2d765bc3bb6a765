package fastcgi

import (
	"encoding/binary"
	"fmt"
)

// A Piece is what a Decoder cuts off the bytes it is fed: a whole record, or,
// of the types that carry a stream, any part of one.
type Piece struct {
	Type    Type
	ID      uint16
	Content []byte // valid until the next bytes are fed

	// Ends tells that the record is a stream's empty one, which ends it.
	Ends bool
}

// A Decoder cuts a connection's bytes into records. It is fed slices as they
// arrive, does no I/O, and keeps at most one record that is not part of a
// stream, so at most 64 KiB. The zero Decoder is ready to use.
type Decoder struct {
	header  [headerLen]byte
	have    int    // bytes of header
	left    int    // bytes of content still to come
	padding int    // bytes of padding still to come
	whole   []byte // content so far of a record that is not a stream's
}

// Next cuts the next piece off b. ok is false when b holds no further piece;
// all of it has been taken then, and more must be fed. Otherwise rest is what
// follows the piece. An error wraps ErrMalformed; there is no way to find the
// next record after it, so the connection cannot be used any more.
func (d *Decoder) Next(b []byte) (p Piece, rest []byte, ok bool, err error) {
	for {
		if d.have < headerLen {
			n := copy(d.header[d.have:], b)
			d.have += n
			b = b[n:]
			if d.have < headerLen {
				return Piece{}, nil, false, nil
			}
			if p, ok, err = d.begin(); ok || err != nil {
				return p, b, ok, err
			}
		}
		if d.left > 0 {
			if len(b) == 0 {
				return Piece{}, nil, false, nil
			}
			n := min(d.left, len(b))
			p, ok = d.take(b[:n])
			if b = b[n:]; ok {
				return p, b, true, nil
			}
			continue
		}
		n := min(d.padding, len(b))
		d.padding -= n
		if b = b[n:]; d.padding > 0 {
			return Piece{}, nil, false, nil
		}
		d.have = 0
	}
}

// begin reads a complete header. A record without content is a piece at once.
func (d *Decoder) begin() (Piece, bool, error) {
	if d.header[0] != version {
		return Piece{}, false, fmt.Errorf("%w: record of protocol version %d, want 1", ErrMalformed, d.header[0])
	}
	d.left = int(binary.BigEndian.Uint16(d.header[4:]))
	d.padding = int(d.header[6])
	d.whole = d.whole[:0]
	if d.left > 0 {
		return Piece{}, false, nil
	}
	p := d.piece(nil)
	p.Ends = p.Type.stream()
	return p, true, nil
}

// take takes the next bytes of the content.
func (d *Decoder) take(b []byte) (Piece, bool) {
	d.left -= len(b)
	if Type(d.header[1]).stream() {
		return d.piece(b), true
	}
	if d.left == 0 && len(d.whole) == 0 {
		return d.piece(b), true
	}
	d.whole = append(d.whole, b...)
	return d.piece(d.whole), d.left == 0
}

func (d *Decoder) piece(content []byte) Piece {
	return Piece{Type: Type(d.header[1]), ID: binary.BigEndian.Uint16(d.header[2:]), Content: content}
}

// Between reports whether the last byte fed ended a record, so that a
// connection which closes now was not cut.
func (d *Decoder) Between() bool {
	return d.have == 0 || d.have == headerLen && d.left == 0 && d.padding == 0
}
