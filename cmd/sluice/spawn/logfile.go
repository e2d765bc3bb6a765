package spawn

import (
	"fmt"
	"os"
	"sync"
	"time"
)

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
