package spawn

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"log/syslog"

	"github.com/sluice-gateway/sluice/cmd/sluice/service"
	"github.com/sluice-gateway/sluice/internal/logqueue"
)

// queuedSyslog returns a log that goes to the system's as soon as that takes it.
func queuedSyslog(system *syslog.Writer) (*slog.Logger, *logqueue.Queue) {
	direct := &syslogHandler{w: syslogWriter{system}}
	queue := logqueue.New(direct.w, func(_ io.Writer, n int) { service.SayLost(slog.New(direct), n) })
	return slog.New(&syslogHandler{w: queue}), queue
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
