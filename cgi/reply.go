package cgi

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
)

// An Output is where a [Reply] goes: the framing of a protocol.
type Output interface {
	// Send sends gathered and then p, in one go if it can; either may be
	// empty. It keeps neither.
	Send(gathered, p []byte) error

	// Gone returns why nobody waits for the answer any more, or nil.
	Gone() error
}

// A Reply is the [ResponseWriter] that the servers of FastCGI, SCGI and CGI
// give to their handlers. It keeps the rules of a CGI response (RFC 3875 §6.2),
// gathers what is written, and hands it on when 8 KiB have come together, when
// it is flushed, and at the end. Reset makes it ready for a request.
//
//   - Before any WriteHeader a Write or Flush sends status 200; a response of
//     which nothing was written is an empty one with status 200.
//   - The body of an answer that has none (HEAD, 204, 304) is swallowed.
//   - A body that is longer than its Content-Length is cut there, with an error
//     from Write; one that is shorter is an aborted response, or, if nothing of
//     it has been sent, status 500.
//   - 1xx goes to the web servers that are known not to take it for the
//     response itself, and to no other.
//   - A field that cannot stand in a head, and a Content-Length that is no
//     number or is there twice with two numbers (RFC 9110 §8.6), is an error that wraps ErrMalformed,
//     and nothing is sent. If no good head follows, the answer is status 500.
type Reply struct {
	out Output
	r   *Request
	buf []byte // gathered

	wrote   bool  // the final head is in buf, or sent
	sent    bool  // some of the response has been sent
	bare    bool  // there is no body
	left    int64 // bytes of the body to come by Content-Length; -1 without one
	over    bool  // more than those were written
	aborted bool  // by Abort
	cut     bool  // some of it could not be sent
	ended   bool  // the handler has returned
	badHead error // of a WriteHeader, unless a later one was good
}

// gatherSize is how much of a reply is gathered before it is sent. A reply
// that fits leaves in one write.
const gatherSize = 8 << 10

var (
	_ ResponseWriter = (*Reply)(nil)
	_ io.ReaderFrom  = (*Reply)(nil)
)

var (
	errHeaderTwice = errors.New("cgi: write header: the response has one already")
	errAborted     = errors.New("cgi: write: response aborted")
	errEnded       = errors.New("cgi: write: the handler has returned")
	errTooMuch     = errors.New("cgi: write: more than Content-Length announces")
)

// Reset makes p ready for the answer to r. The memory of an earlier reply is
// used again.
func (p *Reply) Reset(out Output, r *Request) { *p = Reply{out: out, r: r, buf: p.buf[:0], left: -1} }

// check tells whether there is still anything to be written.
func (p *Reply) check() error {
	switch {
	case p.ended:
		return errEnded
	case p.aborted:
		return errAborted
	}
	return p.out.Gone()
}

// WriteHeader implements ResponseWriter.
func (p *Reply) WriteHeader(status int, h Header) error {
	if err := p.check(); err != nil {
		return err
	}
	switch {
	case p.wrote:
		return errHeaderTwice
	case status < 100 || status > 999 || status == 101:
		return fmt.Errorf("cgi: write header: %w: status %d", ErrMalformed, status)
	case status < 200 && !takesInterim(p.r):
		return nil
	}
	length, err := lengthOf(h)
	if err == nil {
		p.buf, err = AppendHead(p.buf, status, h)
	}
	if p.badHead = err; err != nil {
		return p.badHead
	}
	if status < 200 {
		return p.flush()
	}
	p.wrote = true
	p.bare = status == 204 || status == 304 || p.r.Method == "HEAD"
	p.left = length
	return nil
}

// lengthOf returns the Content-Length of a response, or -1. It is digits and
// nothing else, and there is one (RFC 9110 §8.6).
func lengthOf(h Header) (length int64, err error) {
	length = -1
	for _, f := range h {
		if len(f.Name) != len("Content-Length") || !strings.EqualFold(f.Name, "Content-Length") {
			continue
		}
		n, err := strconv.ParseUint(f.Value, 10, 63)
		if err != nil || length >= 0 && length != int64(n) {
			return -1, fmt.Errorf("%w: Content-Length %.40q in a response", ErrMalformed, f.Value)
		}
		length = int64(n)
	}
	return length, nil
}

