package handler

import (
	"context"
	"log/slog"
	"net/http"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// requestMessage is the message of an access record, by which NewCombined
// knows it.
const requestMessage = "request"

// StatusClientGone is logged for a request whose client went away before a
// status was sent. None was: the number is nginx's, so that such requests can be told
// from those that failed.
const StatusClientGone = 499

// AccessLog returns a handler that calls next and then writes one record to
// log, at level Info with the message "request". Its time is that of the
// request's arrival; durations are measured from there. The attributes, in
// this order, those marked with * only if there is something to say:
//
//	remote *      IP address of the client
//	user *        who it is, if it was identified
//	method        as received
//	host *        as received
//	target        as received, path and query, still percent-encoded
//	proto         "HTTP/1.1"
//	status        as sent; StatusClientGone, or 0 if the response was aborted before one
//	bytes         of the body that was sent
//	duration      to the last byte
//	first_byte *  to the status
//	referer *
//	agent *
//	aborted *     true: the client did not get all of the response
//
// and then what was noted. All strings are as the client sent them: it is for
// the log's handler to escape them, as slog's and NewCombined do.
//
// The cgi.ResponseWriter that next gets has a method
//
//	Note(attrs ...slog.Attr)
//
// which adds attributes to the record of the request. Whoever knows more about
// it (its backend, the time in the queue) asks for that method with a type
// assertion, and finds it only if there is a log:
//
//	if n, ok := w.(interface{ Note(...slog.Attr) }); ok {
//		n.Note(slog.String("backend", name))
//	}
//
// A later attribute replaces one of the same key, and so does one with a key
// of those above. attrs are copied; a caller that keeps room for them in
// something of its own does not allocate.
//
// Of the other optional interfaces the ResponseWriter has ReadFrom, Stderr and
// SetWriteDeadline, which use those of the one it was given.
//
// If log is nil the handler is next itself. While log is not enabled for Info,
// next gets its ResponseWriter as it was.
func AccessLog(next cgi.Handler, log *slog.Logger) cgi.Handler {
	if log == nil {
		return next
	}
	return &accessLog{next, log.Handler()}
}

type accessLog struct {
	next cgi.Handler
	to   slog.Handler
}

// ServeCGI implements cgi.Handler.
func (a *accessLog) ServeCGI(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	if !a.to.Enabled(ctx, slog.LevelInfo) {
		a.next.ServeCGI(ctx, w, r)
		return
	}
	// Not kept for the next request: a handler that holds on to its writer
	// for too long must not count in somebody else's.
	lw := &writer{to: w, start: time.Now(), head: r.Method == "HEAD", method: r.Method, target: r.Target}
	lw.notes = lw.few[:0]
	// Not recovered: whoever does wants to see where the panic came from.
	defer a.write(ctx, lw, r)
	a.next.ServeCGI(ctx, lw, r)
	lw.returned = true
}

// write writes the record. It goes to the log's handler directly: a Logger
// would look up the line of code, which is always this one.
func (a *accessLog) write(ctx context.Context, w *writer, r *cgi.Request) {
	took := time.Since(w.start)
	status, aborted := w.outcome(ctx)
	var room [13 + len(w.few)]slog.Attr
	attrs := room[:0]
	add := func(key, value string) {
		if value != "" {
			attrs = append(attrs, slog.String(key, value))
		}
	}
	add("remote", r.RemoteAddr)
	add("user", r.RemoteUser)
	attrs = append(attrs, slog.String("method", w.method))
	add("host", r.Host)
	attrs = append(attrs,
		slog.String("target", w.target),
		slog.String("proto", r.Proto),
		slog.Int("status", status),
		slog.Int64("bytes", w.bytes),
		slog.Duration("duration", took))
	if w.status != 0 {
		attrs = append(attrs, slog.Duration("first_byte", w.first))
	}
	add("referer", r.Header.Get("Referer"))
	add("agent", r.Header.Get("User-Agent"))
	if aborted {
		attrs = append(attrs, slog.Bool("aborted", true))
	}
	for _, n := range w.notes {
		attrs = set(attrs, n)
	}
	rec := slog.NewRecord(w.start, slog.LevelInfo, requestMessage, 0)
	rec.AddAttrs(attrs...)
	a.to.Handle(ctx, rec) // nobody is left to be told of an error, as with a Logger
}

// set puts a in the place of the attribute with its key, or at the end.
func set(attrs []slog.Attr, a slog.Attr) []slog.Attr {
	for i := range attrs {
		if attrs[i].Key == a.Key {
			attrs[i] = a
			return attrs
		}
	}
	return append(attrs, a)
}

// outcome says how the request ended.
func (w *writer) outcome(ctx context.Context) (status int, aborted bool) {
	switch {
	case w.status != 0:
		return w.status, w.aborted || !w.returned
	case !w.returned:
		return http.StatusInternalServerError, w.aborted // what a front end answers to a panic
	case ctx.Err() != nil:
		return StatusClientGone, true
	case w.aborted, w.refused:
		return 0, true
	}
	return http.StatusOK, false // what a front end sends for a handler that said nothing
}
