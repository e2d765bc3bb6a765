package cgihttp

import (
	"io"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// An appBody is the body of an http.Request that an Application made.
type appBody struct {
	src  cgi.Body // the server's: of Read until closed, and of wake until ended
	left int64    // bytes to come; negative: until the end of src

	reading sync.Mutex // held by Read
	closed  atomic.Bool
	expired atomic.Bool // the read deadline has passed

	mu    sync.Mutex // guards what follows
	ended bool
	timer *time.Timer // of the read deadline; nil if there is none
}

var _ io.ReadCloser = (*appBody)(nil)

func (b *appBody) Read(p []byte) (int, error) {
	b.reading.Lock()
	defer b.reading.Unlock()
	switch {
	case b.closed.Load():
		return 0, http.ErrBodyReadAfterClose
	case b.expired.Load():
		return 0, os.ErrDeadlineExceeded
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
		err = io.EOF // at once, so that net/http's habits work: no further Read is needed
	case err == io.EOF && b.left > 0:
		err = io.ErrUnexpectedEOF
	case err != nil && err != io.EOF && b.expired.Load():
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// Close implements io.Closer. What has not been read is for the server of the
// protocol to discard.
func (b *appBody) Close() error {
	b.closed.Store(true)
	return nil
}

// setDeadline makes Read fail from t on. A zero t takes back a deadline that
// has not come.
func (b *appBody) setDeadline(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	if t.IsZero() || b.closed.Load() {
		return
	}
	b.timer = time.AfterFunc(time.Until(t), func() {
		b.expired.Store(true)
		b.wake()
	})
}

// wake makes a Read that is under way return.
func (b *appBody) wake() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.ended {
		b.src.Cancel()
	}
}

// end closes the body when the handler has returned and waits for a Read that
// a goroutine of the handler left behind. b may be nil.
func (b *appBody) end() {
	if b == nil {
		return
	}
	b.Close()
	b.setDeadline(time.Time{})
	if !b.reading.TryLock() {
		b.wake()
		b.reading.Lock()
	}
	b.reading.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true // a deadline that was there before may still wake
}
