package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"log/syslog"
	"os"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/logqueue"
)

// A spawnLog is where a supervisor, and its processes, write. In the background
// that is --log-file, or else standard error if it is a file, or else the
// system's log: a terminal or a pipe cannot be it, for whoever waits for its end
// would wait as long as the supervisor lives.
//
// Whoever logs does not wait for whoever reads: a supervisor that does is deaf.
type spawnLog struct {
	*slog.Logger
	queue   *logqueue.Queue // nil if nobody takes what is logged
	file    *os.File        // what standard error becomes in the end; nil if it stays
	nowhere bool            // nobody takes what is logged
}

// openLog opens the log of the plan. close is called when nothing is logged any
// more.
func (p *spawnPlan) openLog(stderr io.Writer) (*spawnLog, error) {
	if p.logFile != "" {
		f, err := openLogFile(p.logFile)
		if err != nil {
			return nil, fail(err)
		}
		return p.queuedLog(f, f.file)
	}
	if !p.background || isFile(os.Stderr) {
		return p.queuedLog(stderr, nil)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, fail(err)
	}
	system, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_INFO, p.name())
	if err != nil {
		return &spawnLog{Logger: slog.New(slog.DiscardHandler), file: null, nowhere: true}, nil
	}
	queue := logqueue.New(syslogWriter{system}, func(w io.Writer, n int) { sayLost(slog.New(&syslogHandler{w: w}), n) })
	return &spawnLog{Logger: slog.New(&syslogHandler{w: queue}), queue: queue, file: null}, nil
}

// queuedLog returns a log that is written to w as soon as that takes it.
func (p *spawnPlan) queuedLog(w io.Writer, file *os.File) (*spawnLog, error) {
	if _, err := newLog(w, p.logFormat, false); err != nil {
		return nil, err
	}
	queue := newLogQueue(w, p.logFormat)
	log, err := newLog(queue, p.logFormat, false)
	return &spawnLog{Logger: log, queue: queue, file: file}, err
}

// sayLost says in a log that lines are missing.
func sayLost(log *slog.Logger, n int) {
	log.Warn("lines of the log lost", slog.Int("lines", n), slog.String("hint", "whoever reads it has stopped to, or is too slow"))
}

// close writes what has not been written, if somebody reads it.
func (l *spawnLog) close() {
	if l.queue != nil {
		l.queue.Close(logqueue.Patience)
	}
}

func isFile(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}

// A logFile is a file that is opened again when it has been renamed, as
// logrotate does.
type logFile struct {
	path string

	mu     sync.Mutex
	file   *os.File
	looked time.Time
}

func openLogFile(path string) (*logFile, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640)
	if err != nil {
		return nil, fmt.Errorf("log file '%s': %s", path, errnoText(err))
	}
	return &logFile{path: path, file: f, looked: time.Now()}, nil
}

// Write implements io.Writer.
func (l *logFile) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.looked) >= time.Second {
		l.looked = now
		l.follow()
	}
	return l.file.Write(b)
}

// follow opens the file anew if its path leads to another one, or nowhere. What
// fails is tried again.
func (l *logFile) follow() {
	ours, err := l.file.Stat()
	if err != nil {
		return
	}
	if there, err := os.Stat(l.path); err == nil && os.SameFile(ours, there) {
		return
	}
	if f, err := os.OpenFile(l.path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o640); err == nil {
		l.file.Close()
		l.file = f
	}
}

// A syslogHandler is a log that goes to the system's, by way of a syslogWriter.
type syslogHandler struct {
	w     io.Writer
	attrs []slog.Attr
}

func (h *syslogHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo
}
func (h *syslogHandler) WithGroup(string) slog.Handler { return h }
func (h *syslogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &syslogHandler{h.w, append(h.attrs[:len(h.attrs):len(h.attrs)], attrs...)}
}

// Handle implements slog.Handler. Time and level are the system's.
func (h *syslogHandler) Handle(ctx context.Context, rec slog.Record) error {
	var b bytes.Buffer
	b.WriteByte(syslogLevel(rec.Level))
	text := slog.NewTextHandler(&b, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && (a.Key == slog.TimeKey || a.Key == slog.LevelKey) {
			return slog.Attr{}
		}
		return a
	}})
	if err := text.WithAttrs(h.attrs).Handle(ctx, rec); err != nil {
		return err
	}
	_, err := h.w.Write(b.Bytes())
	return err
}

func syslogLevel(level slog.Level) byte {
	switch {
	case level >= slog.LevelError:
		return byte(syslog.LOG_ERR)
	case level >= slog.LevelWarn:
		return byte(syslog.LOG_WARNING)
	}
	return byte(syslog.LOG_INFO)
}

// A syslogWriter writes to the system's log. The first byte of a message is its
// level.
type syslogWriter struct{ w *syslog.Writer }

func (s syslogWriter) Write(b []byte) (int, error) {
	var err error
	switch text := string(b[1:]); syslog.Priority(b[0]) {
	case syslog.LOG_ERR:
		err = s.w.Err(text)
	case syslog.LOG_WARNING:
		err = s.w.Warning(text)
	default:
		err = s.w.Info(text)
	}
	return len(b), err
}
