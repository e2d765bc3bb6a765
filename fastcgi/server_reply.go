package fastcgi

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A reply is the cgi.ResponseWriter of a Server. It gathers what is written
// into one record of STDOUT and sends that when it is full, flushed, or the
// last.
type reply struct {
	q *serverRequest

	// A goroutine that the handler left behind may still write when the
	// buffer is somebody else's already, hence the lock.
	mu      sync.Mutex
	out     *bytesBuffer // a record whose length is not set yet; nil if there is nothing
	wrote   bool         // the final head is in out, or sent
	sent    bool         // some of the response has been sent
	bare    bool         // there is no body: HEAD, 204 or 304
	broken  bool         // by Abort
	ended   bool         // the handler has returned
	badHead error        // of a WriteHeader, unless a later one was good
}

var (
	_ cgi.ResponseWriter = (*reply)(nil)
	_ io.ReaderFrom      = (*reply)(nil)
)

// check tells whether there is still anything to be written.
func (p *reply) check() error {
	switch {
	case p.ended:
		return errEnded
	case p.broken:
		return errBroken
	}
	return p.q.gone()
}

// WriteHeader implements cgi.ResponseWriter. A field that cannot stand in a
// head is an error that wraps cgi.ErrMalformed, and nothing is sent then; 1xx
// is sent at once to the web servers that are known not to take it for the
// response itself, and to no other.
func (p *reply) WriteHeader(status int, h cgi.Header) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.check(); err != nil {
		return err
	}
	switch {
	case p.wrote:
		return errHeaderTwice
	case status < 100 || status > 999 || status == 101:
		return fmt.Errorf("fastcgi: write header: %w: status %d", cgi.ErrMalformed, status)
	case status < 200 && !takesInterim(p.q.r):
		return nil
	}
	if err := p.writeHead(status, h); err != nil {
		return err
	}
	if status < 200 {
		return p.flush()
	}
	p.wrote = true
	p.bare = status == 204 || status == 304 || p.q.r.Method == "HEAD"
	return nil
}

// takesInterim reports whether the web server passes 1xx on. nginx, Apache and
// H2O take a 103 for the response; HAProxy answers 502.
func takesInterim(r *cgi.Request) bool {
	software, _ := r.Param("SERVER_SOFTWARE")
	for _, name := range []string{cgi.Software, "lighttpd", "Caddy"} {
		if strings.HasPrefix(software, name) {
			return true
		}
	}
	return false
}

func (p *reply) writeHead(status int, h cgi.Header) error {
	p.record()
	start := len(p.out.b)
	b, err := appendHead(p.out.b, status, h)
	p.out.b = b
	if p.badHead = err; err != nil || len(b)-headerLen <= maxPiece {
		return err
	}
	head := append([]byte(nil), b[start:]...) // longer than a record
	p.out.b = b[:start]
	return p.write(head)
}

// record makes sure that out has the header of a record.
func (p *reply) record() {
	if p.out == nil {
		p.out = bodies.Get().(*bytesBuffer)
	}
	if len(p.out.b) == 0 {
		p.out.b = AppendHeader(p.out.b, TypeStdout, p.q.id, 0, 0)
	}
}

// Write implements cgi.ResponseWriter. The body of a response that has none
// (HEAD, 204, 304) is swallowed.
func (p *reply) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.begin(); err != nil {
		return 0, err
	}
	if p.bare {
		return len(b), nil
	}
	if err := p.write(b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// begin is called before any of the body.
func (p *reply) begin() error {
	if err := p.check(); err != nil {
		return err
	}
	if p.wrote {
		return nil
	}
	if p.badHead != nil {
		return p.badHead
	}
	if err := p.writeHead(200, nil); err != nil {
		return err
	}
	p.wrote, p.bare = true, p.q.r.Method == "HEAD"
	return nil
}

// write gathers b, or sends it with what has been gathered if it does not fit.
func (p *reply) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	p.record()
	if len(p.out.b)+len(b) <= headerLen+replyBuffer {
		p.out.b = append(p.out.b, b...)
		return nil
	}
	for len(b) > 0 {
		piece := b[:min(len(b), maxPiece)]
		b = b[len(piece):]
		p.close()
		p.out.b = AppendHeader(p.out.b, TypeStdout, p.q.id, uint16(len(piece)), 0)
		if err := p.send(piece); err != nil {
			return err
		}
	}
	return nil
}

