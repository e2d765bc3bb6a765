package fastcgi

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// An outbox is what a connection has to send. Requests put whole records into
// it; whoever flushes it sends all there is in one system call, and what comes
// while a write is under way leaves with the next.
type outbox struct {
	nc      net.Conn
	timeout time.Duration     // for one write; negative: none
	broken  func(cause error) // is told of an error, once
	unread  atomic.Int64      // bytes sent that the web server may not have read

	mu      sync.Mutex // guards what follows
	changed sync.Cond  // a write has ended
	records []byte     // to be sent
	spare   []byte     // memory for the next records
	writing bool
	waiting int       // in send, for a write to end
	err     error     // why nothing can be sent any more
	until   time.Time // the write deadline that is set; zero if there is none
	vecs    [2][]byte
	bufs    net.Buffers
}

const (
	// outboxSize is how much a request may put in before it must wait for a
	// write: the answers of requests whose sender does not read them.
	outboxSize = 256 << 10

	// outboxKept is the memory that an idle connection keeps for records.
	outboxKept = 16 << 10
)

func (o *outbox) init(nc net.Conn, timeout time.Duration, broken func(error)) {
	o.nc, o.timeout, o.broken = nc, timeout, broken
	o.changed.L = &o.mu
}

// add adds the records that put appends, to be sent with the next flush. It
// never waits. It reports whether there is so much that it should be flushed.
func (o *outbox) add(put func(dst []byte) []byte) (much bool) {
	o.mu.Lock()
	o.records = put(o.records)
	much = len(o.records) >= outboxSize
	o.mu.Unlock()
	return much
}

// flush sends what is there, unless a write is under way: then that goes on
// with it. It returns the error that has ended all sending.
func (o *outbox) flush() error {
	o.mu.Lock()
	for len(o.records) >= outboxSize && o.writing && o.err == nil {
		o.changed.Wait()
	}
	return o.drain(time.Time{})
}

// unattended reports whether there is something to send and nobody sends it.
func (o *outbox) unattended() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.records) > 0 && !o.writing && o.err == nil
}

// failed returns why nothing can be sent any more, or nil.
func (o *outbox) failed() error {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.err
}

// idle reports whether nothing is left to send, or nothing can be sent.
func (o *outbox) idle() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return !o.writing && len(o.records) == 0 || o.err != nil
}

// drain writes until nothing is left, or until somebody waits in send: that
// goes on with it, or would wait for as long as more comes. mu is held, and
// released.
func (o *outbox) drain(deadline time.Time) error {
	before := o.err
	for len(o.records) > 0 && !o.writing && o.err == nil && o.waiting == 0 {
		o.write(nil, deadline)
	}
	err := o.err
	o.mu.Unlock()
	if err != nil && before == nil {
		o.broken(err)
	}
	return err
}

// send sends what is there and, if b is not empty, b: bytes that belong to the
// last record put in, or to none. It returns when the system has taken them.
// put may be nil. deadline is zero if there is no other than the timeout.
func (o *outbox) send(put func(dst []byte) []byte, b []byte, deadline time.Time) error {
	o.mu.Lock()
	o.waiting++
	for o.writing && o.err == nil {
		o.changed.Wait()
	}
	o.waiting--
	if o.err == nil {
		if put != nil {
			o.records = put(o.records)
		}
		o.write(b, deadline)
		if o.err != nil {
			err := o.err
			o.mu.Unlock()
			o.broken(err)
			return err
		}
	}
	return o.drain(deadline)
}

// write writes the records and b. mu is held, and released for that time.
func (o *outbox) write(b []byte, deadline time.Time) {
	records := o.records
	o.records, o.spare = o.spare[:0], nil
	o.writing = true
	o.mu.Unlock()

	o.arm(len(records)+len(b), deadline)
	var err error
	switch {
	case len(b) == 0:
		_, err = o.nc.Write(records)
	case len(records) == 0:
		_, err = o.nc.Write(b)
	default:
		o.vecs = [2][]byte{records, b}
		o.bufs = o.vecs[:]
		_, err = o.bufs.WriteTo(o.nc)
		o.vecs = [2][]byte{}
	}

	o.mu.Lock()
	o.writing = false
	if err != nil && o.err == nil {
		o.err = fmt.Errorf("%w: %w", ErrConnectionLost, err)
	}
	if cap(records) <= outboxKept || len(o.records) > 0 {
		o.spare = records[:0]
	}
	if len(o.records) == 0 && cap(o.records) > outboxKept {
		o.records = nil
	}
	o.changed.Broadcast()
}

// arm sets the time until which a write of n bytes must be done. A write that
// should not block makes do with a time that is set already and is far enough
// away, because to set one is dear: should, because a web server that asks
// again has seen the end of the answer before, unless it means harm.
func (o *outbox) arm(n int, deadline time.Time) {
	exact := o.unread.Add(int64(n)) > surelyTaken || !deadline.IsZero()
	if o.timeout > 0 {
		now := time.Now()
		switch byTimeout := now.Add(o.timeout); {
		case exact && (deadline.IsZero() || byTimeout.Before(deadline)):
			deadline = byTimeout
		case !exact && !o.until.Before(byTimeout):
			return
		case !exact:
			deadline = byTimeout.Add(o.timeout)
		}
	}
	if deadline.IsZero() && o.until.IsZero() {
		return
	}
	o.nc.SetWriteDeadline(deadline)
	o.until = deadline
}

// fail makes all sending end with an error.
func (o *outbox) fail(cause error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.err == nil {
		o.err = cause
	}
	o.changed.Broadcast()
}
