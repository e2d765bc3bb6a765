package scgi

import (
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/linelog"
)

// A serverConn is the cgi.ResponseWriter of its handler. cgi.Reply keeps the
// rules; SCGI adds nothing to the bytes.
var (
	_ cgi.ResponseWriter = (*serverConn)(nil)
	_ io.ReaderFrom      = (*serverConn)(nil)
	_ cgi.Output         = (*serverConn)(nil)
)

var errEnded = errors.New("scgi: write: the handler has returned")

// WriteHeader implements cgi.ResponseWriter.
func (c *serverConn) WriteHeader(status int, h cgi.Header) error {
	if c.over.Load() {
		return errEnded
	}
	return c.m.reply.WriteHeader(status, h)
}

// Write implements cgi.ResponseWriter.
func (c *serverConn) Write(p []byte) (int, error) {
	if c.over.Load() {
		return 0, errEnded
	}
	return c.m.reply.Write(p)
}

// ReadFrom implements io.ReaderFrom.
func (c *serverConn) ReadFrom(src io.Reader) (int64, error) {
	if c.over.Load() {
		return 0, errEnded
	}
	return c.m.reply.ReadFrom(src)
}

// Flush implements cgi.ResponseWriter.
func (c *serverConn) Flush() error {
	if c.over.Load() {
		return errEnded
	}
	return c.m.reply.Flush()
}

// Abort implements cgi.ResponseWriter.
func (c *serverConn) Abort() {
	if !c.over.Load() {
		c.m.reply.Abort()
	}
}

// Gone implements cgi.Output.
func (c *serverConn) Gone() error { return c.ctx.Why() }

// Send implements cgi.Output.
func (c *serverConn) Send(gathered, p []byte) (err error) {
	c.writeBy(len(gathered) + len(p))
	switch {
	case len(gathered) == 0:
		_, err = c.nc.Write(p)
	case len(p) == 0:
		_, err = c.nc.Write(gathered)
	default:
		m := c.m
		m.vecs = [2][]byte{gathered, p}
		m.bufs = m.vecs[:]
		_, err = m.bufs.WriteTo(c.nc)
		m.vecs = [2][]byte{}
	}
	if err != nil {
		c.lose(err)
		return c.Gone()
	}
	return nil
}

// writeBy sets the time by which a write of n bytes must be done. One that
// cannot block needs none.
func (c *serverConn) writeBy(n int) {
	c.mu.Lock()
	deadline := c.deadline
	c.mu.Unlock()
	if c.written += int64(n); c.written > surelyTaken && c.server.writeTimeout > 0 {
		if t := time.Now().Add(c.server.writeTimeout); deadline.IsZero() || t.Before(deadline) {
			deadline = t
		}
	}
	if set := !deadline.IsZero(); set || c.timed {
		c.nc.SetWriteDeadline(deadline)
		c.timed = set
	}
}

// SetWriteDeadline makes writes after t fail, and with them the connection. It
// is found by cgihttp.
func (c *serverConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
	return nil
}

// Stderr is found by cgi.Stderr. Unlike the rest of a ResponseWriter it may be
// used by several goroutines.
func (c *serverConn) Stderr() io.Writer { return (*stderr)(c) }

type stderr serverConn

func (w *stderr) Write(b []byte) (int, error) {
	c := (*serverConn)(w)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.over.Load():
		return 0, errEnded
	case c.server.Log == nil:
		return len(b), nil
	case c.stderr == nil:
		r := &c.m.r
		c.stderr = &linelog.Lines{Log: c.server.Log.With(slog.String("method", r.Method), slog.String("path", r.Path()))}
	}
	return c.stderr.Write(b)
}

// endStderr logs what is left of the last line.
func (c *serverConn) endStderr() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stderr.End()
}

var copyBuffers = sync.Pool{New: func() any { b := make([]byte, copySize); return &b }}
