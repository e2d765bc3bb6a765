package service

import (
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/sluice-gateway/sluice/process"
)

// Adopt makes us the parent of what our applications leave behind, so that it
// ends with them. What it returns is called when they have ended.
func Adopt(log *slog.Logger) (stop func()) {
	stop, err := process.Adopt()
	if err != nil {
		log.Warn("what applications leave behind stays", slog.Any("err", err))
		return func() {}
	}
	return stop
}

// OutliveReaders keeps the going of whoever reads our output from ending us:
// SIGPIPE is caught and not ignored, because processes that we start would
// inherit that.
func OutliveReaders() { signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE) }

// Told logs that the service manager, if there is one, does not know how it is
// with us. err is that of package sdnotify.
func Told(log *slog.Logger, err error) {
	if err != nil {
		log.Warn("service manager not told", slog.Any("err", err))
	}
}
