package fastcgi

import (
	"context"
	"errors"
	"fmt"
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

// A Server is the application's end of FastCGI: it takes requests and hands
// them to a handler. Its fields must not be changed once it serves. It is safe
// for concurrent use.
//
// A connection carries any number of requests, one after the other or at the
// same time. A handler that returns at once runs in the goroutine that reads
// its connection; as soon as one takes its time, another goroutine goes on
// reading. So handlers may block, and the context of a request is done, with
// the cause [ErrAborted], [ErrConnectionLost] or [ErrShutdown], within a few
// milliseconds after nobody waits for the answer any more.
//
// Of a body that its handler does not read, MaxBodyAhead bytes are held in
// memory, and what follows in a store for all requests: 16 MiB of memory, then
// files (MaxSpill, SpillDir). A web server that sends one request at a time on a
// connection is held back when 32 times MaxBodyAhead have come, or there is no
// more room: its connection is not read until the handler reads on. One that
// sends several at a time is not, because the others must not wait; a body for
// which there is no room then fails. It is known by ids above 2, by a request
// that begins while another one is there, or by its question whether it may
// (FCGI_MPXS_CONNS); until one of these has come through, a first body that
// nobody reads keeps what is behind it waiting. A web server that knows our flow
// control (doc/flow-control.md) needs none of this.
//
// While a connection is not read, an ABORT_REQUEST on it is not seen, and that a
// web server has closed it only on unix sockets.
//
// A reply that fits into 8 KiB leaves in one write, together with those of
// other requests on the connection. A response that cannot be completed
// (Abort, or a panic after some of it was sent) is broken by closing its
// connection without END_REQUEST. If other requests are served on that
// connection they have 5 seconds to end first.
//
// Zero in a limit means the default of its name; negative, no limit. An idle
// connection is closed by the web server, or by Shutdown.
type Server struct {
	// Handler, Authorizer and Filter answer the requests in the three roles
	// (FastCGI 1.0 §6). A role without a handler is answered UNKNOWN_ROLE. A
	// panic in a handler is logged, and answered with status 500 if nothing
	// has been sent.
	//
	// An authorizer lets a request pass with [cgi.Allow]; any other answer
	// than status 200 goes to the client. A filter reads the file in
	// [cgi.Request.Data].
	Handler, Authorizer, Filter cgi.Handler

	// Log takes what goes wrong. Nil discards.
	Log *slog.Logger

	// WebServers are the networks from which web servers may connect over
	// TCP. If it is nil, the environment variable FCGI_WEB_SERVER_ADDRS counts
	// (FastCGI 1.0 §3.2), and without that everybody may. The permissions of a
	// unix socket say the same for it.
	WebServers []netip.Prefix

	MaxConns      int   // connections at a time; more of them wait in the backlog
	MaxActive     int   // requests at a time; more of them are answered OVERLOADED
	MaxConnActive int   // requests at a time on one connection; as MaxActive, but with 1 a second is answered CANT_MPX_CONN
	MaxParams     int   // bytes of PARAMS of one request; more are answered with status 431
	MaxPairs      int   // number of params of one request; as MaxParams
	MaxBodyAhead  int   // bytes of a request body that are held for a handler
	MaxSpill      int64 // bytes of all request bodies in files

	// SpillDir is where those files are made, without a name; "" means
	// os.TempDir.
	SpillDir string

	// MaxRequests is how many requests are served before the server shuts
	// down by itself, without breaking any; Serve then returns ErrRetired. It
	// is for applications that grow, and are started again. Zero or less: no
	// limit.
	MaxRequests int64

	// ParamsTimeout is from BEGIN_REQUEST until the handler can run: to the end
	// of PARAMS and, if they announce no body, of STDIN, or its first byte.
	// Then the connection is closed.
	ParamsTimeout time.Duration

	BodyTimeout  time.Duration // until the next piece of a body that its handler waits for; then reading it fails
	WriteTimeout time.Duration // for one write; then the connection is closed

	active atomic.Int64 // requests that have begun and not ended
	total  atomic.Int64 // requests that have begun
	muxed  atomic.Bool  // some web server has asked whether it may multiplex
	watch  watchman

	setUp sync.Once
	loop  accept.Loop
	limit serverLimits
	bad   error // in the environment
}

// init makes what the zero Server lacks.
func (s *Server) init() {
	s.setUp.Do(func() {
		s.limit.set(s)
		from := s.WebServers
		if from == nil {
			from, s.bad = accept.WebServers()
		}
		s.loop = accept.Loop{
			Protocol: "fastcgi", MaxConns: s.limit.conns, From: from, Log: s.Log,
			New:    func(nc net.Conn) accept.Conn { return newServerConn(s, nc) },
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
	if s.bad != nil {
		if l != nil {
			l.Close()
		}
		return fmt.Errorf("fastcgi: serve: %w", s.bad)
	}
	listeners := []net.Listener{l}
	if l == nil {
		var err error
		if listeners, err = Inherited(); err != nil {
			return err
		}
	}
	err := s.loop.ServeAll(listeners)
	if errors.Is(err, ErrClosed) && s.retired() {
		<-s.loop.Drained()
		return ErrRetired
	}
	return err
}

// Shutdown ends the server without breaking a request: it closes the listeners
// and the idle connections, refuses requests that begin on the others with
// OVERLOADED, which lets a web server ask elsewhere, and closes them when
// their last request has ended. When ctx is done first, the contexts of the
// remaining requests are cancelled with the cause ErrShutdown, their
// connections are closed, and Shutdown returns ctx's error. In any case it
// waits for every handler to return, so a handler must not call it.
func (s *Server) Shutdown(ctx context.Context) error {
	s.init()
	err := s.loop.Shutdown(ctx)
	s.watch.wait()
	return err
}

// Close ends the server at once: it closes the listeners and all connections,
// cancels the contexts of the requests with the cause ErrShutdown, and waits
// for every handler to return, so a handler must not call it.
func (s *Server) Close() error {
	s.init()
	s.loop.Close()
	s.watch.wait()
	return nil
}

// handler returns who answers requests in a role, or nil.
func (s *Server) handler(role uint16) cgi.Handler {
	switch role {
	case RoleResponder:
		return s.Handler
	case RoleAuthorizer:
		return s.Authorizer
	case RoleFilter:
		return s.Filter
	}
	return nil
}

// admit counts one more request, if there may be one.
func (s *Server) admit() bool {
	if s.active.Add(1) > int64(s.limit.active) {
		s.active.Add(-1)
		return false
	}
	return true
}

// retired reports whether MaxRequests have begun.
func (s *Server) retired() bool { return s.MaxRequests > 0 && s.total.Load() >= s.MaxRequests }

func (s *Server) warn(msg string, attrs ...slog.Attr) {
	if s.Log != nil {
		s.Log.LogAttrs(context.Background(), slog.LevelWarn, msg, attrs...)
	}
}