// close sets the length of the record in out. An empty record, which would
// end STDOUT, is taken back.
func (p *reply) close() {
	if p.out == nil {
		return
	}
	if len(p.out.b) <= headerLen {
		p.out.b = p.out.b[:0]
		return
	}
	setLength(p.out.b, 0)
}

// send sends out and then more.
func (p *reply) send(more ...[]byte) error {
	c := p.q.c
	p.sent = true
	c.wmu.Lock()
	err := c.write(p.q, p.out.b, more...)
	c.wmu.Unlock()
	p.out.b = p.out.b[:0]
	return err
}

// flush sends what has been gathered.
func (p *reply) flush() error {
	p.close()
	if p.out == nil || len(p.out.b) == 0 {
		return nil
	}
	return p.send()
}

// Flush implements cgi.ResponseWriter.
func (p *reply) Flush() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.begin(); err != nil {
		return err
	}
	return p.flush()
}

// ReadFrom implements io.ReaderFrom, with records as large as they can be.
func (p *reply) ReadFrom(src io.Reader) (n int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.begin(); err != nil {
		return 0, err
	}
	if p.bare {
		return io.Copy(io.Discard, src)
	}
	big := bigBuffers.Get().(*[]byte)
	defer bigBuffers.Put(big)
	for {
		m, err := src.Read((*big)[:maxPiece])
		n += int64(m)
		if werr := p.write((*big)[:m]); werr != nil {
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

// Abort implements cgi.ResponseWriter.
func (p *reply) Abort() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.broken = true
}

// SetWriteDeadline makes writes after t fail, and with them the connection. It
// is found by cgihttp.
func (p *reply) SetWriteDeadline(t time.Time) error {
	p.q.c.wmu.Lock()
	defer p.q.c.wmu.Unlock()
	p.q.deadline = t
	return nil
}

// fail is called when the handler has not returned. What it has gathered
// gives way to a status 500, if nothing of it has been sent.
func (p *reply) fail() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sent || p.broken {
		p.broken = true
		return
	}
	p.serverError()
}

func (p *reply) serverError() {
	if p.out != nil {
		p.out.b = p.out.b[:0]
	}
	p.wrote, p.bare, p.badHead = true, false, nil
	text := statusText(500) + "\n"
	p.writeHead(500, cgi.Header{{Name: "Content-Type", Value: "text/plain; charset=utf-8"}})
	if p.q.r.Method != "HEAD" {
		p.write([]byte(text))
	}
}

// end is called when the handler has returned, or failed. It returns what is
// left to send, nil for nothing at all, and whether the ends of the streams
// and of the request must follow.
func (p *reply) end() (out *bytesBuffer, whole bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	gone := p.q.gone()
	switch {
	case gone != nil:
		if p.out != nil {
			p.out.b = p.out.b[:0]
		}
	case !p.wrote && p.badHead != nil && !p.broken:
		p.q.c.server.warn("response refused", slog.Any("err", p.badHead))
		p.serverError()
	case !p.broken:
		p.begin()
	}
	p.ended = true
	p.close()
	out, p.out = p.out, nil
	switch {
	case errors.Is(gone, ErrAborted):
		return orEmpty(out), true
	case gone != nil:
		out.free()
		return nil, true
	case p.broken && (out == nil || len(out.b) == 0):
		out.free()
		return nil, false
	}
	return orEmpty(out), !p.broken
}

func orEmpty(b *bytesBuffer) *bytesBuffer {
	if b == nil {
		return bodies.Get().(*bytesBuffer)
	}
	return b
}

// Stderr is found by cgi.Stderr. Unlike the rest of a reply it may be used by
// several goroutines, and what is written is sent at once: it may be the last
// that a handler has to say.
func (p *reply) Stderr() io.Writer { return (*stderr)(p.q) }

type stderr serverRequest

func (w *stderr) Write(b []byte) (int, error) {
	q := (*serverRequest)(w)
	if err := q.gone(); err != nil {
		return 0, err
	}
	c := q.c
	buf := bodies.Get().(*bytesBuffer)
	defer buf.free()
	buf.b = AppendStream(buf.b, TypeStderr, q.id, b)
	c.wmu.Lock()
	defer c.wmu.Unlock()
	if q.over {
		return 0, errEnded
	}
	if len(b) == 0 {
		return 0, nil
	}
	q.stderr = true
	if err := c.write(q, buf.b); err != nil {
		return 0, err
	}
	return len(b), nil
}
