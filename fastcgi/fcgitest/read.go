package fcgitest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/sluice-gateway/sluice/fastcgi"
)

// Read returns the next record.
func (c *Conn) Read() Record {
	c.t.Helper()
	c.begin()
	return c.mustTake("a record")
}

// Expect reads as many records as want has and compares type, id and content;
// how a record is padded is the sender's affair. That a stream may be cut into
// records in other ways is not: see [Conn.ReadAnswer].
func (c *Conn) Expect(want ...Record) {
	c.t.Helper()
	c.begin()
	for i, w := range want {
		got := c.mustTake(w.String())
		if got.Type != w.Type || got.ID != w.ID || got.Content != w.Content {
			c.Fatalf("record %d of %d is %v, want %v", i+1, len(want), got, w)
		}
	}
}

// ReadAll returns all records up to the close of the connection by the other
// side. That the close is inside a record fails the test.
func (c *Conn) ReadAll() []Record {
	c.t.Helper()
	c.begin()
	var records []Record
	for {
		r, err := c.take()
		if err == io.EOF {
			c.said.add("< closed")
			return records
		}
		if err != nil {
			c.Fatalf("read to the close: %v", err)
		}
		records = append(records, r)
	}
}

// ExpectClosed waits for the other side to close the connection, with or
// without a reset. A record that nobody has read fails the test.
func (c *Conn) ExpectClosed() {
	c.t.Helper()
	if left := c.ReadAll(); len(left) > 0 {
		c.Fatalf("want nothing but a close, got before it:%s", listText(left))
	}
}

// More waits for the next byte and reports whether there is one: false when
// the other side closes between two records, or the test ends. A script that
// goes on for as long as it is asked is
//
//	for c.More() {
//		q := c.ReadRequest()
//		...
//	}
//
// In a script it waits for as long as the test lasts.
func (c *Conn) More() bool {
	c.t.Helper()
	c.begin()
	for !c.pending() {
		if !c.awaitMore() {
			return false
		}
	}
	return true
}

// pending reports whether something has come and was not taken. What nobody is
// to see is left out.
func (c *Conn) pending() bool {
	r, n, ok := decode(c.in)
	if ok && c.leftOut(r) {
		c.in = c.in[n:]
		c.taken += int64(n)
		return c.pending()
	}
	return len(c.aside) > 0 || len(c.in) > 0 && (ok || !c.mayBeLeftOut())
}

// mayBeLeftOut reports whether the part of a record that has come may be one of
// those that leftOut leaves out.
func (c *Conn) mayBeLeftOut() bool {
	if len(c.in) < 4 {
		return len(c.bare) > 0
	}
	return fastcgi.Type(c.in[1]) == fastcgi.TypeStdin && c.bare[binary.BigEndian.Uint16(c.in[2:])]
}

// leftOut reports whether r is the end of a STDIN that was not waited for.
func (c *Conn) leftOut(r Record) bool {
	if r.Type != fastcgi.TypeStdin || r.Content != "" || !c.bare[r.ID] {
		return false
	}
	delete(c.bare, r.ID)
	return true
}

// awaitMore waits for the next bytes, and reports whether some have come.
func (c *Conn) awaitMore() bool {
	c.t.Helper()
	c.mu.Lock()
	if c.over {
		c.mu.Unlock()
		return false
	}
	c.idle = true
	if c.script {
		c.deadline = noDeadline
	}
	c.nc.SetReadDeadline(c.deadline)
	c.mu.Unlock()
	err := c.read()
	c.mu.Lock()
	c.idle = false
	over := c.over
	c.mu.Unlock()
	switch {
	case err == nil:
		return true
	case over || err != nil && isClosed(err):
		return false
	}
	c.Fatalf("wait for the next record: %v", err)
	return false
}

// take returns the next record: of those that were put aside, or of the
// connection.
func (c *Conn) take() (Record, error) {
	if len(c.aside) > 0 {
		r := c.aside[0]
		c.aside = c.aside[1:]
		return r, nil
	}
	return c.receive()
}

func (c *Conn) mustTake(what string) Record {
	c.t.Helper()
	r, err := c.take()
	if err != nil {
		c.Fatalf("read %s: %v", what, err)
	}
	return r
}

// takeOf returns the next record of one request and puts those of others, and
// management records, aside.
func (c *Conn) takeOf(id uint16, what string) Record {
	c.t.Helper()
	for i, r := range c.aside {
		if r.ID == id {
			c.aside = append(c.aside[:i:i], c.aside[i+1:]...)
			return r
		}
	}
	for {
		r, err := c.receive()
		if err != nil {
			c.Fatalf("read %s of request %d: %v", what, id, err)
		}
		if r.ID == id {
			return r
		}
		c.aside = append(c.aside, r)
	}
}

// receive reads the next record from the connection. At a close between two
// records the error is io.EOF.
func (c *Conn) receive() (Record, error) {
	c.nc.SetReadDeadline(c.deadline)
	for {
		r, n, ok := decode(c.in)
		if ok {
			c.in = c.in[n:]
			c.said.add("< %v", r)
			if err := r.check(); err != nil {
				return r, fmt.Errorf("record at byte %d: %w", c.taken, err)
			}
			c.taken += int64(n)
			if c.leftOut(r) {
				continue
			}
			return r, nil
		}
		err := c.read()
		switch {
		case err == nil:
		case len(c.in) > 0:
			return Record{}, fmt.Errorf("%w inside the record at byte %d, after %s", err, c.taken, hexText(c.in))
		case isClosed(err):
			return Record{}, io.EOF
		default:
			return Record{}, fmt.Errorf("%w at byte %d, between two records", err, c.taken)
		}
	}
}

// read waits for bytes and adds them to c.in.
func (c *Conn) read() error {
	if c.ended != nil {
		return c.ended
	}
	b := make([]byte, 32<<10)
	n, err := c.nc.Read(b)
	c.in = append(c.in, b[:n]...)
	if n > 0 {
		return nil // an error comes again
	}
	if err != nil && isClosed(err) {
		if errors.Is(err, io.EOF) {
			err = errClosed
		}
		c.ended = err
	}
	return err
}

// errClosed is an io.EOF that says whose.
var errClosed = fmt.Errorf("the other side closed: %w", io.EOF)

// decode cuts a whole record, padding included, off b and returns its length.
func decode(b []byte) (r Record, n int, ok bool) {
	if len(b) < headerLen {
		return r, 0, false
	}
	length, padding := int(binary.BigEndian.Uint16(b[4:])), int(b[6])
	n = headerLen + length + padding
	if len(b) < n {
		return r, 0, false
	}
	return Record{
		Type:     fastcgi.Type(b[1]),
		ID:       binary.BigEndian.Uint16(b[2:]),
		Content:  string(b[headerLen : headerLen+length]),
		Padding:  uint8(padding),
		version:  b[0] ^ version,
		reserved: b[7],
	}, n, true
}
