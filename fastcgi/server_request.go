package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A requestState says what of a request may come next. Its end is not a
// state: then it is not in its connection's table any more.
type requestState uint8

const (
	wantParams requestState = iota // PARAMS
	wantStdin                      // the first of STDIN, which tells whether there is a body
	running                        // STDIN, while the handler runs
	refused                        // nothing: an answer is on its way, without a handler
)

// A serverRequest is one request at the application's end. Handlers may keep
// parts of it, so it is used once.
type serverRequest struct {
	c  *serverConn
	id uint16

	// Of the connection's reader.
	state requestState
	raw   *bytesBuffer // PARAMS so far
	since time.Time    // when it was first seen to be incomplete

	r      *cgi.Request // set before the handler runs, like ctx and cancel
	ctx    context.Context
	cancel context.CancelCauseFunc

	stdin stdin
	reply reply

	// Guarded by the connection's wmu.
	sent     bool      // something has been written
	stderr   bool      // to STDERR
	over     bool      // END_REQUEST has been written, or will never be
	deadline time.Time // for writing, set by the handler
}

func newServerRequest(c *serverConn, id uint16) *serverRequest {
	q := &serverRequest{c: c, id: id}
	q.ctx, q.cancel = context.WithCancelCause(context.Background())
	q.stdin.init(limit(c.server.MaxBodyAhead, DefaultMaxBodyAhead))
	q.reply.q = q
	return q
}

func errorf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// takeParams handles a piece of PARAMS.
func (q *serverRequest) takeParams(p Piece) error {
	switch {
	case q.state == refused:
		return nil
	case q.state != wantParams:
		return errorf("PARAMS of request %d after their end", q.id)
	}
	if q.raw == nil {
		q.raw = bodies.Get().(*bytesBuffer)
	}
	if !p.Ends {
		if max := limit(q.c.server.MaxParams, DefaultMaxParams); len(q.raw.b)+len(p.Content) > max {
			q.refuse(431, fmt.Errorf("%w: more than %d bytes", ErrTooLong, max))
			return nil
		}
		q.raw.b = append(q.raw.b, p.Content...)
		return nil
	}
	fields, err := ParsePairs(q.raw.b, limit(q.c.server.MaxPairs, DefaultMaxPairs))
	switch {
	case errors.Is(err, ErrTooLong):
		q.refuse(431, err)
		return nil
	case err != nil:
		q.refuse(400, err)
		return nil
	}
	r, err := cgi.FromParams(fields)
	if err != nil {
		q.refuse(400, err)
		return nil
	}
	q.raw.free()
	q.raw = nil
	q.r = r
	q.state = wantStdin
	if r.ContentLength > 0 {
		q.start(true)
	}
	return nil
}

// takeStdin handles a piece of STDIN.
func (q *serverRequest) takeStdin(p Piece) error {
	switch q.state {
	case refused:
		return nil
	case wantParams:
		return errorf("STDIN of request %d before the end of its PARAMS", q.id)
	case wantStdin:
		q.start(!p.Ends && q.r.ContentLength != 0)
	}
	switch {
	case p.Ends:
		q.stdin.end()
	case !q.stdin.fits():
		// The reader is about to wait, perhaps for long: what it has to say
		// must go out first. An error is seen by the next Read.
		q.c.sendControl()
		fallthrough
	default:
		if !q.stdin.add(p.Content) {
			return errorf("STDIN of request %d after its end", q.id)
		}
	}
	return nil
}

// takeAbort handles ABORT_REQUEST. The answer to it is END_REQUEST, which
// comes when the handler has returned.
func (q *serverRequest) takeAbort() {
	switch q.state {
	case wantParams, wantStdin:
		q.state = refused
		q.c.pending--
		q.c.control = AppendEndRequest(q.c.control, q.id, End{})
		q.c.refused = append(q.c.refused, q)
		q.drop()
	case running:
		q.lose(ErrAborted)
	}
}

// refuse answers with a status, without the handler.
func (q *serverRequest) refuse(status int, why error) {
	c := q.c
	c.server.warn("request refused", slog.String("peer", c.nc.RemoteAddr().String()), slog.Int("status", status), slog.Any("err", why))
	text := statusText(status)
	head := fmt.Sprintf("Status: %d %s\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\n", status, text, text)
	c.control = AppendStream(c.control, TypeStdout, q.id, []byte(head))
	c.control = AppendEnd(c.control, TypeStdout, q.id)
	c.control = AppendEndRequest(c.control, q.id, End{})
	c.refused = append(c.refused, q)
	c.pending--
	q.state = refused
	q.drop()
}

// drop frees what a request holds that will not run.
func (q *serverRequest) drop() {
	q.raw.free()
	q.raw = nil
	q.cancel(nil)
}

// overdue returns the time by which the params must be here, or deadline if
// that is earlier.
func (q *serverRequest) overdue(now time.Time, timeout time.Duration, deadline time.Time) time.Time {
	if q.state != wantParams && q.state != wantStdin {
		return deadline
	}
	if q.since.IsZero() {
		q.since = now
	}
	if mine := q.since.Add(timeout); mine.Before(deadline) {
		return mine
	}
	return deadline
}

// start runs the handler. The connection waits for its goroutine, which ends
// when the handler returns: ctx tells it to, and no Read or Write of it blocks
// once the connection is closed.
func (q *serverRequest) start(body bool) {
	q.state = running
	q.c.pending--
	if body {
		q.r.Body = &q.stdin
		q.stdin.expect(q.r.ContentLength)
	} else {
		q.r.ContentLength = 0
		q.stdin.expect(0)
	}
	q.c.handlers.Add(1)
	go q.run()
}

func (q *serverRequest) run() {
	defer q.c.handlers.Done()
	returned := false
	defer func() {
		if !returned {
			q.failed(recover()) // nil after runtime.Goexit
		}
		q.end()
	}()
	q.c.server.Handler.ServeCGI(q.ctx, &q.reply, q.r)
	returned = true
}

// failed is called when the handler did not return.
func (q *serverRequest) failed(v any) {
	if v != nil && q.c.server.Log != nil {
		q.c.server.Log.LogAttrs(context.Background(), slog.LevelError, "handler panicked",
			slog.String("method", q.r.Method),
			slog.String("path", q.r.Path()),
			slog.Any("panic", v),
			slog.String("stack", string(debug.Stack())))
	}
	q.reply.fail()
}

// lose tells the handler that nobody waits for its answer.
func (q *serverRequest) lose(cause error) {
	q.cancel(cause)
	q.stdin.fail(cause)
}

// gone returns why nobody waits for the answer, or nil.
func (q *serverRequest) gone() error {
	if q.ctx.Err() == nil {
		return nil
	}
	return context.Cause(q.ctx)
}

// end is called when the handler has returned.
func (q *serverRequest) end() {
	c := q.c
	complete := q.stdin.close()
	out, whole := q.reply.end()
	c.wmu.Lock()
	q.over = true
	c.remove(q, complete)
	if out != nil {
		if whole {
			out.b = q.appendEnd(out.b)
		}
		c.write(q, out.b) // an error closes the connection, which is all there is to do
	}
	c.wmu.Unlock()
	c.active.Add(-1)
	out.free()
	q.cancel(nil)
	if whole {
		c.settle()
	} else {
		c.breakResponse()
	}
}

// appendEnd appends the ends of the streams, and of the request.
func (q *serverRequest) appendEnd(dst []byte) []byte {
	if q.stderr {
		dst = AppendEnd(dst, TypeStderr, q.id)
	}
	dst = AppendEnd(dst, TypeStdout, q.id)
	return AppendEndRequest(dst, q.id, End{})
}
