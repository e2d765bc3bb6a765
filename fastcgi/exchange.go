package fastcgi

import (
	"context"
	"errors"
	"fmt"
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
	ctx     context.Context
	c       *conn
	r       *cgi.Request
	id      uint16
	over    bool        // under conn.mu: the answer has ended
	started time.Time   // set on a new connection
	stall   *time.Timer // the same; or runs until an answer that was aborted must end
	asked   time.Time   // since when the next of STDOUT is waited for; the caller's
	pieces  int         // of STDOUT, when that began; the caller's
	waiter  *waiter     // the caller's; nil after finish

	sent     atomic.Int64 // bytes of the request that the kernel took
	finished atomic.Bool
	credit   credit // for STDIN and DATA
	bodies   []stream
	sender   sender

	mu       sync.Mutex // guards what follows
	changed  sync.Cond  // the caller took some of the body, or will not
	a        answer
	log      *linelog.Lines
	token    chan struct{} // of the waiter
	err      error         // why there is no (further) answer
	sendErr  error
	sending  bool
	dirty    bool // the connection cannot be used again
	timed    bool // a deadline has been set on the connection
	held     bool // the reader has still to look at what follows the end of the answer
	settled  bool // the connection is not ours any more
	released bool // and may be another's
	aborted  bool // the application was asked to end the answer
	waiting  bool // noted with the host as a request on a new connection
	taken    int  // bytes of the body that the caller took and the application was not told of

	rest []byte // of the body, what the caller has in hand
	resp cgi.Response
}

// A waiter is what the caller of an exchange waits with. Its connection uses
// it again for the next one; a token too much does no harm.
type waiter struct {
	token chan struct{} // holds one token when something changed
	timer *time.Timer
}

func newWaiter() *waiter {
	w := &waiter{token: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
	w.timer.Stop()
	return w
}

func newExchange(ctx context.Context, c *conn, r *cgi.Request) *exchange {
	w := c.takeWaiter()
	x := &exchange{ctx: ctx, c: c, r: r, waiter: w, token: w.token}
	x.changed.L = &x.mu
	client := c.host.client
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
		x.started, x.waiting = time.Now(), true
		x.c.host.wait(x)
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
			return head, nil
		case err != nil:
			return head, x.failed("receive", err)
		}
		if err := x.block(); err != nil {
			return head, err
		}
	}
}

// block waits until something may have changed: not for longer than ctx lasts,
// and not for longer than the application may take. While the request is still
// being sent it may take its time.
func (x *exchange) block() error {
	limit := x.patience()
	var expired <-chan time.Time
	if limit > 0 {
		x.waiter.timer.Reset(limit)
		expired = x.waiter.timer.C
	}
	select {
	case <-x.waiter.token:
		return nil
	case <-x.ctx.Done():
		return context.Cause(x.ctx)
	case <-expired:
		if x.isSending() {
			return nil
		}
		return x.failed("receive", x.tooSlow())
	}
}

// patience returns how long to wait for what comes next. That is what is left
// since the last of STDOUT: STDERR and management records are no answer.
func (x *exchange) patience() time.Duration {
	client := x.c.host.client
	x.mu.Lock()
	answering, sending, pieces := x.answering(), x.sending, x.a.pieces
	x.mu.Unlock()
	limit := orDefault(client.FirstByteTimeout, DefaultFirstByteTimeout)
	if answering {
		limit = orDefault(client.ReadTimeout, DefaultReadTimeout)
	}
	switch {
	case sending && !answering:
		x.asked = time.Time{} // nobody answers half a request
	case x.asked.IsZero() || pieces != x.pieces:
		x.asked, x.pieces = time.Now(), pieces
	case limit > 0:
		limit = max(limit-time.Since(x.asked), 1)
	}
	return limit
}

func (x *exchange) isSending() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.sending
}

// answering reports whether some of STDOUT has come. x.mu is held.
func (x *exchange) answering() bool { return x.a.haveHead || x.a.parser.Started() }

