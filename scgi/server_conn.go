package scgi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/lazyctx"
	"github.com/sluice-gateway/sluice/internal/linelog"
)

// A serverConn is a connection from a web server, with its one request. It is
// not used again, so that whoever holds on to its context holds nobody else's.
type serverConn struct {
	server *Server
	nc     net.Conn
	m      *memory // not to be touched once over is set
	ctx    lazyctx.Context
	body   serverBody

	// Of the goroutine that serves the connection.
	watched bool  // see watch; or of whoever reads the body to its end
	timed   bool  // a write deadline is set
	unread  bool  // some of the request has not been read
	written int64 // bytes of the answer

	over atomic.Bool // the handler has returned

	mu       sync.Mutex // guards what follows
	cause    error      // why the connection has been closed
	heard    bool       // something has come
	draining bool       // the server shuts down
	whole    bool       // the answer has been sent to its end
	deadline time.Time  // for writing, set by the handler
	stderr   *linelog.Lines
}

// memory is what a request needs and another one may use again.
type memory struct {
	c       *serverConn // whose it is
	in      []byte      // what is read
	decoder Decoder
	params  cgi.Receiver // remembers the strings of the request before
	r       cgi.Request
	reply   cgi.Reply
	vecs    [2][]byte
	bufs    net.Buffers
	watcher watcher
}

// take takes memory for c.
func (s *Server) take(c *serverConn) {
	m, ok := s.memory.Get().(*memory)
	if !ok {
		m = &memory{in: make([]byte, readSize)}
		m.decoder.MaxBytes, m.decoder.MaxPairs = s.MaxParams, s.MaxPairs
	}
	m.c, c.m = c, m
	m.reply.Reset(c, &m.r)
}

// Serve serves the connection to its end.
func (c *serverConn) Serve() {
	c.server.take(c)
	defer c.end() // deferred, because a handler may end this goroutine
	if c.receive() {
		c.run()
	}
}

// receive reads the headers. If there are none that can be served it has
// answered.
func (c *serverConn) receive() (ok bool) {
	c.await()
	m := c.m
	for {
		n, err := c.nc.Read(m.in)
		if n > 0 {
			c.hear()
			used, done, err := m.decoder.Feed(m.in[:n])
			if err == nil && done {
				err = c.makeRequest(m.in[used:n])
			}
			if err != nil {
				c.refuse(err)
				return false
			}
			if done {
				c.nc.SetReadDeadline(time.Time{})
				return true
			}
		}
		if err == nil {
			continue
		}
		if errors.Is(err, os.ErrDeadlineExceeded) && m.decoder.Started() {
			c.server.warn("connection closed", slog.String("peer", c.nc.RemoteAddr().String()), slog.Any("err", malformed("a request did not come to the end of its headers in time")))
		}
		c.lose(err)
		return false
	}
}

// makeRequest makes the request of its decoded params. rest is what has been
// read behind them.
func (c *serverConn) makeRequest(rest []byte) error {
	m := c.m
	m.params.Start(&m.r)
	for {
		name, value, ok := m.decoder.Next()
		if !ok {
			break
		}
		if err := m.params.Param(name, value); err != nil {
			return err
		}
	}
	if err := m.params.End(); err != nil {
		return err
	}
	if m.r.ContentLength > 0 {
		c.body.init(c, rest, m.r.ContentLength)
		m.r.Body = &c.body
	}
	return nil
}

// refuse answers without the handler.
func (c *serverConn) refuse(why error) {
	status := 400
	if errors.Is(why, ErrTooLong) {
		status = 431
	}
	c.server.warn("request refused", slog.String("peer", c.nc.RemoteAddr().String()), slog.Int("status", status), slog.Any("err", why))
	text := cgi.StatusText(status)
	head := fmt.Sprintf("Status: %d %s\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n%s\n", status, text, text)
	c.unread = true
	c.last([]byte(head))
}

// run runs the handler and ends its answer.
func (c *serverConn) run() {
	s := c.server
	if s.total.Add(1) == s.MaxRequests {
		s.loop.Retire()
	}
	if c.m.r.Body == nil {
		c.watch()
	}
	returned := false
	defer func() {
		if !returned {
			c.failed(recover())
		}
		c.answer()
	}()
	s.Handler.ServeCGI(&c.ctx, c, &c.m.r)
	returned = true
}

// failed is called when the handler did not return: v is what it panicked
// with, or nil if it has ended its goroutine.
func (c *serverConn) failed(v any) {
	if r := &c.m.r; v != nil && c.server.Log != nil {
		c.server.Log.LogAttrs(context.Background(), slog.LevelError, "handler panicked",
			slog.String("method", r.Method),
			slog.String("path", r.Path()),
			slog.Any("panic", v),
			slog.String("stack", string(debug.Stack())))
	}
	c.m.reply.Fail()
}

// answer sends what the handler has left to be sent.
func (c *serverConn) answer() {
	c.over.Store(true)
	c.unread = !c.body.close()
	c.unwatch()
	c.endStderr()
	rest, whole, err := c.m.reply.End()
	if err != nil && c.Gone() == nil {
		c.server.warn("response refused", slog.Any("err", err))
	}
	if whole && c.Gone() == nil {
		c.last(rest)
	}
	c.ctx.End(nil)
}

// last sends the end of an answer.
func (c *serverConn) last(rest []byte) {
	if len(rest) > 0 && c.Send(nil, rest) != nil {
		return
	}
	c.mu.Lock()
	c.whole = true
	c.mu.Unlock()
	c.ctx.End(nil)
	if c.unread {
		c.linger()
	}
}

// end closes the connection and gives the memory back.
func (c *serverConn) end() {
	c.over.Store(true)
	c.Close(errDone)
	m := c.m
	m.c, m.r.Body = nil, nil
	m.decoder.Reset()
	m.reply.Reset(nil, nil)
	c.server.memory.Put(m)
}

var errDone = errors.New("scgi: connection done")

// lose notes that nobody waits for the answer.
func (c *serverConn) lose(err error) { c.ctx.End(fmt.Errorf("%w: %w", ErrConnectionLost, err)) }

// Close closes the connection, the first time it is called, and cancels its
// request. If the answer is not at its end the web server must not take it for
// complete, so the connection is reset.
func (c *serverConn) Close(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return
	}
	c.cause = cause
	c.ctx.End(cause)
	if tcp, ok := c.nc.(interface{ SetLinger(sec int) error }); ok && c.heard && !c.whole {
		tcp.SetLinger(0)
	}
	c.nc.Close()
}
