package cgihttp

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"

	"github.com/sluice-gateway/sluice/cgi"
)

// A response is the http.ResponseWriter of an Application. It follows the
// rules of net/http's own: the header is frozen by WriteHeader, the type is
// guessed from the first bytes, and a short body gets its length.
type response struct {
	x    *call    // w is used with mu, while ended is false
	body *appBody // of the request; may be nil
	head bool     // the request is a HEAD

	mu     sync.Mutex // guards what follows, and w but for its deadlines
	header http.Header
	status int          // 0 until WriteHeader
	frozen cgi.Header   // header as it was then
	few    [6]cgi.Field // room for frozen
	guess  bool         // Content-Type is to be guessed
	bare   bool         // the status allows no body
	sent   bool         // the head has been given to w
	ended  bool         // the handler has returned

	length  int64  // Content-Length by the handler, or -1
	written int64  // bytes the handler wrote
	buf     []byte // not yet given to w; its memory is used again by others
}

var (
	_ http.ResponseWriter = (*response)(nil)
	_ http.Flusher        = (*response)(nil)
	_ io.ReaderFrom       = (*response)(nil)
	_ io.StringWriter     = (*response)(nil)
)

// Header implements http.ResponseWriter. The map belongs to the handler, which
// must not change it while it writes, or returns, on another goroutine.
func (p *response) Header() http.Header {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.header == nil {
		p.header = make(http.Header)
	}
	return p.header
}

// WriteHeader implements http.ResponseWriter. Like net/http it panics at a
// status that is not a number of three digits, and ignores a second call. It
// panics at 101 as well: to switch protocols takes a connection.
func (p *response) WriteHeader(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		p.writeHeader(status)
	}
}

func (p *response) writeHeader(status int) {
	if p.status != 0 {
		return
	}
	if status < 100 || status > 999 || status == http.StatusSwitchingProtocols {
		panic(fmt.Sprintf("invalid WriteHeader code %v", status))
	}
	if status < 200 {
		// If w is gone, the next Write will say so.
		p.x.w.WriteHeader(status, responseFields(p.header, p.few[:0]))
		return
	}
	p.status = status
	p.bare = status == http.StatusNoContent || status == http.StatusNotModified
	p.frozen = responseFields(p.header, p.few[:0])
	if status == http.StatusNotModified {
		p.frozen = slices.DeleteFunc(p.frozen, isContentType) // RFC 9110 §15.4.5
	}
	_, typed := p.header["Content-Type"]
	p.guess = !p.bare && !typed && first(p.header["Content-Encoding"]) == ""
	if !p.bare {
		p.length = lengthOf(first(p.header["Content-Length"]))
	}
}

// lengthOf reads a Content-Length; what is none is -1.
func lengthOf(s string) int64 {
	if s == "" {
		return -1 // an error would have to be made
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

func isContentType(f cgi.Field) bool { return f.Name == "Content-Type" }

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}

// admit counts n bytes of body that the handler wants to write, and tells
// whether they are allowed.
func (p *response) admit(n int) error {
	if p.ended {
		return errEnded
	}
	p.writeHeader(http.StatusOK)
	if n == 0 {
		return nil
	}
	if p.bare {
		return http.ErrBodyNotAllowed
	}
	if p.length >= 0 && p.written+int64(n) > p.length {
		return http.ErrContentLength
	}
	p.written += int64(n)
	return nil
}

// Write implements http.ResponseWriter.
func (p *response) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.admit(len(b)); err != nil {
		return 0, err
	}
	if len(p.buf)+len(b) <= bufferedReply {
		p.buf = append(p.buffer(), b...)
		return len(b), nil
	}
	if err := p.push(b); err != nil {
		return 0, err
	}
	if !p.head {
		if _, err := p.x.w.Write(b); err != nil {
			return 0, err
		}
	}
	return len(b), nil
}