// tooSlow is the error of an application that has used patience up.
func (x *exchange) tooSlow() error {
	client := x.c.host.client
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.answering() {
		return dial.Timeout(fmt.Sprintf("no further byte of the answer for %v", orDefault(client.ReadTimeout, DefaultReadTimeout)))
	}
	return dial.Timeout(fmt.Sprintf("no answer for %v", orDefault(client.FirstByteTimeout, DefaultFirstByteTimeout)))
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
	e := &Error{Protocol: "fastcgi", Op: op, Addr: x.c.host.name, Sent: x.sent.Load(), Err: dial.Bare(err)}
	sending, ok := errors.AsType[*sendError](err)
	if ok {
		e.Op = "send"
	}
	_, wrongID := errors.AsType[*wrongIDError](err)
	e.SafeToRetry = e.Sent == 0 && !errors.Is(err, ErrTooLong) && !(ok && sending.body) ||
		!begun && (dial.Broken(err) || wrongID) && x.r.Idempotent()
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
	err = x.a.feed(p)
	if x.waiting {
		x.waiting = false
		x.c.host.answered(x)
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

var errUnwanted = errors.New("the rest of the answer is not wanted")

// stopAnswer asks the application to end an answer on a shared connection,
// unless it is about to. x.mu is held.
func (x *exchange) stopAnswer() {
	x.a.discard = true
	x.a.body.Drop() // and not what the caller has in hand
	x.stall = time.AfterFunc(abortTime, x.giveUp)
	if x.a.quiet {
		return
	}
	x.aborted = true
	x.c.out.add(func(dst []byte) []byte { return AppendHeader(dst, TypeAbortRequest, x.id, 0, 0) })
	x.c.flush()
}

// wait holds the reader back while the caller is slow: the application is
// then held back by the full socket.
func (x *exchange) wait() {
	x.mu.Lock()
	defer x.mu.Unlock()
	for !x.a.discard && !x.settled && x.err == nil && x.a.body.Len() > int64(x.c.host.client.window()) {
		x.changed.Wait()
	}
}

// endRead is called when the reader is done with all that came together with
// the end of the answer.
func (x *exchange) endRead(dirty bool) {
	x.mu.Lock()
	x.held = false
	x.dirty = x.dirty || dirty
	x.mu.Unlock()
	x.settle()
}

// settle gives the connection back when both the answer and the request are
// at their end.
func (x *exchange) settle() {
	x.mu.Lock()
	if !x.a.end || x.held || x.sending || x.settled {
		x.mu.Unlock()
		return
	}
	x.settled = true
	x.log.End()
	reusable := !x.dirty
	if x.c.streams == nil {
		reusable = reusable && x.sendErr == nil && x.err == nil // who refuses often closes, too
		x.c.unread = len(x.bodies) > 0                          // the answer may have come before it was read
		if x.timed {
			x.c.nc.SetDeadline(time.Time{})
		}
	}
	if x.c.streams != nil && x.stall != nil {
		x.stall.Stop()
	}
	x.mu.Unlock()
	x.c.release(x, reusable)
	x.mu.Lock()
	x.released = true
	x.changed.Broadcast()
	x.mu.Unlock()
}

// drop ends the use of the connection without an end of the answer: it is
// closed, or, if others share it, the application is asked to stop. Unless it
// has been given back: another request may have it by now.
func (x *exchange) drop(cause error) {
	x.mu.Lock()
	if x.settled {
		x.mu.Unlock()
		return
	}
	if x.c.streams != nil && x.id != 0 {
		if !x.a.end && !x.a.discard {
			x.stopAnswer()
		}
		x.mu.Unlock()
		return
	}
	x.settled, x.released = true, true
	x.changed.Broadcast()
	x.mu.Unlock()
	if x.id == 0 { // the application has not heard of it
		x.c.release(x, true)
		return
	}
	x.c.close(cause)
}

// giveUp is called some time after the application was asked to end an answer.
// If it has not, its connection gets no more requests.
func (x *exchange) giveUp() {
	x.mu.Lock()
	stuck := !x.settled
	x.settled, x.released = true, true
	x.mu.Unlock()
	if stuck {
		x.c.retire()
		x.c.giveUp(x)
	}
}

// lost is called when the connection has been closed.
func (x *exchange) lost(cause error) {
	x.mu.Lock()
	if err := x.a.closed(cause); err != nil && x.err == nil {
		x.err = err
	}
	x.a.quiet = x.a.quiet || x.err == nil
	x.log.End()
	x.changed.Broadcast()
	x.mu.Unlock()
	x.credit.fail(cause)
	x.signal()
}

// signal leaves a token for the caller.
func (x *exchange) signal() {
	select {
	case x.token <- struct{}{}:
	default:
	}
}

// abort ends an exchange that has failed.
func (x *exchange) abort(err error) {
	x.drop(err)
	x.finish()
}

// finish ends what belongs to the exchange. The connection is given back if
// the answer is at its end, or is soon.
func (x *exchange) finish() {
	if x.finished.Swap(true) {
		return
	}
	x.waiter.timer.Stop()
	x.mu.Lock()
	waiting := x.waiting
	x.waiting = false
	gone := x.ctx.Err() != nil || x.err != nil || x.sending
	drain := !x.a.end && !gone && !x.settled && x.c.streams == nil
	if drain {
		x.timed = true
		x.c.nc.SetReadDeadline(time.Now().Add(drainTime))
	}
	if x.c.streams == nil {
		x.a.discard, x.a.size = true, 0
	}
	end := x.a.end
	if end || x.a.discard {
		x.a.body.Close()
	}
	x.log.End()
	x.changed.Broadcast()
	x.mu.Unlock()
	if waiting {
		x.c.host.answered(x)
	}
	if !drain && !end {
		x.drop(errUnwanted)
	}
	x.rest = nil
	x.sender.stop(x)
	if end {
		x.awaitRelease()
	}
	x.c.putWaiter(x.waiter)
	x.waiter = nil
}

// awaitRelease waits until the connection is given back, which the reader is
// about to do: the caller's next request shall find it.
func (x *exchange) awaitRelease() {
	x.settle()
	x.mu.Lock()
	defer x.mu.Unlock()
	for !x.released && !x.sending {
		x.changed.Wait()
	}
}
