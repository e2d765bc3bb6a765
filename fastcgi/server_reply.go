package fastcgi

import (
	"io"
	"os"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/dial"
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
		n, err := q.takeCredit(min(len(b), maxPiece))
		if err != nil || n == len(b) {
			return b, err
		}
		if err := q.sendPiece(nil, b[:n]); err != nil {
			return nil, err
		}
		b = b[n:]
	}
}

// takeCredit waits for credit, for no longer than a write may take.
func (q *serverRequest) takeCredit(n int) (int, error) {
	var overdue *time.Timer
	n, err := q.credit.take(n, func() {
		q.waitElsewhere()
		if patience := q.patience(); patience >= 0 {
			overdue = time.AfterFunc(patience, func() {
				q.credit.fail(dial.Timeout("fastcgi: write: the web server has not taken more of the response in time"))
			})
		}
	})
	if overdue != nil {
		overdue.Stop()
	}
	return n, err
}

// patience returns how long a write may take, or a negative time.
func (q *serverRequest) patience() time.Duration {
	q.mu.Lock()
	defer q.mu.Unlock()
	most := q.c.server.limit.writeTimeout
	if q.deadline.IsZero() {
		return most
	}
	left := max(time.Until(q.deadline), 0)
	if most >= 0 {
		left = min(left, most)
	}
	return left
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
	deadline, err := q.writeBy()
	q.mu.Unlock()
	if err != nil {
		return err
	}
	return q.c.out.send(func(dst []byte) []byte {
		dst = AppendStream(dst, TypeStdout, q.id, a)
		if len(b) > 0 {
			dst = AppendHeader(dst, TypeStdout, q.id, uint16(len(b)), 0)
		}
		return dst
	}, b, deadline)
}

// writeBy returns the deadline for a write of this request. On a connection that
// others share it must not cut a write that has begun, which would cost them
// the connection. mu is held.
func (q *serverRequest) writeBy() (time.Time, error) {
	switch {
	case q.deadline.IsZero():
		return time.Time{}, nil
	case !time.Now().Before(q.deadline):
		return time.Time{}, os.ErrDeadlineExceeded
	case q.c.shown.Load():
		return time.Time{}, nil
	}
	return q.deadline, nil
}

// SetWriteDeadline makes writes after t fail, and with them the response. One
// that blocks at that time fails, too, unless others share the connection: then
// it goes on until WriteTimeout. It is found by cgihttp.
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
	deadline, err := q.writeBy()
	if err != nil {
		return 0, err
	}
	q.stderr = true
	if err := q.c.out.send(func(dst []byte) []byte { return AppendStream(dst, TypeStderr, q.id, b) }, nil, deadline); err != nil {
		return 0, err
	}
	return len(b), nil
}
