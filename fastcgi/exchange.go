package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// An exchange is one request on one connection. Three goroutines meet in it:
// the caller, who waits for the answer and reads its body; the connection's
// reader, who feeds it; and, if there is a request body, the sender.
type exchange struct {
	ctx     context.Context
	c       *conn
	r       *cgi.Request
	started time.Time   // set on a new connection
	stall   *time.Timer // the same
	log     *stderrLog
	asked   time.Time // since when an answer is waited for; the caller's

	sent     atomic.Int64 // bytes of the request that the kernel took
	bodyRead atomic.Bool  // the request body has been read to its end
	finished atomic.Bool
	sender   chan struct{} // closed when the sender has ended; nil without one

	mu      sync.Mutex
	a       answer
	err     error // why there is no (further) answer
	sendErr error
	sending bool
	dirty   bool // the connection cannot be used again
	timed   bool // a deadline has been set on the connection
	settled bool // the connection is not ours any more
	waiting bool // noted with the host as a request on a new connection

	notify chan struct{} // holds one token when something changed for the caller
	space  chan struct{} // holds one token when the caller took some of the body

	timer *time.Timer  // of the caller
	out   *bytesBuffer // what the caller took of the body; nil at first
	rest  []byte       // what is unread of out
	resp  cgi.Response
}

func newExchange(ctx context.Context, c *conn, r *cgi.Request) *exchange {
	x := &exchange{ctx: ctx, c: c, r: r, notify: make(chan struct{}, 1), space: make(chan struct{}, 1)}
	client := c.host.client
	x.a.parser.MaxBytes, x.a.parser.MaxFields = client.MaxHead, client.MaxFields
	if client.Log != nil {
		x.a.stderr = x.stderr
	}
	return x
}