// WriteString implements io.StringWriter.
func (p *response) WriteString(s string) (int, error) {
	if len(s) > bufferedReply {
		return p.Write([]byte(s))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.admit(len(s)); err != nil {
		return 0, err
	}
	if len(p.buf)+len(s) > bufferedReply {
		if err := p.push(nil); err != nil {
			return 0, err
		}
	}
	p.buf = append(p.buffer(), s...)
	return len(s), nil
}

// push gives the head and what is buffered to w. next is what will follow at
// once, for the guess of the type.
func (p *response) push(next []byte) error {
	if !p.sent {
		p.sent = true
		if start := p.buf; p.guess && len(start)+len(next) > 0 {
			if len(start) == 0 {
				start = next
			}
			p.frozen = append(p.frozen, cgi.Field{Name: "Content-Type", Value: http.DetectContentType(start)})
		}
		if p.length >= 0 {
			p.frozen = append(p.frozen, cgi.Field{Name: "Content-Length", Value: strconv.FormatInt(p.length, 10)})
		}
		if err := p.x.w.WriteHeader(p.status, p.frozen); err != nil {
			return err
		}
	}
	if len(p.buf) == 0 {
		return nil
	}
	buf := p.buf
	p.buf = p.buf[:0]
	if p.head {
		return nil
	}
	_, err := p.x.w.Write(buf)
	return err
}

// ReadFrom implements io.ReaderFrom: it lets a file go to the socket without
// being copied, where w can do that. Reading from anything else may take any
// time, so it is done without holding up what else is called.
func (p *response) ReadFrom(src io.Reader) (int64, error) {
	if part, ok := src.(*io.LimitedReader); ok {
		if _, ok := part.R.(*os.File); ok {
			if n, done, err := p.sendFile(part); done {
				return n, err
			}
		}
	}
	return io.Copy(struct{ io.Writer }{p}, src)
}

// sendFile is ReadFrom for a part of a file. It does nothing if w cannot do
// it, or the bytes have to be looked at.
func (p *response) sendFile(part *io.LimitedReader) (n int64, done bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.admit(0); err != nil {
		return 0, true, err
	}
	to, ok := p.x.w.(io.ReaderFrom)
	fits := p.length < 0 || part.N <= p.length-p.written
	if !ok || !fits || p.bare || p.guess && !p.sent || p.head {
		return 0, false, nil
	}
	if err := p.push(nil); err != nil {
		return 0, true, err
	}
	n, err = to.ReadFrom(part)
	p.written += n
	return n, true, err
}

// Flush implements http.Flusher.
func (p *response) Flush() { p.FlushError() }

// FlushError is Flush for http.ResponseController.
func (p *response) FlushError() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.admit(0); err != nil {
		return err
	}
	if err := p.push(nil); err != nil {
		return err
	}
	return p.x.w.Flush()
}

// finish ends the response of a handler that has returned. A body that is in
// the buffer to its last byte has a known length now; that of a HEAD request
// only if the handler wrote one.
func (p *response) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writeHeader(http.StatusOK)
	if !p.sent && p.length < 0 && !p.bare && (!p.head || p.written > 0) {
		p.length = p.written
	}
	// An error means that nobody is there to be told.
	p.push(nil)
	if !p.head && !p.bare && p.length >= 0 && p.written != p.length {
		p.x.w.Abort()
	}
	p.end()
}

// fail ends the response of a handler that panicked.
func (p *response) fail() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sent {
		p.x.w.Abort()
	} else {
		plainText(p.x.w, http.StatusInternalServerError)
	}
	p.end()
}

// abort ends the response as one that is broken.
func (p *response) abort() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.x.w.Abort()
	p.end()
}

// end keeps everybody away from w. mu is held.
func (p *response) end() {
	p.ended = true
	if p.buf != nil {
		replyBuffers.Put((*replyBuffer)(p.buf[:bufferedReply]))
		p.buf = nil
	}
}

// A replyBuffer holds what is written until it is given to w. Nobody else sees
// it, so it can be used again.
type replyBuffer [bufferedReply]byte

var replyBuffers = sync.Pool{New: func() any { return new(replyBuffer) }}

// buffer returns buf, with memory.
func (p *response) buffer() []byte {
	if p.buf == nil {
		return replyBuffers.Get().(*replyBuffer)[:0]
	}
	return p.buf
}
