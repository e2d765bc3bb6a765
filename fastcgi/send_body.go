package fastcgi

import (
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/dial"
)

// A stream is what is sent after the head.
type stream struct {
	kind   Type
	from   cgi.Body
	length int64 // bytes that the params announce; negative: not known
}

// failed is the error of a stream that cannot be read.
func (s stream) failed(err error) error {
	name := "request body"
	if s.kind == TypeData {
		name = "filter data"
	}
	return &sendError{fmt.Errorf("%s: %w", name, err), true}
}

// setBodies notes what is sent after the head: for a filter STDIN and then DATA
// (FastCGI 1.0 §6.4), for an authorizer nothing.
func (x *exchange) setBodies() {
	r := x.r
	if r.Body != nil && r.Role != cgi.Authorizer {
		x.bodies = append(x.bodies, stream{TypeStdin, r.Body, r.ContentLength})
	}
	if r.Role == cgi.Filter && r.Data != nil {
		data := r.Data.Body
		if data == nil {
			data = cgi.BytesBody(nil) // an empty file
		}
		x.bodies = append(x.bodies, stream{TypeData, data, r.Data.Length})
	}
}

// sendBodies is a goroutine: it sends the request body while the answer is
// read, because an application may answer before it has read its input, and if
// neither side reads, both block for ever. After finish it reads no body any
// more; if it is in a write then, the connection waits for it.
func (x *exchange) sendBodies() {
	defer x.c.running.add(-1)
	f := buffers.Get().(*buffer)
	defer f.free()
	if cap(f.b) < sendBuffer+2*headerLen {
		f.b = make([]byte, 0, sendBuffer+2*headerLen)
	}
	var err error
	for _, s := range x.bodies {
		if err = x.sendBody(f.b[:0], s); err != nil {
			break
		}
	}
	x.senderDone(err)
}

// sendBody sends one stream, with its end: as many bytes as the application was
// told, if it was. It would take a body that ends before for a whole one.
func (x *exchange) sendBody(out []byte, s stream) error {
	for left := s.length; ; {
		content := out[headerLen : headerLen+sendBuffer]
		if left >= 0 {
			content = content[:min(int64(len(content)), left)]
		}
		n, err := 0, io.EOF
		if len(content) > 0 {
			n, err = x.sender.read(s.from, content)
		}
		last := errors.Is(err, io.EOF)
		if left >= 0 {
			// The end goes with the last bytes: an application that counts
			// answers when it has those, and an answer that overtakes the end
			// of the request costs the connection.
			left -= int64(n)
			last = left == 0
		}
		if werr := x.sendPiece(out, s.kind, content[:n], last); werr != nil || last {
			return werr
		}
		if errors.Is(err, io.EOF) {
			err = fmt.Errorf("ends %d bytes before its length of %d: %w", left, s.length, io.ErrUnexpectedEOF)
		}
		if err != nil {
			return s.failed(err)
		}
	}
}

// sendPiece sends content, which stands in out behind room for a header, as far
// as there is credit, and the end of the stream after it.
func (x *exchange) sendPiece(out []byte, kind Type, content []byte, last bool) error {
	for {
		n, err := len(content), error(nil)
		if x.credit.limited() && n > 0 {
			if n, err = x.takeCredit(n); err != nil {
				return err
			}
		}
		b := out[:0]
		if n > 0 {
			b = append(AppendHeader(b, kind, x.id, uint16(n), 0), content[:n]...) // where it is already, the first time
		}
		if content = content[n:]; len(content) == 0 && last {
			b = AppendEnd(b, kind, x.id)
		}
		if err := x.write(b); err != nil || len(content) == 0 {
			return err
		}
		// There was not credit enough: the rest moves to where its header fits.
		content = out[headerLen : headerLen+copy(out[headerLen:headerLen+sendBuffer], content)]
	}
}

// takeCredit waits for credit for up to n bytes: for no longer than a write may
// take.
func (x *exchange) takeCredit(n int) (int, error) {
	var overdue *time.Timer
	n, err := x.credit.take(n, func() {
		if t := x.c.bounds.write; t > 0 {
			overdue = time.AfterFunc(t, func() {
				x.credit.fail(&sendError{dial.Timeout(fmt.Sprintf("the application has not read on in the request body for %v", t)), false})
			})
		}
	})
	if overdue != nil {
		overdue.Stop()
	}
	return n, err
}

// write sends a piece of the body.
func (x *exchange) write(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if x.c.streams != nil {
		if err := x.c.out.send(nil, b, time.Time{}); err != nil {
			return err
		}
		x.sent.Add(int64(len(b)))
		return nil
	}
	x.writeBy()
	n, err := x.c.nc.Write(b)
	x.sent.Add(int64(n))
	if isTimeout(err) {
		t := x.c.bounds.write
		err = &sendError{dial.Timeout(fmt.Sprintf("the application has not read on in the request body for %v", t)), false}
	}
	return err
}

// senderDone ends the sending. That the application does not read on is no
// failure yet: its answer may be on the way. That the request body cannot be
// read is one, and so is an application that does not read for too long.
func (x *exchange) senderDone(err error) {
	failed, ok := errors.AsType[*sendError](err)
	if ok && !x.finished.Load() {
		x.setErr(err)
	}
	if ok && (failed.body || !x.finished.Load()) {
		x.drop(err)
	}
	x.mu.Lock()
	x.sending = false
	x.sendErr = err
	x.changed.Broadcast()
	x.mu.Unlock()
	x.settle()
	x.signal()
}

// setErr ends the answer with an error of our side.
func (x *exchange) setErr(err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.err == nil && !x.a.end {
		x.err = err
	}
}

// A sendError is why a request body could not be sent.
type sendError struct {
	err  error
	body bool // it could not be read; or else the application does not
}

func (e *sendError) Error() string { return e.err.Error() }
func (e *sendError) Unwrap() error { return e.err }

func isTimeout(err error) bool {
	var t interface{ Timeout() bool }
	return errors.As(err, &t) && t.Timeout()
}

// A sender makes sure that the body of a request is not read after the exchange
// has been finished.
type sender struct {
	mu      sync.Mutex
	idle    sync.Cond
	reading cgi.Body // nil if none is being read
	stopped bool
}

var errStopped = errors.New("the exchange is over")

// read reads from body, unless the exchange is over.
func (s *sender) read(body cgi.Body, p []byte) (n int, err error) {
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return 0, errStopped
	}
	s.reading = body
	s.mu.Unlock()
	n, err = body.Read(p)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reading = nil
	if s.stopped {
		s.idle.Broadcast()
		return 0, errStopped
	}
	return n, err
}

// stop ends the reading, and wakes the sender if it waits to write. It is not
// waited for in a write to a shared connection, which may take others' time.
func (s *sender) stop(x *exchange) {
	x.mu.Lock()
	sending, own := x.sending, x.c.streams == nil
	if sending && own && !x.settled {
		x.timed = true
		x.c.nc.SetWriteDeadline(time.Now().Add(drainTime))
	}
	x.mu.Unlock()
	if !sending {
		return
	}
	x.credit.fail(errStopped)
	s.stopReading()
	x.mu.Lock()
	defer x.mu.Unlock()
	for own && x.sending {
		x.changed.Wait()
	}
}

func (s *sender) stopReading() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.idle.L = &s.mu
	s.stopped = true
	for s.reading != nil {
		s.reading.Cancel()
		s.idle.Wait()
	}
}