// run sends the request and waits for the head of its answer.
func (x *exchange) run(head []byte) (*cgi.Response, error) {
	if x.c.answers == 0 {
		x.started, x.waiting = time.Now(), true
		x.c.host.wait(x)
	}
	if err := x.c.begin(x); err != nil {
		x.abort(err)
		return nil, x.failed("send", err)
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

// block waits until something has changed: not for longer than ctx lasts, and
// not for longer than the application may take. While the request is still
// being sent it may take its time.
func (x *exchange) block() error {
	limit := x.patience()
	var expired <-chan time.Time
	if limit > 0 {
		if x.timer == nil {
			x.timer = time.NewTimer(limit)
		} else {
			x.timer.Reset(limit)
		}
		expired = x.timer.C
	}
	select {
	case <-x.notify:
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

// patience returns how long to wait for what comes next. For the first byte of
// the answer it is what is left: STDERR and management records are no answer.
func (x *exchange) patience() time.Duration {
	client := x.c.host.client
	if x.answering() {
		return orDefault(client.ReadTimeout, DefaultReadTimeout)
	}
	limit := orDefault(client.FirstByteTimeout, DefaultFirstByteTimeout)
	switch {
	case x.isSending():
		x.asked = time.Time{} // nobody answers half a request
	case x.asked.IsZero():
		x.asked = time.Now()
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

func (x *exchange) answering() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.a.haveHead || x.a.parser.Started()
}

// tooSlow is the error of an application that has used patience up.
func (x *exchange) tooSlow() error {
	client := x.c.host.client
	if x.answering() {
		return errTimeout{fmt.Sprintf("no further byte of the answer for %v", orDefault(client.ReadTimeout, DefaultReadTimeout))}
	}
	return errTimeout{fmt.Sprintf("no answer for %v", orDefault(client.FirstByteTimeout, DefaultFirstByteTimeout))}
}

// failed makes the error of the exchange.
func (x *exchange) failed(op string, err error) error {
	var done *Error
	if errors.As(err, &done) {
		return err
	}
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	x.mu.Lock()
	begun := x.a.started
	x.mu.Unlock()
	retry := !begun && broken(err) && x.r.Idempotent()
	var refused *RefusedError
	if errors.As(err, &refused) {
		op, retry = "answer", refused.notNow() && !x.answering()
	}
	return &Error{Op: op, Addr: addr(x.c.host.network, x.c.host.address), Sent: x.sent.Load(), Err: dialError(err), retry: retry}
}

// broken reports whether err says that the connection broke, as against an
// application that is slow or talks nonsense.
func broken(err error) bool {
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// feed takes the bytes of one read; the connection's reader calls it. done
// tells that the answer has ended. An error means that the connection is lost.
func (x *exchange) feed(d *Decoder, b []byte) (done bool, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for {
		p, rest, ok, err := d.Next(b)
		if err != nil {
			return false, err
		}
		if !ok {
			break
		}
		b = rest
		if x.a.end {
			x.dirty = true // bytes after END_REQUEST: who knows whose they are
			break
		}
		if err := x.a.feed(p); err != nil {
			if !x.a.end {
				return false, err
			}
			x.err = err
		}
		if x.waiting {
			x.waiting = false
			x.c.host.answered(x)
		}
	}
	x.dirty = x.dirty || x.a.end && !d.Between()
	if x.a.discard && x.a.size > drainBytes {
		return false, errUnwanted
	}
	return x.a.end, nil
}

var errUnwanted = errors.New("the rest of the answer is not wanted")

// wait holds the reader back while the caller is slow: the application is
// then held back by the full socket.
func (x *exchange) wait() {
	for {
		x.mu.Lock()
		full := x.a.waiting() > window
		x.mu.Unlock()
		if !full {
			return
		}
		select {
		case <-x.space:
		case <-x.c.closing:
			return
		}
	}
}

// settle gives the connection back when both the answer and the request are
// at their end.
func (x *exchange) settle() {
	x.mu.Lock()
	if !x.a.end || x.sending || x.settled {
		x.mu.Unlock()
		return
	}
	x.settled = true
	x.log.end()
	x.c.unread = x.r.Body != nil                             // the answer may have come before it was read
	reusable := !x.dirty && x.sendErr == nil && x.err == nil // who refuses often closes, too
	if x.timed {
		x.c.nc.SetDeadline(time.Time{})
	}
	x.mu.Unlock()
	x.c.release(reusable)
}

// drop closes the connection, unless it has been given back: another request
// may have it by now.
func (x *exchange) drop(cause error) {
	x.mu.Lock()
	ours := !x.settled
	x.settled = true
	x.mu.Unlock()
	if ours {
		x.c.close(cause)
	}
}

// lost is called when the connection has been closed.
func (x *exchange) lost(cause error) {
	x.mu.Lock()
	if err := x.a.closed(cause); err != nil && x.err == nil {
		x.err = err
	}
	x.a.quiet = x.a.quiet || x.err == nil
	x.log.end()
	x.mu.Unlock()
	x.signal()
}

// signal leaves a token for the caller.
func (x *exchange) signal() {
	select {
	case x.notify <- struct{}{}:
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
	if x.timer != nil {
		x.timer.Stop()
	}
	x.mu.Lock()
	waiting := x.waiting
	x.waiting = false
	gone := x.ctx.Err() != nil || x.err != nil || x.sending
	drain := !x.a.end && !gone
	if drain {
		x.timed = true
		x.c.nc.SetReadDeadline(time.Now().Add(drainTime))
	}
	x.a.discard, x.a.size = true, 0
	x.a.body.free()
	x.a.body = nil
	end := x.a.end
	x.log.end()
	x.mu.Unlock()
	x.out.free()
	x.out, x.rest = nil, nil
	if waiting {
		x.c.host.answered(x)
	}
	if drain {
		x.taken()
	} else if !end {
		x.drop(errUnwanted)
	}
	x.stopSending()
	if end {
		x.settle() // the reader may be about to: the caller's next request shall find the connection
	}
}

// taken tells the reader that there is room for more of the body.
func (x *exchange) taken() {
	select {
	case x.space <- struct{}{}:
	default:
	}
}
