package handler

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A writer passes everything on and counts.
type writer struct {
	to             cgi.ResponseWriter
	start          time.Time
	method, target string // as they came: a handler may ask itself for another page

	status   int           // the final one; 0 until it is sent
	first    time.Duration // from start to the status
	bytes    int64
	head     bool // the request is a HEAD, so no body is sent
	aborted  bool
	refused  bool // the one below did not take the final status
	returned bool // the handler has, without a panic

	notes []slog.Attr
	few   [6]slog.Attr // room for notes
}

var (
	_ cgi.ResponseWriter = (*writer)(nil)
	_ io.ReaderFrom      = (*writer)(nil)
)

// WriteHeader implements cgi.ResponseWriter.
func (w *writer) WriteHeader(status int, h cgi.Header) error {
	err := w.to.WriteHeader(status, h)
	switch {
	case status < 200 || w.status != 0:
	case err != nil:
		w.refused = true
	default:
		w.status, w.first = status, time.Since(w.start)
	}
	return err
}

// Write implements cgi.ResponseWriter.
func (w *writer) Write(p []byte) (int, error) {
	first := w.soFar()
	n, err := w.to.Write(p)
	w.wrote(first, int64(n), err)
	return n, err
}

// ReadFrom lets the one below send a file without copying it.
func (w *writer) ReadFrom(src io.Reader) (int64, error) {
	to, ok := w.to.(io.ReaderFrom)
	if !ok {
		n, err := io.Copy(struct{ io.Writer }{w}, src)
		if err != nil {
			w.aborted = true
		}
		return n, err
	}
	first := w.soFar()
	n, err := to.ReadFrom(src)
	w.wrote(first, n, err)
	return n, err
}

// Flush implements cgi.ResponseWriter.
func (w *writer) Flush() error {
	first := w.soFar()
	err := w.to.Flush()
	w.wrote(first, 0, err)
	return err
}

// Abort implements cgi.ResponseWriter.
func (w *writer) Abort() {
	w.aborted = true
	w.to.Abort()
}

// Note adds attributes to the record.
func (w *writer) Note(attrs ...slog.Attr) {
	for _, a := range attrs {
		w.notes = set(w.notes, a)
	}
}

// Stderr is found by cgi.Stderr.
func (w *writer) Stderr() io.Writer { return cgi.Stderr(w.to) }

// SetWriteDeadline is found by cgihttp.Application.
func (w *writer) SetWriteDeadline(t time.Time) error {
	if to, ok := w.to.(interface{ SetWriteDeadline(time.Time) error }); ok {
		return to.SetWriteDeadline(t)
	}
	return errors.ErrUnsupported
}

// soFar is the time since the start, if it may be that of the first byte.
func (w *writer) soFar() time.Duration {
	if w.status != 0 {
		return 0
	}
	return time.Since(w.start)
}

// wrote notes what has been sent. Without a status before it, that was 200.
// An error tells that the client is gone, or that a file could not be read:
// the response is not complete.
func (w *writer) wrote(first time.Duration, n int64, err error) {
	if err != nil {
		w.aborted = true
	}
	if w.status == 0 && (err == nil || n > 0) {
		w.status, w.first = http.StatusOK, first
	}
	// Front ends swallow the body of a response that has none.
	if !w.head && w.status != http.StatusNoContent && w.status != http.StatusNotModified {
		w.bytes += n
	}
}
