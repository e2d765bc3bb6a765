package fastcgi

import (
	"context"
	"errors"
	"log/slog"
	"runtime/debug"

	"github.com/sluice-gateway/sluice/cgi"
)

// start is called by the driver when the handler is about to run.
func (c *serverConn) start(q *serverRequest) {
	q.state = running
	c.settled(q)
	if !q.body {
		q.r.ContentLength = 0
	}
}

// serve runs the handler, and ends the request.
func (q *serverRequest) serve() {
	returned := false
	defer func() {
		if !returned {
			v := recover()
			q.exited = v == nil // runtime.Goexit
			q.failed(v)
		}
		q.end()
	}()
	q.c.server.handler(uint16(q.role)+RoleResponder).ServeCGI(&q.ctx, q, &q.r)
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
	q.reply.Fail()
}

// lose tells the handler that nobody waits for its answer.
func (q *serverRequest) lose(cause error) {
	q.ctx.End(cause)
	q.stdin.fail(cause)
	q.data.fail(cause)
	q.credit.fail(cause)
}

// end is called when the handler has returned. Its last records leave with the
// next flush.
func (q *serverRequest) end() {
	c := q.c
	complete := q.stdin.close()
	switch q.role {
	case cgi.Authorizer:
		complete = false // some web servers send the end of STDIN all the same
	case cgi.Filter:
		complete = q.data.close() && complete
	}
	rest, whole, err := q.reply.End()
	if err != nil && q.Gone() == nil {
		c.server.warn("response refused", slog.Any("err", err))
	}
	gone := q.Gone()
	if gone == nil && len(rest) > 0 && q.credit.limited() {
		var err error
		if rest, err = q.spend(rest); err != nil {
			rest, whole, gone = nil, false, q.Gone()
		}
	}
	q.mu.Lock()
	q.over = true
	c.remove(q, complete)
	much := false
	switch {
	case gone == nil:
		much = c.out.add(func(dst []byte) []byte { return q.appendLast(dst, rest, whole) })
	case errors.Is(gone, ErrAborted):
		whole = true
		c.out.add(func(dst []byte) []byte { return q.appendLast(dst, nil, true) })
	}
	q.mu.Unlock()
	if much {
		c.out.flush()
	}
	c.active.Add(-1)
	q.ctx.End(nil)
	if !whole && gone == nil {
		c.out.flush()
		c.breakResponse()
	}
}

// appendLast appends what is left of STDOUT and, if the response is whole, the
// ends of the streams, and of the request.
func (q *serverRequest) appendLast(dst, rest []byte, whole bool) []byte {
	dst = AppendStream(dst, TypeStdout, q.id, rest)
	if !whole {
		return dst
	}
	if q.stderr {
		dst = AppendEnd(dst, TypeStderr, q.id)
	}
	dst = AppendEnd(dst, TypeStdout, q.id)
	return AppendEndRequest(dst, q.id, End{})
}
