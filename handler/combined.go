package handler

import (
	"context"
	"io"
	"log/slog"
	"strconv"
	"sync"
	"time"
)

// NewCombined returns a slog.Handler that writes the records of an AccessLog
// in the combined log format of NCSA and Apache:
//
//	REMOTE - USER [TIME] "METHOD TARGET PROTO" STATUS BYTES "REFERER" "AGENT"
//
// with "-" for what is not known and for zero bytes, and the time that the request
// arrived. A response that was aborted has the status and the bytes that were
// sent. There is no place for attributes that were noted or given to With.
//
// Strings are escaped as by Apache: \" \\ \b \n \r \t \v, and \xHH for every
// other byte that is not a printable ASCII character; so one record is one line,
// and no terminal obeys it. REMOTE and USER are not quoted: a blank in
// them is escaped too (Apache does not, and a user name can forge the
// fields after it).
//
// Every other record is written as by slog.NewTextHandler. Records below Info
// are left out.
//
// Each record is one call of w.Write, and w is called by one goroutine at a
// time.
func NewCombined(w io.Writer) slog.Handler {
	out := &output{w: w}
	return &combined{out, slog.NewTextHandler(out, nil)}
}

type combined struct {
	out   *output
	other slog.Handler
}

// Enabled implements slog.Handler.
func (c *combined) Enabled(ctx context.Context, l slog.Level) bool { return c.other.Enabled(ctx, l) }

// WithAttrs implements slog.Handler.
func (c *combined) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &combined{c.out, c.other.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (c *combined) WithGroup(name string) slog.Handler {
	return &combined{c.out, c.other.WithGroup(name)}
}

// Handle implements slog.Handler.
func (c *combined) Handle(ctx context.Context, rec slog.Record) error {
	var l line
	if !l.read(&rec) {
		return c.other.Handle(ctx, rec)
	}
	b := buffers.Get().(*[]byte)
	*b = l.append((*b)[:0])
	_, err := c.out.Write(*b)
	if cap(*b) <= keptBuffer {
		buffers.Put(b)
	}
	return err
}

// An output is what several handlers write to, one at a time.
type output struct {
	mu sync.Mutex
	w  io.Writer
}

// Write implements io.Writer.
func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.w.Write(p)
}

// keptBuffer is the largest buffer kept for later lines. Most lines take 200
// bytes; one of a hostile client takes 100 KiB.
const keptBuffer = 4 << 10

var buffers = sync.Pool{New: func() any { b := make([]byte, 0, 512); return &b }}

// A line is what the combined format says of a request.
type line struct {
	time                  time.Time
	remote, user          string
	method, target, proto string
	status, bytes         int64
	referer, agent        string
}

// What an access record always has, as bits.
const (
	hasMethod = 1 << iota
	hasTarget
	hasProto
	hasStatus
	hasBytes
	hasAll = 1<<iota - 1
)

// read fills in the line. It reports whether rec is an access record.
func (l *line) read(rec *slog.Record) bool {
	if rec.Message != requestMessage || rec.Level != slog.LevelInfo {
		return false
	}
	l.time = rec.Time
	has := 0
	rec.Attrs(func(a slog.Attr) bool {
		switch a.Value.Kind() {
		case slog.KindString:
			if to, bit := l.text(a.Key); to != nil {
				*to = a.Value.String()
				has |= bit
			}
		case slog.KindInt64:
			if to, bit := l.number(a.Key); to != nil {
				*to = a.Value.Int64()
				has |= bit
			}
		}
		return true
	})
	return has == hasAll
}

// text returns the field for an attribute, nil if there is none, and its bit.
func (l *line) text(key string) (to *string, bit int) {
	switch key {
	case "remote":
		return &l.remote, 0
	case "user":
		return &l.user, 0
	case "method":
		return &l.method, hasMethod
	case "target":
		return &l.target, hasTarget
	case "proto":
		return &l.proto, hasProto
	case "referer":
		return &l.referer, 0
	case "agent":
		return &l.agent, 0
	}
	return nil, 0
}

// number is text for those that are numbers.
func (l *line) number(key string) (to *int64, bit int) {
	switch key {
	case "status":
		return &l.status, hasStatus
	case "bytes":
		return &l.bytes, hasBytes
	}
	return nil, 0
}

// append appends the line and its end.
func (l *line) append(b []byte) []byte {
	b = appendBare(b, l.remote)
	b = append(b, " - "...)
	b = appendBare(b, l.user)
	b = append(b, " ["...)
	b = l.time.AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, `] "`...)
	b = appendEscaped(b, l.method)
	b = append(b, ' ')
	b = appendEscaped(b, l.target)
	b = append(b, ' ')
	b = appendEscaped(b, l.proto)
	b = append(b, `" `...)
	b = appendNumber(b, l.status)
	b = append(b, ' ')
	b = appendNumber(b, l.bytes)
	b = append(b, ' ')
	b = appendQuoted(b, l.referer)
	b = append(b, ' ')
	b = appendQuoted(b, l.agent)
	return append(b, '\n')
}

func appendNumber(b []byte, n int64) []byte {
	if n == 0 {
		return append(b, '-')
	}
	return strconv.AppendInt(b, n, 10)
}
