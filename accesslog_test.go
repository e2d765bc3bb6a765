package sluice

import (
	"errors"
	"testing"

	"github.com/sluice-gateway/sluice/internal/testlog"
)

// A disk takes so many bytes before it is full.
type disk struct {
	content []byte
	free    int
}

var errFull = errors.New("no space left on device")

func (d *disk) Write(p []byte) (int, error) {
	n := min(len(p), d.free)
	d.content = append(d.content, p[:n]...)
	d.free -= n
	if n < len(p) {
		return n, errFull
	}
	return n, nil
}

// A disk that is full costs lines, and says so, but never tears two together.
func TestAccessLogOnAFullDisk(t *testing.T) {
	d := &disk{free: 12}
	log := new(testlog.Buffer)
	w := &accessWriter{w: d, log: log.Logger()}
	for range 4 {
		w.Write([]byte("one line\n"))
	}
	d.free = 100
	w.Write([]byte("the last\n"))
	w.Write([]byte("and more\n"))
	if got, want := string(d.content), "one line\none\nthe last\nand more\n"; got != want {
		t.Errorf("written %q, want %q", got, want)
	}
	if n := len(log.With("level=ERROR", "access log lost", "no space")); n != 1 {
		t.Errorf("the loss is logged %d times, want once:\n%s", n, log)
	}
	if len(log.With("access log is written again", "lost_lines=3")) != 1 {
		t.Errorf("the end is not logged:\n%s", log)
	}
}
