package fastcgi

import (
	"log/slog"

	"github.com/sluice-gateway/sluice/internal/linelog"
)

// stderr passes what an application writes to STDERR on to the log.
func (x *exchange) stderr(p []byte) {
	if x.log == nil {
		x.log = &linelog.Lines{Log: x.c.host.client.Log.With(
			slog.String("worker", x.c.host.name),
			slog.String("method", x.r.Method), slog.String("path", x.r.Path()))}
	}
	x.log.Write(p)
}
