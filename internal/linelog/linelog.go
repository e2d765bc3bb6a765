// Package linelog writes the messages of an application to a log.
package linelog

import (
	"bytes"
	"context"
	"log/slog"
)

const (
	// MaxBytes bounds what one request may write to the log. PHP can send
	// megabytes of warnings.
	MaxBytes = 64 << 10

	// maxLine is where a line that does not end is cut into two events.
	maxLine = 4 << 10
)

// Lines is the STDERR of one request on its way to the log, a line an event.
// It is not safe for concurrent use.
type Lines struct {
	Log *slog.Logger // with what says whose they are

	partial []byte // of a line whose end has not come
	passed  int    // bytes so far
	lost    int    // bytes that were not logged
}

// Write implements io.Writer. It never fails.
func (l *Lines) Write(p []byte) (int, error) {
	size := len(p)
	if n := min(size, MaxBytes-l.passed); n < size {
		l.lost += size - n
		p = p[:n]
	}
	l.passed += len(p)
	l.partial = append(l.partial, p...)
	for {
		line, rest, found := bytes.Cut(l.partial, []byte{'\n'})
		if !found && len(l.partial) <= maxLine {
			return size, nil
		}
		if !found || len(line) > maxLine {
			line, rest = l.partial[:maxLine], l.partial[maxLine:]
		}
		l.event(line)
		l.partial = rest
	}
}

func (l *Lines) event(line []byte) {
	if line = bytes.TrimRight(line, "\r"); len(line) > 0 {
		l.Log.LogAttrs(context.Background(), slog.LevelWarn, "application stderr", slog.String("text", string(line)))
	}
}

// End logs the last line, and how much was left out. On a nil Lines it does
// nothing.
func (l *Lines) End() {
	if l == nil {
		return
	}
	l.event(l.partial)
	l.partial = nil
	if l.lost > 0 {
		l.Log.LogAttrs(context.Background(), slog.LevelWarn, "application stderr left out", slog.Int("bytes", l.lost))
		l.lost = 0
	}
}
