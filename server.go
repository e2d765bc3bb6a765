package sluice

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/cgi/cgihttp"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/gateway"
	"github.com/sluice-gateway/sluice/handler"
)

// Options are what a Server needs besides its configuration.
type Options struct {
	Log    *slog.Logger // nil discards
	Stdout io.Writer    // where an access log of "-" goes; nil discards

	// Listeners are open already, by their addresses as they stand in the
	// configuration: a predecessor's (TakeOver). They are New's then, which
	// closes those that are not in it.
	Listeners map[string]net.Listener

	// Ready are how many processes the predecessor has, by the names of the
	// backends (Server.Ready): a backend begins with as many.
	Ready map[string]int
}

// A Server is a running gateway. Its methods may be called by several
// goroutines.
type Server struct {
	o       Options
	http    *http.Server
	front   *cgihttp.FrontEnd
	stdout  *accessWriter
	quiet   quiet
	spool   *gateway.Spool // for all snapshots: its quota is one
	current atomic.Pointer[snapshot]

	mu        sync.Mutex // held by Reload and by the end
	listeners map[string]*listener
	serving   sync.WaitGroup // one for each listener
	failed    chan error     // the first listener that fails, for Serve
	ended     bool
	retired   sync.WaitGroup // snapshots that wait for their last request
	inForce   config.Timeout // of these, those that http and front took at the start

	life     context.Context // done when nothing is waited for any more
	kill     context.CancelFunc
	wanted   context.Context // done when the end has begun, too: new processes are not waited for any more
	unwanted context.CancelCauseFunc
	handed   atomic.Bool     // a successor serves
	hurried  context.Context // done when the time to drain has begun
	hurry    context.CancelFunc
}

// ErrClosed is the error of a Server that has ended.
var ErrClosed = errors.New("sluice: server has ended")

// New builds a gateway: it opens the listeners and the root and starts the
// processes of the backends. Serve must be called then. With listeners of a
// predecessor, which serves meanwhile, it waits until those processes take
// requests, at most until ctx is done. Nothing is left behind if it fails.
func New(ctx context.Context, cfg *config.Config, o Options) (*Server, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Stdout == nil {
		o.Stdout = io.Discard
	}
	s := &Server{
		o:         o,
		spool:     new(gateway.Spool),
		listeners: make(map[string]*listener),
		failed:    make(chan error, 1),
		inForce:   cfg.Timeout,
	}
	s.stdout = &accessWriter{w: o.Stdout, log: o.Log}
	s.life, s.kill = context.WithCancel(context.Background())
	s.wanted, s.unwanted = context.WithCancelCause(s.life)
	s.hurried, s.hurry = context.WithCancel(s.life)
	handed := maps.Clone(o.Listeners)
	snap, opened, err := s.begin(ctx, cfg)
	if err != nil {
		closeAll(handed)
		s.kill()
		return nil, err
	}
	for _, l := range handed {
		keep(l, false)
	}
	s.current.Store(snap)
	s.front = &cgihttp.FrontEnd{Handler: cgi.HandlerFunc(s.serveCGI), Refuse: s.refuse, Log: o.Log, WriteTimeout: cfg.Timeout.Write}
	s.http = newHTTP(s.front, cfg, o.Log)
	s.http.ConnState = s.quiet.watch
	s.adopt(snap.listen, opened)
	closeAll(o.Listeners) // of the old configuration
	return s, nil
}

// begin makes the first snapshot and opens its listeners.
func (s *Server) begin(ctx context.Context, cfg *config.Config) (snap *snapshot, opened map[string]*listener, err error) {
	succeeds := len(s.o.Listeners) > 0
	if opened, err = s.open(listenersOf(cfg)); err != nil {
		return nil, nil, err
	}
	if succeeds {
		snap, err = s.prepare(ctx, cfg, nil, false)
	} else {
		snap, _, err = s.build(cfg, nil, false)
	}
	if err != nil {
		closeAll(opened)
		return nil, nil, err
	}
	return snap, opened, nil
}

func newHTTP(h http.Handler, cfg *config.Config, log *slog.Logger) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler:           h,
		ReadHeaderTimeout: orDefault(cfg.Timeout.Header, defaultHeaderTimeout),
		IdleTimeout:       orDefault(cfg.Timeout.Idle, defaultIdleTimeout),
		MaxHeaderBytes:    maxHeaderBytes,
		Protocols:         &protocols,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// serveCGI hands a request to the snapshot that is current when it arrives,
// which lives at least as long as the request.
func (s *Server) serveCGI(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	snap, ok := s.hold()
	if !ok {
		w.Abort()
		return
	}
	defer snap.release()
	snap.handler.ServeCGI(ctx, w, r)
}

// refuse gives a request that the front end refuses the gateway's page.
func (s *Server) refuse(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request, status int) {
	snap, ok := s.hold()
	if !ok {
		w.Abort()
		return
	}
	defer snap.release()
	page := func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		snap.gateway.Refuse(ctx, w, r, status)
	}
	handler.AccessLog(cgi.HandlerFunc(page), snap.access).ServeCGI(ctx, w, r)
}

// hold returns the current snapshot, held. Between the load and the hold it
// may have been retired; then there is a newer one, or the server has ended.
func (s *Server) hold() (_ *snapshot, ok bool) {
	for {
		snap := s.current.Load()
		if snap.hold() {
			return snap, true
		}
		if s.current.Load() == snap {
			return nil, false
		}
	}
}

// Addrs returns the addresses of the listeners, in the order of the
// configuration.
func (s *Server) Addrs() []net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	var addrs []net.Addr
	for _, l := range s.current.Load().listen {
		if open, ok := s.listeners[l]; ok {
			addrs = append(addrs, open.Addr())
		}
	}
	return addrs
}
