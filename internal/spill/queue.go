// Package spill keeps what one side has sent and the other has not taken yet:
// in memory at first, then in a file that has no name, and all of it under one
// quota. So the side that sends never waits for the one that takes.
package spill

import "errors"

var (
	// ErrFull is wrapped by the errors of a Write for which the quota of the
	// Store leaves no room.
	ErrFull = errors.New("spill: quota used up")

	// ErrClosed is the error of a Queue after its Close.
	ErrClosed = errors.New("spill: queue is closed")
)

// A Queue holds bytes between one writer and one reader, in their order. With
// Store set, the zero Queue is ready to use. It must be closed, and must not be
// copied.
//
// A Queue is not safe for concurrent use: writer and reader call it under one
// lock. Its methods may wait for the disk, and never for the other side. The
// bytes that Next has returned may be read without the lock.
//
// Beside what it counts, a queue has up to two blocks of 64 KiB in memory: the
// one that the reader has, and the unused end of the one being written.
type Queue struct {
	Store *Store

	// Window is how many bytes are held in memory without asking the Store.
	// Zero means DefaultWindow; negative, no limit.
	Window int

	memory  blocks // comes before what is in the file
	charged int64  // bytes of memory that the store counts
	file    file
	lent    *block // what Next has returned
	closed  bool
}

// Write adds p, which it does not keep: to the memory or, if there is no room
// for all of it or something is in the file already, to the file.
//
// After an error nothing of p has been taken, what was written before can still
// be read, and Write may be called again. The error wraps ErrFull if the quota
// of the files is used up; it is an *Error if the file cannot be made or
// written, as when the disk is full.
func (q *Queue) Write(p []byte) error {
	if q.closed {
		return ErrClosed
	}
	if q.file.len() > 0 || !q.charge(q.memory.size+int64(len(p))) {
		return q.file.write(q.Store, p)
	}
	q.memory.write(p)
	return nil
}

// Next takes the oldest bytes out of the queue: up to 64 KiB of them, none if
// the queue is empty. They may be read, and changed, until the following call
// to Next or Close, whatever is written meanwhile.
//
// After an *Error, which tells that the file could not be read, nothing has
// been taken.
func (q *Queue) Next() ([]byte, error) {
	if q.closed {
		return nil, ErrClosed
	}
	q.lent.free()
	q.lent = q.memory.pop()
	if q.lent != nil {
		q.charge(q.memory.size)
		return q.lent.b, nil
	}
	if q.file.len() == 0 {
		return nil, nil
	}
	b := newBlock(q.file.len())
	n, err := q.file.read(q.Store, b.b[:cap(b.b)])
	b.b = b.b[:n]
	q.lent = b
	return b.b, err
}

// Len returns how many bytes have been written and not been taken.
func (q *Queue) Len() int64 { return q.memory.size + q.file.len() }

// Close drops what is in the queue, and gives back everything that it holds,
// what Next has returned included. It may be called more than once.
func (q *Queue) Close() {
	q.Drop()
	q.lent.free()
	q.lent = nil
}

// Drop is Close, but for what Next has returned: that can still be read.
func (q *Queue) Drop() {
	q.closed = true
	q.memory.free()
	q.charge(0)
	q.file.close(q.Store)
}

// charge makes the store count what a queue with size bytes in memory has
// beyond its window, and reports whether it does: less is never refused.
func (q *Queue) charge(size int64) bool {
	more := max(size-orDefault(int64(q.Window), DefaultWindow), 0) - q.charged
	switch {
	case more > 0 && !reserve(&q.Store.memory, more, q.Store.maxMemory()):
		return false
	case more < 0:
		q.Store.memory.Add(more)
	}
	q.charged += more
	return true
}
