package fastcgi

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/lazyctx"
)

// A requestState says what of a request may come next.
type requestState uint8

const (
	wantParams requestState = iota // PARAMS
	wantStdin                      // STDIN: its end, or what shows that there is a body
	running                        // the rest of STDIN, and DATA, while the handler runs
	dropped                        // nothing: it never runs
)

// A serverRequest is one request at the application's end.
type serverRequest struct {
	c  *serverConn
	id uint16

	// Of the goroutine that drives the connection.
	state  requestState
	raw    []byte    // PARAMS so far
	since  time.Time // when it was first seen to be incomplete
	role   cgi.Role
	length int64 // CONTENT_LENGTH, or -1
	body   bool  // there is, or may be, a body
	ended  bool  // STDIN has ended

	// Of the handler, once that runs.
	r       cgi.Request
	lists   [2][]cgi.Field // of r: what the handler puts in their place is its own
	ctx     lazyctx.Context
	stdin   stdin
	data    stdin // of a filter
	reply   cgi.Reply
	credit  credit       // for STDOUT
	granted atomic.Int64 // bytes of STDIN and DATA that may come
	taken   atomic.Int64 // bytes of them that were read since the last credit
	run     uint64       // the run in line, if it is one
	exited  bool         // the handler has ended its goroutine
	lent    atomic.Bool  // Stderr was asked for

	mu       sync.Mutex // guards what follows; taken before the outbox's
	stderr   bool       // something has been sent to STDERR
	over     bool       // END_REQUEST has been put in the outbox, or will never be
	deadline time.Time  // for writing, set by the handler
}

var serverRequests = sync.Pool{New: func() any { return new(serverRequest) }}

func newServerRequest(c *serverConn, id, role uint16) *serverRequest {
	q := serverRequests.Get().(*serverRequest)
	q.c, q.id = c, id
	q.r.Role = cgi.Role(role - RoleResponder)
	q.reply.Reset(q, &q.r)
	q.credit.init(c.credit.Load())
	q.granted.Store(c.window())
	q.taken.Store(0)
	return q
}

// free makes a request that has run in line ready to be used again, unless
// something of it was given away that may outlive the handler. Others are not
// used again: the driver may have looked them up in the meantime.
func (q *serverRequest) free() {
	if q.lent.Load() || q.ctx.Asked() || cap(q.raw) > keptBuffer {
		return
	}
	q.c, q.raw, q.state = nil, q.raw[:0], wantParams
	q.since, q.deadline = time.Time{}, time.Time{}
	q.body, q.ended = false, false
	q.ctx.Reset()
	q.run, q.exited, q.stderr, q.over = 0, false, false, false
	q.stdin.q, q.data.q = nil, nil
	q.r.Received, q.r.Header = q.lists[0], q.lists[1]
	serverRequests.Put(q)
}

func errorf(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
}

// take handles one piece. It returns q when that is ready to run.
func (q *serverRequest) take(p Piece) (ready *serverRequest, err error) {
	switch p.Type {
	case TypeParams:
		return q.takeParams(p)
	case TypeStdin:
		return q.takeStdin(p)
	case TypeData:
		return nil, q.takeData(p)
	case TypeAbortRequest:
		q.takeAbort()
	case TypeWindowUpdate:
		return nil, q.takeWindowUpdate(p)
	}
	return nil, nil
}

// takeParams handles a piece of PARAMS.
func (q *serverRequest) takeParams(p Piece) (ready *serverRequest, err error) {
	if q.state != wantParams {
		return nil, errorf("PARAMS of request %d after their end", q.id)
	}
	if !p.Ends {
		if max := q.c.server.limit.params; len(q.raw)+len(p.Content) > max {
			q.refuse(431, fmt.Errorf("%w: more than %d bytes", ErrTooLong, max))
			return nil, nil
		}
		q.raw = append(q.raw, p.Content...)
		return nil, nil
	}
	if status, err := q.c.receive(&q.r, q.raw); err != nil {
		q.refuse(status, err)
		return nil, nil
	}
	q.state, q.role, q.length = wantStdin, q.r.Role, q.r.ContentLength
	q.lists = [2][]cgi.Field{q.r.Received, q.r.Header}
	switch q.role {
	case cgi.Authorizer: // has no STDIN (FastCGI 1.0 §6.3)
		return q, nil
	case cgi.Filter:
		q.expectBody()
		q.c.bodies = append(q.c.bodies, q)
		return nil, nil
	}
	if q.length > 0 || q.length < 0 && chunked(&q.r) {
		q.expectBody()
		q.c.bodies = append(q.c.bodies, q)
	}
	return nil, nil
}

// chunked reports whether there is a body, of a length that the web server does
// not know.
func chunked(r *cgi.Request) bool {
	_, ok := r.Param("HTTP_TRANSFER_ENCODING")
	return ok
}

