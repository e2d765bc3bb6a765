package spawn

import (
	"io"
	"log/slog"
	"log/syslog"
	"os"

	"github.com/sluice-gateway/sluice/cmd/sluice/outcome"
	"github.com/sluice-gateway/sluice/cmd/sluice/service"
	"github.com/sluice-gateway/sluice/internal/logqueue"
	"golang.org/x/sys/unix"
)

// A supervisorLog is where a supervisor, and its processes, write. In the background
// that is --log-file, or else standard error if it is a file, or else the
// system's log: a terminal or a pipe cannot be it, for whoever waits for its end
// would wait as long as the supervisor lives.
//
// Whoever logs does not wait for whoever reads: a supervisor that does is deaf.
type supervisorLog struct {
	*slog.Logger
	queue   *logqueue.Queue // nil if nobody takes what is logged
	file    *os.File        // what standard error becomes in the end; nil if it stays
	nowhere bool            // nobody takes what is logged
}

// planLog says how it is written.
func (f *flags) planLog(p *plan) error {
	p.logFormat = f.log
	return service.CheckLog(f.log)
}

// openLog opens the log of the plan. close is called when nothing is logged any
// more.
func (p *plan) openLog(stderr io.Writer) (*supervisorLog, error) {
	if p.logFile != "" {
		f, err := openLogFile(p.logFile)
		if err != nil {
			return nil, outcome.Fail(err)
		}
		return p.queuedLog(f, f.file)
	}
	if !p.background || isFile(os.Stderr) {
		return p.queuedLog(stderr, nil)
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return nil, outcome.Fail(err)
	}
	system, err := syslog.New(syslog.LOG_DAEMON|syslog.LOG_INFO, p.name())
	if err != nil {
		return &supervisorLog{Logger: slog.New(slog.DiscardHandler), file: null, nowhere: true}, nil
	}
	log, queue := queuedSyslog(system)
	return &supervisorLog{Logger: log, queue: queue, file: null}, nil
}

// queuedLog returns a log that is written to w as soon as that takes it.
func (p *plan) queuedLog(w io.Writer, file *os.File) (*supervisorLog, error) {
	log, queue, err := service.QueuedLog(w, p.logFormat, false)
	return &supervisorLog{Logger: log, queue: queue, file: file}, err
}

// close writes what has not been written, if somebody reads it.
func (l *supervisorLog) close() {
	if l.queue != nil {
		l.queue.Close(logqueue.Patience)
	}
}

// detach lets go of what whoever started us may wait for, or want to unmount.
func (l *supervisorLog) detach() error {
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if l.file == nil {
		return nil
	}
	return unix.Dup2(int(l.file.Fd()), 2)
}

func isFile(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular()
}
