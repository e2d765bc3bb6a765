package cgihttp

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/cgi"
)

// A requestBody is the body of a request that a Transport sends. There is no
// sure way to wake a Read of somebody else's body: Close may wait for it, as
// that of a server's request does. So a goroutine reads, into a pipe.
type requestBody struct {
	length int64 // bytes it has; -1 if that is not known

	mu        sync.Mutex // guards what follows
	src       *source
	left      int64          // bytes to come; negative: until the end of src
	pipe      *io.PipeReader // nil until the first Read
	cancelled bool
	ended     bool
}

// A source is the body of an http.Request. It is closed once.
type source struct {
	body   io.ReadCloser
	once   sync.Once
	closed atomic.Bool
	err    error // of Close
}

func (s *source) close() error {
	s.once.Do(func() {
		s.err = s.body.Close()
		s.closed.Store(true)
	})
	return s.err
}

var _ cgi.Body = (*requestBody)(nil)

// Read implements cgi.Body.
func (b *requestBody) Read(p []byte) (int, error) {
	pipe, left, err := b.open()
	if err != nil || left == 0 {
		return 0, err
	}
	if left > 0 && int64(len(p)) > left {
		p = p[:left]
	}
	n, err := pipe.Read(p)
	if left < 0 {
		return n, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left -= int64(n); err == io.EOF && b.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// open returns the pipe and how much is to be read from it.
func (b *requestBody) open() (pipe *io.PipeReader, left int64, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.cancelled:
		return nil, 0, errCancelled
	case b.left == 0:
		return nil, 0, io.EOF
	case b.pipe == nil:
		r, w := io.Pipe()
		b.pipe = r
		go pump(w, b.src)
	}
	return b.pipe, b.left, nil
}

// abandon closes a body that pump may be reading. The goroutine may wait for
// that Read, and ends with pump at the latest.
func (s *source) abandon() {
	if !s.closed.Load() {
		go s.close()
	}
}

// pump is a goroutine: it moves src into a pipe and closes it. It waits in the
// pipe, until the body is cancelled, and in src: abandon closes that, which wakes
// all that can be woken. The others end with whoever made the body, and nobody
// waits for them here.
func pump(w *io.PipeWriter, src *source) {
	_, err := io.Copy(w, src.body)
	if cerr := src.close(); err == nil {
		err = cerr
	}
	w.CloseWithError(err) // nil is the end
}

// Cancel implements cgi.Body.
func (b *requestBody) Cancel() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stop()
}

// stop ends the reading. mu is held.
func (b *requestBody) stop() {
	b.cancelled = true
	if b.pipe != nil {
		b.pipe.CloseWithError(errCancelled)
	}
}

// end closes the body. What Close says of one that was not read to its end is
// of no interest.
func (b *requestBody) end() {
	b.mu.Lock()
	if b.ended {
		b.mu.Unlock()
		return
	}
	b.ended = true
	b.stop()
	src, reading := b.src, b.pipe != nil
	b.mu.Unlock()
	if reading {
		src.abandon()
	} else {
		src.close()
	}
}

// A rewindableBody is one that its request can make anew.
type rewindableBody struct {
	*requestBody
	get func() (io.ReadCloser, error)
}

var _ cgi.Rewinder = (*rewindableBody)(nil)

var errRewind = errors.New("cgihttp: rewind request body: the request has ended")

// Rewind implements cgi.Rewinder.
func (b *rewindableBody) Rewind() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return errRewind
	}
	if b.pipe != nil {
		body, err := b.get()
		if err != nil {
			return err
		}
		b.stop()
		b.src.abandon()
		b.src, b.left, b.pipe = &source{body: body}, b.length, nil
	}
	b.cancelled = false
	return nil
}

// A responseBody is the body of a response to a Transport.
type responseBody struct {
	x    *trip
	src  io.ReadCloser
	left int64 // bytes to come; negative: until the end of src

	mu     sync.Mutex // held by Read; guards what follows, left and src
	closed bool
}

var errBodyClosed = errors.New("cgihttp: read response body: closed")

func (b *responseBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return 0, errBodyClosed
	case b.left == 0:
		return 0, io.EOF
	case b.left > 0 && int64(len(p)) > b.left:
		p = p[:b.left]
	}
	n, err := b.src.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
	}
	switch {
	case b.left == 0:
		err = io.EOF
	case err == io.EOF && b.left > 0:
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Close ends the exchange. The context ends a Read that is under way; without
// one it is spared, so that the connection can be used again.
func (b *responseBody) Close() error {
	if !b.mu.TryLock() {
		b.x.cancel(errBodyClosed)
		b.mu.Lock()
	}
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true
	err := b.src.Close()
	b.x.end()
	return err
}