// receive makes the request of its params. On an error, status is the answer.
func (c *serverConn) receive(r *cgi.Request, raw []byte) (status int, err error) {
	if _, err := countPairs(raw, c.server.limit.pairs); errors.Is(err, ErrTooLong) {
		return 431, err
	} else if err != nil {
		return 400, err
	}
	c.params.Start(r)
	for len(raw) > 0 {
		name, value, w := pairLens(raw)
		raw = raw[w:]
		if err := c.params.Param(raw[:name], raw[name:name+value]); err != nil {
			return 400, err
		}
		raw = raw[name+value:]
	}
	return 400, c.params.End()
}

// expectBody makes ready for a body.
func (q *serverRequest) expectBody() {
	q.c.mu.Lock() // Close may be calling lose, or have called it
	defer q.c.mu.Unlock()
	q.body = true
	q.stdin.init(q, TypeStdin, q.length)
	q.r.Body = &q.stdin
	if q.r.Data != nil {
		q.data.init(q, TypeData, q.r.Data.Length)
		q.r.Data.Body = &q.data
	}
	if q.c.cause != nil {
		q.stdin.fail(q.c.cause)
		q.data.fail(q.c.cause)
	}
}

// takeStdin handles a piece of STDIN. A body that is here to its end before all
// that has been read is decoded does not need a goroutine of its own.
func (q *serverRequest) takeStdin(p Piece) (ready *serverRequest, err error) {
	switch {
	case q.state == wantParams:
		return nil, errorf("STDIN of request %d before the end of its PARAMS", q.id)
	case q.role == cgi.Authorizer:
		return nil, nil
	case q.ended:
		return nil, errorf("STDIN of request %d after its end", q.id)
	case !q.body && q.state == wantStdin && !p.Ends && q.length != 0:
		q.expectBody()
		q.c.bodies = append(q.c.bodies, q)
	}
	q.ended = p.Ends
	if err := q.stdin.take(p); err != nil {
		return nil, err
	}
	if p.Ends && q.state == wantStdin && q.role != cgi.Filter {
		return q, nil
	}
	return nil, nil
}

// takeData handles a piece of DATA, which only filters get.
func (q *serverRequest) takeData(p Piece) error {
	switch {
	case q.state == wantParams:
		return errorf("DATA of request %d before the end of its PARAMS", q.id)
	case q.role != cgi.Filter:
		return nil // a stream that is not for this role
	}
	return q.data.take(p)
}

// takeAbort handles ABORT_REQUEST. The answer to it is END_REQUEST, which
// comes when the handler has returned.
func (q *serverRequest) takeAbort() {
	if q.state == running {
		q.lose(ErrAborted)
		return
	}
	q.drop(func(dst []byte) []byte { return AppendEndRequest(dst, q.id, End{}) })
}

// refuse answers with a status, without the handler.
func (q *serverRequest) refuse(status int, why error) {
	q.c.server.warn("request refused", slog.String("peer", q.c.nc.RemoteAddr().String()), slog.Int("status", status), slog.Any("err", why))
	text := cgi.StatusText(status)
	head := fmt.Sprintf("Status: %d %s\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\n", status, text, text)
	q.drop(func(dst []byte) []byte {
		dst = AppendStream(dst, TypeStdout, q.id, []byte(head))
		dst = AppendEnd(dst, TypeStdout, q.id)
		return AppendEndRequest(dst, q.id, End{})
	})
}

// drop ends a request that does not run. What follows of it is ignored.
func (q *serverRequest) drop(last func(dst []byte) []byte) {
	c := q.c
	q.state = dropped
	c.settled(q)
	q.stdin.close()
	q.data.close()
	c.remove(q, false)
	c.out.add(last)
	c.active.Add(-1)
	q.ctx.End(ErrAborted)
}

// takeWindowUpdate handles a piece of WINDOW_UPDATE.
func (q *serverRequest) takeWindowUpdate(p Piece) error {
	if !q.credit.limited() {
		return nil // a type that we do not know, as far as this web server can tell
	}
	n, err := parseWindowUpdate(p)
	if err != nil {
		return err
	}
	return q.credit.give(n)
}

// overdue returns the time by which the params must be here, or deadline if
// that is earlier.
func (q *serverRequest) overdue(now time.Time, timeout time.Duration, deadline time.Time) time.Time {
	if q.state == running {
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

// settled takes q from what the driver has to look after: it may soon be used
// for another request.
func (c *serverConn) settled(q *serverRequest) {
	c.pending--
	c.latest = nil
	if i := slices.Index(c.bodies, q); i >= 0 {
		c.bodies = slices.Delete(c.bodies, i, i+1)
	}
}
