package fastcgi

import (
	"io"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A serverRequest is the cgi.ResponseWriter of its handler. cgi.Reply keeps
// the rules; what is here makes records of it.
var (
	_ cgi.ResponseWriter = (*serverRequest)(nil)
	_ io.ReaderFrom      = (*serverRequest)(nil)
	_ cgi.Output         = (*serverRequest)(nil)
)

// WriteHeader implements cgi.ResponseWriter.
func (q *serverRequest) WriteHeader(status int, h cgi.Header) error {
	return q.reply.WriteHeader(status, h)
}

// Write implements cgi.ResponseWriter.
func (q *serverRequest) Write(p []byte) (int, error) { return q.reply.Write(p) }

// ReadFrom implements io.ReaderFrom.
func (q *serverRequest) ReadFrom(src io.Reader) (int64, error) { return q.reply.ReadFrom(src) }

// Flush implements cgi.ResponseWriter.
func (q *serverRequest) Flush() error { return q.reply.Flush() }

// Abort implements cgi.ResponseWriter.
func (q *serverRequest) Abort() { q.reply.Abort() }

// Gone implements cgi.Output.
func (q *serverRequest) Gone() error { return q.ctx.Why() }

// Send implements cgi.Output: gathered and p become records of STDOUT.
func (q *serverRequest) Send(gathered, p []byte) error {
	if q.credit.limited() {
		for _, b := range [][]byte{gathered, p} {
			if rest, err := q.spend(b); err != nil {
				return err
			} else if err := q.sendPiece(nil, rest); err != nil {
				return err
			}
		}
		return nil
	}
	for len(gathered) > maxPiece {
		if err := q.sendPiece(nil, gathered[:maxPiece]); err != nil {
			return err
		}
		gathered = gathered[maxPiece:]
	}
	for {
		n := min(len(p), maxPiece)
		if err := q.sendPiece(gathered, p[:n]); err != nil {
			return err
		}
		if gathered, p = nil, p[n:]; len(p) == 0 {
			return nil
		}
	}
}

// spend sends as much of b as takes waiting for credit, and returns the rest,
// for which there is credit.
func (q *serverRequest) spend(b []byte) (rest []byte, err error) {
	for {
		if len(b) == 0 {
			return nil, nil
		}
		n, err := q.credit.take(min(len(b), maxPiece), q.waitElsewhere)
		if err != nil || n == len(b) {
			return b, err
		}
		if err := q.sendPiece(nil, b[:n]); err != nil {
			return nil, err
		}
		b = b[n:]
	}
}

// waitElsewhere is called before the handler waits for something that the
// driver of the connection must read.
func (q *serverRequest) waitElsewhere() {
	if run := q.run; run != 0 {
		q.run = 0
		q.c.pass(run)
	}
}

// sendPiece sends a and b as a record each; they fit, and may be empty. What is
// larger is not copied.
func (q *serverRequest) sendPiece(a, b []byte) error {
	q.mu.Lock()
	deadline := q.deadline
	q.mu.Unlock()
	return q.c.out.send(func(dst []byte) []byte {
		dst = AppendStream(dst, TypeStdout, q.id, a)
		if len(b) > 0 {
			dst = AppendHeader(dst, TypeStdout, q.id, uint16(len(b)), 0)
		}
		return dst
	}, b, deadline)
}

// SetWriteDeadline makes writes after t fail, and with them the connection. It
// is found by cgihttp.
func (q *serverRequest) SetWriteDeadline(t time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.deadline = t
	return nil
}

// Stderr is found by cgi.Stderr. Unlike the rest of a ResponseWriter it may be
// used by several goroutines, and what is written is sent at once: it may be
// the last that a handler has to say.
func (q *serverRequest) Stderr() io.Writer {
	q.lent.Store(true)
	return (*stderr)(q)
}

type stderr serverRequest

func (w *stderr) Write(b []byte) (int, error) {
	q := (*serverRequest)(w)
	if err := q.Gone(); err != nil {
		return 0, err
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.over:
		return 0, errEnded
	case len(b) == 0:
		return 0, nil
	}
	q.stderr = true
	if err := q.c.out.send(func(dst []byte) []byte { return AppendStream(dst, TypeStderr, q.id, b) }, nil, q.deadline); err != nil {
		return 0, err
	}
	return len(b), nil
}
