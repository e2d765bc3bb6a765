package process

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"slices"
	"sync"
	"time"
)

// An output reads what one process, and its descendants, write to stdout and
// stderr. Both are one pipe: so the lines keep their order.
type output struct {
	r    *os.File
	log  *slog.Logger
	rate rate
	lost int // lines that were not logged

	mu   sync.Mutex
	tail tail
}

// read reads until the end, or until the read deadline of o.r has passed.
func (o *output) read() error {
	defer o.r.Close()
	var l lines
	buf := make([]byte, 4<<10)
	for {
		n, err := o.r.Read(buf)
		l.feed(buf[:n], o.line)
		if err != nil {
			l.end(o.line)
			o.finish()
			if errors.Is(err, io.EOF) || errors.Is(err, os.ErrDeadlineExceeded) {
				return nil
			}
			return err
		}
	}
}

// line takes one line.
func (o *output) line(b []byte) {
	s := string(b)
	o.mu.Lock()
	o.tail.add(s)
	o.mu.Unlock()
	if !o.rate.take(time.Now()) {
		o.lost++
		return
	}
	o.leftOut()
	o.log.LogAttrs(context.Background(), slog.LevelInfo, "process output", slog.String("text", s))
}

// finish logs the last lines that were too many: they are the ones that say why
// a program ends.
func (o *output) finish() {
	last := o.last()
	last = last[max(0, len(last)-o.lost):]
	o.lost -= len(last)
	o.leftOut()
	for _, s := range last {
		o.log.LogAttrs(context.Background(), slog.LevelInfo, "process output", slog.String("text", s))
	}
}

// leftOut says how many lines were too many.
func (o *output) leftOut() {
	if o.lost > 0 {
		o.log.LogAttrs(context.Background(), slog.LevelWarn, "process output left out", slog.Int("lines", o.lost))
		o.lost = 0
	}
}

// last returns the last lines. The slice is the caller's.
func (o *output) last() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.tail.lines)
}

// lines cuts a stream into lines. It does no I/O.
type lines struct{ partial []byte }

// feed calls line for each line that is complete, without its end. What is
// longer than maxLine is cut, what is empty left out. line must not keep its
// argument.
func (l *lines) feed(b []byte, line func([]byte)) {
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		end := i >= 0
		if !end {
			i = len(b)
		}
		if room := maxLine - len(l.partial); i > room {
			l.partial = append(l.partial, b[:room]...)
			l.end(line)
			b = b[room:]
			continue
		}
		l.partial = append(l.partial, b[:i]...)
		if !end {
			return
		}
		l.end(line)
		b = b[i+1:]
	}
}

// end calls line for the last line, which may lack its end.
func (l *lines) end(line func([]byte)) {
	if b := bytes.TrimRight(l.partial, "\r"); len(b) > 0 {
		line(b)
	}
	l.partial = l.partial[:0]
}

// A tail keeps the last lines of a stream: at most tailLines, with at most
// tailBytes in all.
type tail struct {
	lines []string
	size  int
}

func (t *tail) add(line string) {
	t.lines = append(t.lines, line)
	t.size += len(line)
	for len(t.lines) > tailLines || t.size > tailBytes && len(t.lines) > 1 {
		t.size -= len(t.lines[0])
		t.lines = slices.Delete(t.lines, 0, 1)
	}
}

// A rate allows outputRate lines a second, and outputBurst at once.
type rate struct {
	spent float64 // of the burst
	at    time.Time
}

// take reports whether one more line is allowed now.
func (r *rate) take(now time.Time) bool {
	r.spent = max(0, r.spent-now.Sub(r.at).Seconds()*outputRate)
	r.at = now
	if r.spent+1 > outputBurst {
		return false
	}
	r.spent++
	return true
}
