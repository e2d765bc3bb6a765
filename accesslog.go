package sluice

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/handler"
)

// openAccessLog opens the access log; nil if there is none. The closer is nil
// unless a file was opened.
func (s *Server) openAccessLog(cfg *config.Config) (*slog.Logger, io.Closer, error) {
	to := s.stdout
	var closer io.Closer
	switch cfg.AccessLog {
	case "off":
		return nil, nil, nil
	case "", "-":
	default:
		f, err := os.OpenFile(cfg.AccessLog, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o640)
		if err != nil {
			return nil, nil, fmt.Errorf("sluice: open access log: %w", err)
		}
		to, closer = &accessWriter{w: f, log: s.o.Log}, f
	}
	if cfg.AccessFormat == "json" {
		return slog.New(slog.NewJSONHandler(to, nil)), closer, nil
	}
	return slog.New(handler.NewCombined(to)), closer, nil
}

// An accessWriter writes the lines of an access log, one at a time, and says
// when it cannot. Two snapshots may share it for a while.
type accessWriter struct {
	w   io.Writer
	log *slog.Logger

	mu   sync.Mutex
	torn bool // the last line is not complete
	lost int  // lines since writing began to fail
}

// Write implements io.Writer. p is a line. One that could only be written in
// part is ended before the next.
func (a *accessWriter) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	line := p
	if a.torn {
		line = append([]byte{'\n'}, p...)
	}
	n, err := a.w.Write(line)
	if err != nil {
		a.torn = a.torn || n > 0
		if a.lost++; a.lost == 1 {
			a.log.LogAttrs(context.Background(), slog.LevelError, "access log lost", slog.Any("err", err))
		}
		return 0, err
	}
	if a.lost > 0 {
		a.log.LogAttrs(context.Background(), slog.LevelWarn, "access log is written again", slog.Int("lost_lines", a.lost))
	}
	a.torn, a.lost = false, 0
	return len(p), nil
}