// takesInterim reports whether the web server passes 1xx on. nginx, Apache and
// H2O take a 103 for the response; HAProxy answers 502.
func takesInterim(r *Request) bool {
	software, _ := r.Param("SERVER_SOFTWARE")
	for _, name := range []string{Software, "lighttpd", "Caddy"} {
		if strings.HasPrefix(software, name) {
			return true
		}
	}
	return false
}

// begin is called before any of the body.
func (p *Reply) begin() error {
	if err := p.check(); err != nil {
		return err
	}
	switch {
	case p.wrote:
		return nil
	case p.badHead != nil:
		return p.badHead
	}
	return p.WriteHeader(200, nil)
}

// Write implements ResponseWriter.
func (p *Reply) Write(b []byte) (int, error) {
	if err := p.begin(); err != nil {
		return 0, err
	}
	if p.bare || len(b) == 0 {
		return len(b), nil
	}
	if p.left >= 0 && int64(len(b)) > p.left {
		p.over = true
		n, err := p.write(b[:p.left])
		return n, cmp.Or(err, errTooMuch)
	}
	return p.write(b)
}

// write writes what is a part of the body.
func (p *Reply) write(b []byte) (int, error) {
	if p.left >= 0 {
		p.left -= int64(len(b))
	}
	if len(p.buf)+len(b) <= gatherSize {
		p.buf = append(p.buf, b...)
		return len(b), nil
	}
	if err := p.send(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// send sends what has been gathered, and then b. A response of which a part was
// not taken must not seem whole.
func (p *Reply) send(b []byte) error {
	p.sent = true
	err := p.out.Send(p.buf, b)
	p.buf = p.buf[:0]
	p.cut = p.cut || err != nil
	return err
}

func (p *Reply) flush() error {
	if len(p.buf) == 0 {
		return nil
	}
	return p.send(nil)
}

// Flush implements ResponseWriter.
func (p *Reply) Flush() error {
	if err := p.begin(); err != nil {
		return err
	}
	return p.flush()
}

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, 64<<10-8); return &b }}

// ReadFrom implements io.ReaderFrom, with pieces as large as a record can be.
// What src yields at once is sent at once.
func (p *Reply) ReadFrom(src io.Reader) (n int64, err error) {
	if err := p.begin(); err != nil {
		return 0, err
	}
	if p.bare {
		return io.Copy(io.Discard, src)
	}
	buf := copyBuffers.Get().(*[]byte)
	defer copyBuffers.Put(buf)
	for {
		m, err := src.Read(*buf)
		n += int64(m)
		if _, werr := p.Write((*buf)[:m]); werr != nil {
			return n, werr
		}
		if err == io.EOF {
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}

// Abort implements ResponseWriter.
func (p *Reply) Abort() { p.aborted = true }

// Fail is for a handler that has panicked: what it has written gives way to
// status 500, or, if some of it has been sent, the response is aborted.
func (p *Reply) Fail() {
	if p.sent || p.aborted {
		p.aborted = true
		return
	}
	p.serverError()
}

func (p *Reply) serverError() {
	p.wrote, p.badHead, p.left = true, nil, -1
	p.buf, _ = AppendHead(p.buf[:0], 500, Header{{"Content-Type", "text/plain; charset=utf-8"}})
	if p.bare = p.r.Method == "HEAD"; !p.bare {
		p.buf = append(p.buf, "Internal Server Error\n"...)
	}
}

// tooShort is called when a handler has returned that wrote less than it
// announced.
func (p *Reply) tooShort() error {
	err := fmt.Errorf("cgi: %d bytes fewer were written than Content-Length announces", p.left)
	if p.aborted = p.sent; !p.sent {
		p.serverError()
	}
	return err
}

// End is called when the handler has returned. rest, valid until Reset, is what
// must still be sent. If whole is false the response must be broken after it.
// err is why the handler's own answer was cut, broken, or replaced by status 500.
func (p *Reply) End() (rest []byte, whole bool, err error) {
	switch {
	case p.aborted || p.out.Gone() != nil:
	case !p.wrote && p.badHead != nil:
		err = p.badHead
		p.serverError()
	default:
		err = p.begin()
		switch {
		case err != nil:
		case p.over:
			err = errTooMuch
		case p.left > 0 && !p.bare:
			err = p.tooShort()
		}
	}
	p.ended = true
	return p.buf, !p.aborted && !p.cut, err
}
