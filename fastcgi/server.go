package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// Serve serves the connections of l with h, as [Server.Serve] does. If l is
// nil, the listening socket is descriptor 0: that is how spawn-fcgi, lighttpd
// and sluice start an application.
func Serve(l net.Listener, h cgi.Handler) error { return (&Server{Handler: h}).Serve(l) }

// A Server is the application's end of FastCGI: it takes requests and hands
// them to a handler, in the role of responder. Its fields must not be changed
// once it serves. It is safe for concurrent use.
//
// A connection carries any number of requests, one after the other or at the
// same time; each has a goroutine that runs the handler. The goroutine that
// reads the connection goes on reading, so the context of a request is done,
// with the cause [ErrAborted], [ErrConnectionLost] or [ErrShutdown], as soon
// as nobody waits for the answer any more. There is one exception, because
// FastCGI has no flow control: if a handler does not read a body that is
// longer than MaxBodyAhead, the connection is not read until it does, and the
// other requests on it wait as well.
//
// A reply that fits into 8 KiB leaves in one write. A response that cannot be
// completed (Abort, or a panic after some of it was sent) is broken by closing
// its connection without END_REQUEST. If other requests are served on that
// connection they have 5 seconds to end first.
//
// Zero in a limit means the default of its name; negative, no limit. An idle
// connection is closed by the web server, or by Shutdown.
type Server struct {
	// Handler answers the requests. A panic in it is logged, and answered
	// with status 500 if nothing has been sent.
	Handler cgi.Handler

	// Log takes what goes wrong. Nil discards.
	Log *slog.Logger

	MaxConns        int // connections at a time; more of them wait in the backlog
	MaxRequests     int // requests at a time; more of them are answered OVERLOADED
	MaxConnRequests int // requests at a time on one connection; as MaxRequests
	MaxParams       int // bytes of PARAMS of one request; more are answered with status 431
	MaxPairs        int // number of params of one request; as MaxParams
	MaxBodyAhead    int // bytes of a request body that are held for a handler

	ParamsTimeout time.Duration // from BEGIN_REQUEST to the end of PARAMS; then the connection is closed
	WriteTimeout  time.Duration // for one write; then the connection is closed

	requests atomic.Int64 // begun and not ended

	mu        sync.Mutex // guards what follows
	listeners map[net.Listener]struct{}
	conns     map[*serverConn]struct{}
	slots     chan struct{} // one token for each connection; nil without a limit
	closed    chan struct{} // closed when no more connections are taken
	drained   chan struct{} // closed when closed is and the last connection has gone
}

// Serve accepts connections on l until Shutdown or Close, and then returns
// ErrClosed, or until l fails. Want of descriptors or memory is no failure: it
// is waited out. Serve closes l. It may be called for several listeners. If l
// is nil, descriptor 0 is listened on.
func (s *Server) Serve(l net.Listener) error {
	if l == nil {
		var err error
		if l, err = Listen("fd:0"); err != nil {
			return err
		}
	}
	defer l.Close()
	if !s.track(l) {
		return ErrClosed
	}
	defer s.untrack(l)
	for pause := acceptPauseMin; ; {
		if !s.takeSlot() {
			return ErrClosed
		}
		nc, err := l.Accept()
		if err == nil {
			pause = acceptPauseMin
			s.start(nc)
			continue
		}
		s.freeSlot()
		switch {
		case s.isClosed():
			return ErrClosed
		case !passing(err):
			return fmt.Errorf("fastcgi: serve: %w", err)
		}
		s.warn("accept failed", slog.Any("err", err), slog.Duration("pause", pause))
		if !s.wait(pause) {
			return ErrClosed
		}
		pause = min(2*pause, acceptPauseMax)
	}
}

// passing reports whether a failed accept may work later: the process or the
// system is short of something, or the peer has gone already.
func passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.ECONNABORTED, syscall.EINTR} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Shutdown ends the server without breaking a request: it closes the listeners
// and the idle connections, refuses requests that begin on the others with
// OVERLOADED, which lets a web server ask elsewhere, and closes them when
// their last request has ended. When ctx is done first, the contexts of the
// remaining requests are cancelled with the cause ErrShutdown, their
// connections are closed, and Shutdown returns ctx's error. In any case it
// waits for every handler to return, so a handler must not call it.
func (s *Server) Shutdown(ctx context.Context) error {
	for _, c := range s.close() {
		c.drain()
	}
	select {
	case <-s.drained:
		return nil
	case <-ctx.Done():
	}
	s.closeConns()
	<-s.drained
	return ctx.Err()
}

// Close ends the server at once: it closes the listeners and all connections,
// cancels the contexts of the requests with the cause ErrShutdown, and waits
// for every handler to return, so a handler must not call it.
func (s *Server) Close() error {
	s.close()
	s.closeConns()
	<-s.drained
	return nil
}

// init makes what the zero Server lacks. s.mu is held.
func (s *Server) init() {
	if s.closed != nil {
		return
	}
	s.listeners = make(map[net.Listener]struct{})
	s.conns = make(map[*serverConn]struct{})
	s.closed, s.drained = make(chan struct{}), make(chan struct{})
	if s.MaxConns >= 0 {
		s.slots = make(chan struct{}, limit(s.MaxConns, DefaultMaxConns))
	}
}

// close stops the taking of connections and returns those there are.
func (s *Server) close() []*serverConn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	if !s.isClosed() {
		close(s.closed)
		for l := range s.listeners {
			l.Close()
		}
		if len(s.conns) == 0 {
			close(s.drained)
		}
	}
	return s.list()
}

func (s *Server) closeConns() {
	s.mu.Lock()
	conns := s.list()
	s.mu.Unlock()
	for _, c := range conns {
		c.close(ErrShutdown)
	}
}

// list returns the connections. s.mu is held.
func (s *Server) list() []*serverConn {
	conns := make([]*serverConn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

func (s *Server) isClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

func (s *Server) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	if s.isClosed() {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) untrack(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// takeSlot waits until there may be one more connection.
func (s *Server) takeSlot() bool {
	if s.slots == nil {
		return !s.isClosed()
	}
	select {
	case s.slots <- struct{}{}:
		return true
	case <-s.closed:
		return false
	}
}

func (s *Server) freeSlot() {
	if s.slots != nil {
		<-s.slots
	}
}

// wait pauses, unless the server is closed.
func (s *Server) wait(pause time.Duration) bool {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-s.closed:
		return false
	}
}

// start serves a connection. Its goroutine ends with the connection; Shutdown
// and Close wait for it.
func (s *Server) start(nc net.Conn) {
	c := newServerConn(s, nc)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.isClosed() {
		nc.Close()
		s.freeSlot()
		return
	}
	s.conns[c] = struct{}{}
	go func() {
		c.serve()
		s.forget(c)
	}()
}

func (s *Server) forget(c *serverConn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.freeSlot()
	if s.isClosed() && len(s.conns) == 0 {
		close(s.drained)
	}
}

// admit counts one more request, if there may be one.
func (s *Server) admit() bool {
	if s.requests.Add(1) > int64(limit(s.MaxRequests, DefaultMaxRequests)) {
		s.requests.Add(-1)
		return false
	}
	return true
}

func (s *Server) warn(msg string, attrs ...slog.Attr) {
	if s.Log != nil {
		s.Log.LogAttrs(context.Background(), slog.LevelWarn, msg, attrs...)
	}
}
