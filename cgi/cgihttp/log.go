package cgihttp

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"slices"
	"sync"

	"github.com/sluice-gateway/sluice/cgi"
)

// LogHandler returns a slog.Handler that sends what is logged with the context
// of a request (slog.InfoContext(r.Context(), ...)) to that request's [Stderr],
// and so to the log of the web server, as one line of a slog.TextHandler with
// opts. opts may be nil.
//
// Everything else goes to next, which decides about it itself: what is logged
// without the context of a request that an [Application] made, after the
// handler has returned, and where there is no such stream or it cannot be
// written to. next must not be nil; slog.DiscardHandler drops those.
//
// It is safe for concurrent use if next is.
func LogHandler(next slog.Handler, opts *slog.HandlerOptions) slog.Handler {
	if opts == nil {
		opts = new(slog.HandlerOptions)
	}
	return newLogHandler(next, opts.Level, func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, opts) })
}

// A logHandler is what LogHandler returns, with the attributes and groups that
// it was given since.
type logHandler struct {
	next  slog.Handler
	level slog.Leveler // nil is slog.LevelInfo
	text  func(w io.Writer) slog.Handler
	lines sync.Pool // of *logLine
}

// A logLine is a record as text. It has a handler of its own, so that nobody
// waits for the attributes of another, which may log while they are formatted.
type logLine struct {
	buf  bytes.Buffer
	text slog.Handler
}

func newLogHandler(next slog.Handler, level slog.Leveler, text func(io.Writer) slog.Handler) *logHandler {
	h := &logHandler{next: next, level: level, text: text}
	h.lines.New = func() any {
		l := new(logLine)
		l.text = h.text(&l.buf)
		return l
	}
	return h
}

// Enabled implements slog.Handler.
func (h *logHandler) Enabled(ctx context.Context, level slog.Level) bool {
	if x := callOf(ctx); x == nil || !x.hasStderr() {
		return h.next.Enabled(ctx, level)
	}
	if h.level == nil {
		return level >= slog.LevelInfo
	}
	return level >= h.level.Level()
}

// Handle implements slog.Handler.
func (h *logHandler) Handle(ctx context.Context, r slog.Record) error {
	if x := callOf(ctx); x != nil && x.hasStderr() && h.write(ctx, (*stderr)(x), r) == nil {
		return nil
	}
	if !h.next.Enabled(ctx, r.Level) {
		return nil // Enabled may have spoken of the request's log
	}
	return h.next.Handle(ctx, r)
}

// write writes r as one line, in one piece.
func (h *logHandler) write(ctx context.Context, to io.Writer, r slog.Record) error {
	l := h.lines.Get().(*logLine)
	l.buf.Reset()
	if err := l.text.Handle(ctx, r); err != nil {
		return err
	}
	_, err := to.Write(l.buf.Bytes())
	if l.buf.Cap() <= keptLine {
		h.lines.Put(l)
	}
	return err
}

// WithAttrs implements slog.Handler.
func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	own := slices.Clone(attrs) // next may change attrs
	for i := range own {
		own[i].Value = own[i].Value.Resolve() // as it is now
	}
	return newLogHandler(h.next.WithAttrs(attrs), h.level, func(w io.Writer) slog.Handler {
		return h.text(w).WithAttrs(slices.Clone(own))
	})
}

// WithGroup implements slog.Handler.
func (h *logHandler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return newLogHandler(h.next.WithGroup(name), h.level, func(w io.Writer) slog.Handler {
		return h.text(w).WithGroup(name)
	})
}

// hasStderr reports whether something written to the call's stderr arrives.
func (x *call) hasStderr() bool {
	if !x.gate.enter() {
		return false
	}
	defer x.gate.leave()
	return cgi.Stderr(x.w) != io.Discard
}
