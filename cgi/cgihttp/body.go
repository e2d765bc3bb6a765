package cgihttp

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// errCancelled is what a cancelled body's Read returns.
var errCancelled = errors.New("cgihttp: read request body: cancelled")

// past is a deadline that wakes whoever waits.
var past = time.Unix(1, 0)

// A body is the cgi.Body of a request that net/http received. Closing an http
// request body waits for its Read, so only a read deadline can wake that.
type body struct {
	src io.Reader
	rc  *http.ResponseController
	eof atomic.Bool // all of it has been read

	reading sync.Mutex // held while src.Read is under way

	mu        sync.Mutex // guards what follows
	cancelled bool
	ended     bool // the handler has returned: src and rc must not be touched
}

func (b *body) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	if b.isCancelled() {
		return 0, errCancelled
	}
	n, err := b.src.Read(p)
	switch {
	case err == io.EOF:
		b.eof.Store(true)
	case err != nil && b.isCancelled():
		err = errCancelled
	}
	return n, err
}

func (b *body) isCancelled() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cancelled
}

// Cancel implements cgi.Body. At the end of the body there is nobody to wake;
// over HTTP/1 a deadline would then hit the read by which net/http notices
// that the client has gone.
func (b *body) Cancel() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cancelled = true
	if !b.ended && !b.eof.Load() {
		b.rc.SetReadDeadline(past)
	}
}

// end makes sure that nobody reads the body or moves its deadline any more
// when the handler returns: over HTTP/1 both would hit the next request.
func (b *body) end(w *writer) {
	if b.src == nil {
		return
	}
	if !b.reading.TryLock() {
		b.Cancel()
		b.reading.Lock()
	}
	defer b.reading.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cancelled, b.ended = true, true
	if w.http1 && !w.aborted && !b.eof.Load() {
		b.rc.SetReadDeadline(time.Now().Add(linger))
	}
}
