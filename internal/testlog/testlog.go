// Package testlog is a log for tests.
package testlog

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
)

// A Buffer is a log that may be read while it is written. The zero Buffer is
// ready to use.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Logger returns a logger that writes text to the buffer, of every level.
func (l *Buffer) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// Write implements io.Writer.
func (l *Buffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// String returns what has been written so far.
func (l *Buffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// With returns the lines that hold all of the parts.
func (l *Buffer) With(parts ...string) (found []string) {
	for line := range strings.Lines(l.String()) {
		if holds(line, parts) {
			found = append(found, line)
		}
	}
	return found
}

func holds(line string, parts []string) bool {
	for _, p := range parts {
		if !strings.Contains(line, p) {
			return false
		}
	}
	return true
}
