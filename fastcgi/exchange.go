package fastcgi

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/dial"
	"github.com/sluice-gateway/sluice/internal/linelog"
)

// An exchange is one request on one connection. Three goroutines meet in it:
// the caller, who waits for the answer and reads its body; the connection's
// reader, who feeds it; and, if there is a request body, the sender.
type exchange struct {
	ctx      context.Context
	c        *conn
	r        *cgi.Request
	id       uint16
	over     bool // under conn.mu: the answer has ended
	finished atomic.Bool
	place                // in the application's queue, on a new connection
	stall    *time.Timer // runs until an answer that was aborted must end
	asked    time.Time   // since when the next of STDOUT is waited for; the caller's
	pieces   int         // of STDOUT, when that began; the caller's
	waiter   *waiter     // the caller's; nil after free
	length   int64       // of the body, as the application has announced it, or -1; the caller's

	sent   atomic.Int64 // bytes of the request that the kernel took, see sentBytes
	head   int64        // bytes of the head, on a shared connection
	headAt int64        // where it is in the outbox
	credit credit       // for STDIN and DATA
	bodies []stream
	sender sender

	reading  sync.Mutex // held while the body is read
	mu       sync.Mutex // guards what follows
	changed  sync.Cond  // the caller took some of the body, or will not
	a        answer
	log      *linelog.Lines
	token    chan struct{} // of the waiter
	err      error         // why there is no (further) answer
	sendErr  error
	sending  bool
	dirty    bool  // the connection cannot be used again
	timed    bool  // a deadline has been set on the connection
	held     bool  // the reader has still to look at what follows the end of the answer
	settled  bool  // the connection is not ours any more
	released bool  // and may be another's
	aborted  bool  // the application was asked to end the answer
	waiting  bool  // noted with the host as a request on a new connection
	taken    int   // bytes of the answer that the caller took and the application was not told of
	may      int64 // bytes of the answer that may still come, if there is flow control

	rest []byte // of the body, what the caller has in hand
	resp cgi.Response
}

func newExchange(ctx context.Context, c *conn, r *cgi.Request) *exchange {
	w := c.takeWaiter()
	client := c.host.client
	x := &exchange{ctx: ctx, c: c, r: r, waiter: w, token: w.token}
	x.changed.L = &x.mu
	x.may = int64(client.window())
	x.a.parser.MaxBytes, x.a.parser.MaxFields = client.MaxHead, client.MaxFields
	x.a.body.Store, x.a.body.Window = &client.spill, client.window()
	if c.most == 1 {
		x.a.body.Window = -1 // the reader waits
	}
	if client.Log != nil {
		x.a.stderr = x.stderr
	}
	return x
}

// run sends the request and waits for the head of its answer.
func (x *exchange) run(head []byte) (*cgi.Response, error) {
	if x.c.answers.Load() == 0 && x.c.most == 1 {
		x.waiting = true
		x.c.host.wait(&x.place)
	}
	if err := x.send(head); err != nil {
		x.abort(err)
		return nil, x.failed("send", err)
	}
	h, err := x.awaitHead()
	if err != nil {
		x.abort(err)
		return nil, err
	}
	x.resp = cgi.Response{Head: h, Body: (*responseBody)(x)}
	return &x.resp, nil
}

// awaitHead waits for the head and passes interim responses on.
func (x *exchange) awaitHead() (cgi.Head, error) {
	for {
		x.mu.Lock()
		interim := x.a.interim
		x.a.interim = nil
		x.grant(x.a.parsed)
		x.a.parsed = 0
		head, have, err := x.a.head, x.a.haveHead, x.err
		x.mu.Unlock()
		for _, h := range interim {
			if x.r.Informational != nil {
				x.r.Informational(h.Status, h.Header)
			}
		}
		switch {
		case have:
			x.length = bodyLength(x.r.Method, head)
			return head, nil
		case err != nil:
			return head, x.failed("receive", err)
		}
		if err := x.block(); err != nil {
			return head, err
		}
	}
}

// failed makes the error of the exchange.
func (x *exchange) failed(op string, err error) error {
	if done, ok := errors.AsType[*Error](err); ok {
		return done
	}
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	x.mu.Lock()
	begun, answering := x.a.started, x.answering()
	x.mu.Unlock()
	e := &Error{Protocol: "fastcgi", Op: op, Addr: x.c.host.name, Sent: x.sentBytes(), Err: dial.Bare(err)}
	sending, ok := errors.AsType[*sendError](err)
	if ok {
		e.Op = "send"
	}
	_, wrongID := errors.AsType[*wrongIDError](err)
	ours := ok && sending.body || errors.Is(err, ErrTooLong) // would go wrong again
	e.SafeToRetry = !ours && (e.Sent == 0 || !begun && (dial.Broken(err) || wrongID) && x.r.Idempotent())
	if refused, ok := errors.AsType[*RefusedError](err); ok {
		e.Op, e.Refused, e.SafeToRetry = "answer", refused.notNow(), refused.notNow() && !answering
	}
	return e
}

// feed takes one piece; the connection's reader calls it. end tells that the
// answer has ended. An error means that the connection is lost. x.mu is held.
func (x *exchange) feed(p Piece) (end bool, err error) {
	if p.Type == TypeWindowUpdate && x.c.flow.Load() > 0 {
		n, err := parseWindowUpdate(p)
		if err == nil {
			err = x.credit.give(n)
		}
		return false, err
	}
	if err = x.count(p); err != nil {
		return false, err
	}
	err = x.a.feed(p)
	if x.waiting {
		x.waiting = false
		x.c.host.answered(&x.place)
	}
	switch {
	case x.a.end:
		x.held = true
		if x.err == nil {
			x.err = err
		}
		return true, nil
	case err == nil && x.c.streams == nil && x.a.discard && x.a.size > drainBytes:
		return false, errUnwanted
	case err == nil || x.c.streams == nil || errors.Is(err, ErrMalformed):
		return false, err
	}
	// What is wrong is this answer; the connection is other requests', too.
	if x.err == nil && !x.a.discard {
		x.err = err
		x.stopAnswer()
	}
	return false, nil
}

// count counts what comes against the credit that the application has, if it
// keeps to one (doc/flow-control.md). x.mu is held.
func (x *exchange) count(p Piece) error {
	if p.Type != TypeStdout {
		return nil
	}
	x.may -= int64(len(p.Content))
	if x.may < 0 && x.c.flow.Load() > 0 {
		return errorf("STDOUT of request %d is %d bytes more than its credit", x.id, -x.may)
	}
	return nil
}
