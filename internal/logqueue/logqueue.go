// Package logqueue keeps a log that nobody reads from holding up whoever writes
// to it. A full pipe, a terminal that was stopped with Ctrl-S or a file system
// that hangs would make a supervisor deaf to signals otherwise.
package logqueue

import (
	"bytes"
	"io"
	"sync"
	"time"
)

const (
	// room is how many bytes may wait: ten seconds of a loud application, or
	// all that it says while somebody thinks about Ctrl-Q.
	room = 1 << 20

	// Patience is how long Close is meant to wait for a reader.
	Patience = 2 * time.Second
)

// A Queue is an io.Writer that never blocks. What is written to it goes, in
// order and by single writes, to another one; what does not fit is counted, and
// the count stands where it would have been. It is safe for concurrent use.
type Queue struct {
	w    io.Writer
	lost func(w io.Writer, n int)

	mu      sync.Mutex
	waiting []entry
	size    int
	missing int  // writes since the last entry that did not fit
	closed  bool // nothing more comes
	wake    chan struct{}
	done    chan struct{} // closed when everything is written
}

// An entry is what is written at once.
type entry struct {
	text []byte
	lost int // so many writes are missing before text
}

// New returns a Queue before w. lost writes a line to w that says that n lines
// were lost.
//
// Its goroutine ends with Close; but while w blocks, it does, too, and may be
// left behind.
func New(w io.Writer, lost func(w io.Writer, n int)) *Queue {
	q := &Queue{w: w, lost: lost, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go q.run()
	return q
}

// Write implements io.Writer. It never fails: a log has nobody to tell.
func (q *Queue) Write(p []byte) (int, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return len(p), nil
	case q.size+len(p) > room:
		q.missing++
	default:
		q.waiting = append(q.waiting, entry{bytes.Clone(p), q.missing})
		q.size += len(p)
		q.missing = 0
	}
	q.ring()
	return len(p), nil
}

// Close waits until what is there is written, but not for longer than within,
// and takes nothing more. It may be called more than once.
func (q *Queue) Close(within time.Duration) {
	q.mu.Lock()
	q.closed = true
	q.ring()
	q.mu.Unlock()
	select {
	case <-q.done:
	case <-time.After(within):
	}
}

// ring wakes up run. q.mu is held.
func (q *Queue) ring() {
	select {
	case q.wake <- struct{}{}:
	default: // it has been woken up
	}
}

// run writes.
func (q *Queue) run() {
	defer close(q.done)
	for {
		entries, missing, last := q.take()
		for _, e := range entries {
			q.write(e)
		}
		if missing > 0 {
			q.lost(q.w, missing)
		}
		switch {
		case len(entries) > 0:
		case last:
			return
		default:
			<-q.wake
		}
	}
}

func (q *Queue) write(e entry) {
	if e.lost > 0 {
		q.lost(q.w, e.lost)
	}
	q.w.Write(e.text)
	q.mu.Lock()
	q.size -= len(e.text)
	q.mu.Unlock()
}

// take returns what waits, or if that is nothing how much is missing, and
// whether there will be no more.
func (q *Queue) take() (entries []entry, missing int, last bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	entries, q.waiting = q.waiting, nil
	if len(entries) == 0 {
		missing, q.missing = q.missing, 0
	}
	return entries, missing, q.closed
}
