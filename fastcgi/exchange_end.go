package fastcgi

import (
	"errors"
	"time"
)

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
	x.c.add(func(dst []byte) []byte { return AppendHeader(dst, TypeAbortRequest, x.id, 0, 0) })
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
		x.a.body.Drop() // and not what is still being read
	}
	x.log.End()
	x.changed.Broadcast()
	x.mu.Unlock()
	x.signal() // whoever reads
	if waiting {
		x.c.host.answered(&x.place)
	}
	if !drain && !end {
		x.drop(errUnwanted)
	}
	x.sender.stop(x)
	if end {
		x.awaitRelease()
	}
	x.free()
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
