package fastcgi

import (
	"bytes"
	"context"
	"log/slog"
)

// A stderrLog writes the STDERR of one request to the log, a line an event.
type stderrLog struct {
	log     *slog.Logger
	partial []byte // of a line whose end has not come
	left    int    // bytes that may still be logged
	lost    int    // bytes that were not
}

// maxLine is where a line that does not end is cut into two events.
const maxLine = 4 << 10

func (x *exchange) stderr(p []byte) {
	if x.log == nil {
		x.log = &stderrLog{left: stderrBytes, log: x.c.host.client.Log.With(
			slog.String("worker", x.c.host.name),
			slog.String("method", x.r.Method), slog.String("path", x.r.Path()))}
	}
	x.log.write(p)
}

func (l *stderrLog) write(p []byte) {
	if n := min(len(p), l.left); n < len(p) {
		l.lost += len(p) - n
		p = p[:n]
	}
	l.left -= len(p)
	l.partial = append(l.partial, p...)
	for {
		line, rest, found := bytes.Cut(l.partial, []byte{'\n'})
		if !found && len(l.partial) <= maxLine {
			return
		}
		if !found || len(line) > maxLine {
			line, rest = l.partial[:maxLine], l.partial[maxLine:]
		}
		l.event(line)
		l.partial = rest
	}
}

func (l *stderrLog) event(line []byte) {
	if line = bytes.TrimRight(line, "\r"); len(line) > 0 {
		l.log.LogAttrs(context.Background(), slog.LevelWarn, "application stderr", slog.String("text", string(line)))
	}
}

// end logs the last line, and how much was left out. It is called on a nil
// stderrLog when there was no STDERR.
func (l *stderrLog) end() {
	if l == nil {
		return
	}
	l.event(l.partial)
	l.partial = nil
	if l.lost > 0 {
		l.log.LogAttrs(context.Background(), slog.LevelWarn, "application stderr left out", slog.Int("bytes", l.lost))
		l.lost = 0
	}
}
