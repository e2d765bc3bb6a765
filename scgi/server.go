package scgi

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/accept"
)

// Serve serves the connections of l with h, as [Server.Serve] does.
func Serve(l net.Listener, h cgi.Handler) error { return (&Server{Handler: h}).Serve(l) }

// A Server is the application's end of SCGI: it takes requests and hands them
// to a handler. Its fields must not be changed once it serves. It is safe for
// concurrent use.
//
// A connection carries one request. The handler runs in the goroutine that has
// read the headers, and reads the body straight from the connection: what it
// does not read, the web server cannot send.
//
// The context of a request is done, with the cause [ErrConnectionLost] or
// [ErrShutdown], when nobody waits for the answer any more. That is looked for
// once the body has been read to its end, from a millisecond after the handler
// began; before that it is found by reading or writing. SCGI knows no other
// sign than the end of the connection. A web server that ends only its writing
// (lighttpd's tcp-fin-propagate does that when its client has) still waits for
// the answer: over a unix socket the two can be told apart, so the handler
// learns at once that the web server has gone. Over TCP they look the same
// until the handler writes, or the system has probed the connection, which
// takes Linux little more than a minute.
//
// A reply that fits into 8 KiB leaves in one write. A response that cannot be
// completed (Abort, or a panic after some of it was sent) is broken: what has
// not been sent is dropped, and the connection is reset. A unix socket cannot
// be reset, so there the web server can tell only if nothing had been sent, or
// if a Content-Length has not been reached: handlers of long answers should
// send one.
//
// Zero in a limit means the default of its name; negative, no limit.
type Server struct {
	// Handler answers the requests. A panic in it is logged, and answered with
	// status 500 if nothing has been sent.
	Handler cgi.Handler

	// Log takes what goes wrong, and what handlers write to [cgi.Stderr]: SCGI
	// has no stream for that, so it goes here, a line an event and 64 KiB a
	// request. Nil discards.
	Log *slog.Logger

	// WebServers are the networks from which web servers may connect over
	// TCP. If it is nil everybody may. The permissions of a unix socket say
	// the same for it.
	WebServers []netip.Prefix

	MaxConns  int // connections, and so requests, at a time; more of them wait in the backlog
	MaxParams int // bytes of the headers of one request; more are answered with status 431
	MaxPairs  int // number of params of one request; as MaxParams

	// MaxRequests is how many requests are served before the server shuts
	// down by itself, without breaking any; Serve then returns ErrRetired. It
	// is for applications that grow, and are started again. Zero or less: no
	// limit.
	MaxRequests int64

	ParamsTimeout time.Duration // from the connection to the end of the headers; then it is closed
	WriteTimeout  time.Duration // for one write; then the connection is reset

	total  atomic.Int64 // requests that have begun
	memory sync.Pool    // of *memory

	setUp         sync.Once
	loop          accept.Loop
	paramsTimeout time.Duration // in force; negative: no limit
	writeTimeout  time.Duration // in force; negative: no limit
}

// init makes what the zero Server lacks.
func (s *Server) init() {
	s.setUp.Do(func() {
		s.paramsTimeout = orDefault(s.ParamsTimeout, DefaultParamsTimeout)
		s.writeTimeout = orDefault(s.WriteTimeout, DefaultServerWriteTimeout)
		conns := s.MaxConns
		if conns == 0 {
			conns = DefaultMaxConns
		}
		s.loop = accept.Loop{
			Protocol: "scgi", MaxConns: conns, From: s.WebServers, Log: s.Log,
			New:    func(nc net.Conn) accept.Conn { return &serverConn{server: s, nc: nc} },
			Closed: ErrClosed, Cut: ErrShutdown,
		}
	})
}

// Serve accepts connections on l until Shutdown or Close, and then returns
// ErrClosed, or until l fails. Want of descriptors or memory is no failure: it
// is waited out. Serve closes l. It may be called for several listeners.
//
// If l is nil, the sockets that the process was started with are served, see
// [Inherited].
func (s *Server) Serve(l net.Listener) error {
	s.init()
	listeners := []net.Listener{l}
	if l == nil {
		var err error
		if listeners, err = Inherited(); err != nil {
			return err
		}
	}
	err := s.loop.ServeAll(listeners)
	if errors.Is(err, ErrClosed) && s.MaxRequests > 0 && s.total.Load() >= s.MaxRequests {
		<-s.loop.Drained()
		return ErrRetired
	}
	return err
}

// Shutdown ends the server without breaking a request: it closes the listeners
// and lets the requests end, also those whose headers are still to come, unless
// a connection stays silent for a second. When ctx is done first, the contexts
// of the remaining requests are cancelled with the cause ErrShutdown, their
// connections are closed, and Shutdown returns ctx's error. In any case it
// waits for every handler to return, so a handler must not call it.
func (s *Server) Shutdown(ctx context.Context) error {
	s.init()
	return s.loop.Shutdown(ctx)
}

// Close ends the server at once: it closes the listeners and all connections,
// cancels the contexts of the requests with the cause ErrShutdown, and waits
// for every handler to return, so a handler must not call it.
func (s *Server) Close() error {
	s.init()
	s.loop.Close()
	return nil
}

func (s *Server) warn(msg string, attrs ...slog.Attr) {
	if s.Log != nil {
		s.Log.LogAttrs(context.Background(), slog.LevelWarn, msg, attrs...)
	}
}
