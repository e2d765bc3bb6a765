package fastcgi

import (
	"context"
	"fmt"
	"time"

	"github.com/sluice-gateway/sluice/internal/dial"
)

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
	x.mu.Lock()
	answering, sending, pieces := x.answering(), x.sending, x.a.pieces
	x.mu.Unlock()
	limit := x.c.bounds.firstByte
	if answering {
		limit = x.c.bounds.read
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
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.answering() {
		return dial.Timeout(fmt.Sprintf("no further byte of the answer for %v", x.c.bounds.read))
	}
	return dial.Timeout(fmt.Sprintf("no answer for %v", x.c.bounds.firstByte))
}
