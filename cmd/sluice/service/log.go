// Package service is what the commands that stay have in common: their log, and
// how they get on with the system that they run on.
package service

import (
	"fmt"
	"io"
	"log/slog"

	"github.com/sluice-gateway/sluice/internal/logqueue"
)

// CheckLog reports whether there is a log of this format. An error is one of the
// command line.
func CheckLog(format string) error {
	_, err := NewLog(io.Discard, format, false)
	return err
}

// NewLog returns a log of a format, "text" or "json". A verbose one has what is
// of interest to developers, too.
func NewLog(w io.Writer, format string, verbose bool) (*slog.Logger, error) {
	o := &slog.HandlerOptions{}
	if verbose {
		o.Level = slog.LevelDebug
	}
	switch format {
	case "text":
		return slog.New(slog.NewTextHandler(w, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(w, o)), nil
	}
	return nil, fmt.Errorf("--log is %q: want text or json", format)
}

// QueuedLog is NewLog for who must not wait for a reader, as whoever has signals
// to heed. The queue is closed when nothing is logged any more.
func QueuedLog(w io.Writer, format string, verbose bool) (*slog.Logger, *logqueue.Queue, error) {
	direct, err := NewLog(w, format, verbose)
	if err != nil {
		return nil, nil, err
	}
	queue := logqueue.New(w, func(_ io.Writer, n int) { SayLost(direct, n) })
	log, err := NewLog(queue, format, verbose)
	return log, queue, err
}

// SayLost says in a log that lines are missing.
func SayLost(log *slog.Logger, n int) {
	log.Warn("lines of the log lost", slog.Int("lines", n), slog.String("hint", "whoever reads it has stopped to, or is too slow"))
}
