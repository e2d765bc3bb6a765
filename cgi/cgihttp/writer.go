package cgihttp

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

var (
	errHeaderTwice = errors.New("cgihttp: write header: the response has one already")
	errAborted     = errors.New("cgihttp: write: response aborted")
)

// A writer is the cgi.ResponseWriter of a FrontEnd.
type writer struct {
	w    http.ResponseWriter
	rc   http.ResponseController
	body *body // of the request; nil if there is none

	closing *atomic.Bool // whether connections end with their response
	http1   bool         // the client speaks HTTP/1.x
	interim bool         // the client knows 1xx
	head    bool         // the request is a HEAD
	wrote   bool         // the final status is out
	bare    bool         // its status allows no body
	aborted bool         // by Abort
	length  int64        // Content-Length of the response, or -1
	written int64

	timeout time.Duration // for the client to take what is written; 0 if there is none
	armed   time.Time     // when the deadline was set
}

var (
	_ cgi.ResponseWriter = (*writer)(nil)
	_ io.ReaderFrom      = (*writer)(nil)
)

// WriteHeader implements cgi.ResponseWriter. Fields that speak of one
// connection only are dropped.
func (w *writer) WriteHeader(status int, h cgi.Header) error {
	switch {
	case w.aborted:
		return errAborted
	case w.wrote:
		return errHeaderTwice
	case status < 100 || status > 999 || status == http.StatusSwitchingProtocols:
		return fmt.Errorf("cgihttp: write header: status %d cannot be sent", status)
	case status < 200:
		return w.writeInterim(status, h)
	}
	w.wrote = true
	w.bare = status == http.StatusNoContent || status == http.StatusNotModified
	to := w.w.Header()
	setFields(to, h)
	if v := to["Content-Length"]; len(v) == 1 {
		if n, err := strconv.ParseInt(v[0], 10, 64); err == nil && n >= 0 {
			w.length = n
		}
	}
	if _, ok := to["Content-Type"]; !ok {
		to["Content-Type"] = nil // or net/http guesses one; whether to guess is for the application to say
	}
	if w.http1 && (w.closing.Load() || w.body != nil && !w.body.eof.Load()) {
		to["Connection"] = []string{"close"}
	}
	w.w.WriteHeader(status)
	return nil
}

// writeInterim sends a 1xx. Its fields are its own, but net/http keeps what
// is in the header map for the final response.
func (w *writer) writeInterim(status int, h cgi.Header) error {
	if !w.interim {
		return nil // RFC 9110 §15.2: never to an HTTP/1.0 client
	}
	to := w.w.Header()
	setFields(to, h)
	w.w.WriteHeader(status)
	for _, f := range h {
		to.Del(f.Name)
	}
	return nil
}

// setFields puts h into a net/http header map. A field of h replaces one that
// was there before.
func setFields(to http.Header, h cgi.Header) {
	if len(to) > 0 {
		for _, f := range h {
			to.Del(f.Name)
		}
	}
	addFields(to, h, nil, func(name string) bool {
		return cgi.HopByHop(name) || strings.HasPrefix(name, http.TrailerPrefix)
	})
}

// ready is called before anything of the body is written.
func (w *writer) ready() error {
	if w.aborted {
		return errAborted
	}
	if !w.wrote {
		return w.WriteHeader(http.StatusOK, nil)
	}
	return nil
}

// Write implements cgi.ResponseWriter. The body of a response that has none
// by its status (204, 304) is swallowed.
func (w *writer) Write(p []byte) (int, error) {
	if err := w.ready(); err != nil {
		return 0, err
	}
	if w.bare {
		return len(p), nil
	}
	w.armFor(len(p))
	n, err := w.w.Write(p)
	w.disarm()
	w.written += int64(n)
	return n, err
}

// ReadFrom lets net/http send a file without copying it (sendfile).
func (w *writer) ReadFrom(src io.Reader) (int64, error) {
	if err := w.ready(); err != nil {
		return 0, err
	}
	if w.bare {
		return io.Copy(io.Discard, src)
	}
	if w.timeout == 0 {
		n, err := io.Copy(w.w, src) // calls its ReadFrom, if it has one
		w.written += n
		return n, err
	}
	return w.copyPieces(src)
}

// Flush implements cgi.ResponseWriter.
func (w *writer) Flush() error {
	if err := w.ready(); err != nil {
		return err
	}
	w.arm()
	defer w.disarm()
	return w.rc.Flush()
}

// SetWriteDeadline is found by Application. Whoever sets a deadline wants that
// one.
func (w *writer) SetWriteDeadline(t time.Time) error {
	w.timeout = 0
	return w.rc.SetWriteDeadline(t)
}

// Abort implements cgi.ResponseWriter.
func (w *writer) Abort() { w.aborted = true }

// finish is called when the handler has returned. It reports whether the
// response is complete; net/http would keep quiet over HTTP/2 about one that
// is shorter than its Content-Length.
func (w *writer) finish() (complete bool) {
	w.armLast()
	if w.ready() != nil {
		return false
	}
	return w.head || w.bare || w.length < 0 || w.written == w.length
}

// abort sends what there is, so that the client sees a broken response and
// does not ask again as if nothing had come, and leaves net/http no body to
// wait for.
func (w *writer) abort(b *body) {
	w.aborted = true
	if w.wrote {
		w.rc.SetWriteDeadline(time.Now().Add(abortFlush))
		w.rc.Flush()
	}
	if b.src != nil {
		b.Cancel()
	}
}
