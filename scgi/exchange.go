package scgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/dial"
)

// An exchange is one request on its connection. The caller reads the answer
// from it; if there is a request body, another goroutine sends that. Whatever
// ends an exchange closes the connection, which wakes both.
type exchange struct {
	client           *Client
	ctx              context.Context
	nc               net.Conn
	network, address string
	r                *cgi.Request
	forget           func() bool // ends the watch over ctx

	sent     atomic.Int64  // bytes of the request that the kernel took
	left     int64         // bytes of the body to be sent; the sender's, once it runs
	sender   chan struct{} // closed when the sender has ended; nil without one
	finished atomic.Bool

	mu      sync.Mutex // guards what follows
	cause   error      // why we closed the connection before the end of the answer
	sending bool
	sentAt  time.Time // when the sender ended

	answer
}

// run sends the request and waits for the head of its answer.
func (x *exchange) run(head *buffer) (*cgi.Response, error) {
	if err := x.send(head); err != nil {
		err = x.failed("send", err)
		x.finish()
		return nil, err
	}
	if err := x.awaitHead(); err != nil {
		x.finish()
		return nil, err
	}
	return &x.resp, nil
}

// read reads what comes next of the answer: for not longer than ctx lasts, and
// not for longer than the application may take. While the request is still
// being sent it may take its time, unless the answer is complete.
func (x *exchange) read(p []byte) (int, error) {
	limit := x.patience()
	for since := time.Now(); ; {
		if limit > 0 {
			x.nc.SetReadDeadline(since.Add(limit))
		}
		n, err := x.nc.Read(p)
		switch {
		case n > 0:
			return n, nil
		case !isTimeout(err), x.complete():
			return 0, err
		}
		later, ok := x.since(since)
		if !ok {
			return 0, x.tooSlow(limit)
		}
		since = later
	}
}

// since returns since when the answer is waited for, if that is later than was
// thought.
func (x *exchange) since(thought time.Time) (time.Time, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.sending {
		return time.Now(), true // nobody answers half a request
	}
	return x.sentAt, x.sentAt.After(thought)
}

// patience returns how long to wait for what comes next.
func (x *exchange) patience() time.Duration {
	switch {
	case x.complete():
		return endWait
	case x.begun:
		return orDefault(x.client.ReadTimeout, DefaultReadTimeout)
	}
	return orDefault(x.client.FirstByteTimeout, DefaultFirstByteTimeout)
}

// tooSlow is the error of an application that has used patience up.
func (x *exchange) tooSlow(limit time.Duration) error {
	if x.begun {
		return dial.Timeout(fmt.Sprintf("no further byte of the answer for %v", limit))
	}
	return dial.Timeout(fmt.Sprintf("no answer for %v", limit))
}

// failed makes the error of the exchange.
func (x *exchange) failed(op string, err error) error {
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	x.mu.Lock()
	if x.cause != nil {
		op, err = "send", x.cause
	}
	x.mu.Unlock()
	if err == io.EOF {
		err = errEarly
	}
	sent := x.sent.Load()
	_, ours := errors.AsType[*bodyError](err) // would go wrong again
	retry := !ours && (sent == 0 || !x.begun && dial.Broken(err) && x.r.Idempotent())
	return &cgi.Error{Protocol: "scgi", Op: op, Addr: dial.Name(x.network, x.address), Sent: sent, Err: dial.Bare(err), SafeToRetry: retry}
}

var errEarly = fmt.Errorf("connection closed before the end of the response: %w", io.ErrUnexpectedEOF)

// abort ends an exchange that the sender cannot go on with.
func (x *exchange) abort(cause error) {
	x.mu.Lock()
	x.cause = cause
	x.mu.Unlock()
	x.nc.Close()
}

// finish ends what belongs to the exchange.
func (x *exchange) finish() {
	if x.finished.Swap(true) {
		return
	}
	x.forget()
	x.nc.Close()
	if x.sender != nil {
		x.mu.Lock()
		sending := x.sending
		x.mu.Unlock()
		if sending {
			x.r.Body.Cancel()
		}
		<-x.sender
	}
	x.reading.Lock() // whoever still reads has been woken up
	defer x.reading.Unlock()
	x.freeBuffer()
}
