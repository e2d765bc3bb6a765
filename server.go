package sluice

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

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
}

// A Server is a running gateway. Its methods may be called by several
// goroutines.
type Server struct {
	o       Options
	http    *http.Server
	front   *cgihttp.FrontEnd
	silent  silent
	spool   *gateway.Spool // for all snapshots: its quota is one
	current atomic.Pointer[snapshot]

	mu        sync.Mutex // held by Reload and by the end
	listeners map[string]*listener
	serving   sync.WaitGroup // one for each listener
	failed    chan error     // the first listener that fails, for Serve
	ended     bool
	retired   sync.WaitGroup // snapshots that wait for their last request
	closed    chan struct{}  // closed by Close
	closeOnce sync.Once
}

// ErrClosed is the error of a Server that has ended.
var ErrClosed = errors.New("sluice: server has ended")

// New builds a gateway: it opens the listeners and the root and starts the
// processes of the backends. Nothing is left behind if it fails. Serve
// must be called then.
func New(cfg *config.Config, o Options) (*Server, error) {
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
		closed:    make(chan struct{}),
	}
	opened, err := s.open(listenersOf(cfg))
	if err != nil {
		return nil, err
	}
	snap, err := s.build(cfg, nil)
	if err != nil {
		closeAll(opened)
		return nil, err
	}
	s.current.Store(snap)
	s.front = &cgihttp.FrontEnd{Handler: cgi.HandlerFunc(s.serveCGI), Refuse: s.refuse, Log: o.Log, WriteTimeout: cfg.Timeout.Write}
	s.http = newHTTP(s.front, cfg, o.Log)
	s.http.ConnState = s.silent.watch
	s.adopt(snap.listen, opened)
	return s, nil
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
	snap := s.hold()
	defer snap.release()
	snap.handler.ServeCGI(ctx, w, r)
}

// refuse gives a request that the front end refuses the gateway's page.
func (s *Server) refuse(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request, status int) {
	snap := s.hold()
	defer snap.release()
	page := func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		snap.gateway.Refuse(ctx, w, r, status)
	}
	handler.AccessLog(cgi.HandlerFunc(page), snap.access).ServeCGI(ctx, w, r)
}

// hold returns the current snapshot, held. Between the load and the hold it
// may have been retired; then there is a newer one.
func (s *Server) hold() *snapshot {
	for {
		if snap := s.current.Load(); snap.hold() {
			return snap
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

// Serve serves until ctx is done, then drains: it takes no new requests,
// finishes those under way within the configured time, and ends the processes
// of the backends. It returns nil after a complete drain.
func (s *Server) Serve(ctx context.Context) error {
	var err error
	select {
	case <-ctx.Done():
	case <-s.closed:
	case err = <-s.failed:
	}
	return errors.Join(err, s.end())
}

// end drains and closes everything. Close cuts it short.
func (s *Server) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	snap := s.current.Load()
	ctx, cancel := drainContext(snap.cfg.Timeout.Drain)
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go func() { // ends with end itself
		select {
		case <-s.closed:
			cancel()
		case <-stop:
		}
	}()
	// Shutdown drops the requests that come while it waits; so first nothing
	// may be left that can bring one.
	s.closeListeners()
	s.http.SetKeepAlivesEnabled(false)
	s.silent.drain(ctx.Done())
	var errs []error
	if err := s.http.Shutdown(ctx); err != nil {
		errs = append(errs, fmt.Errorf("sluice: requests were still under way when the time to drain was over: %w", err))
		s.http.Close()
	}
	errs = append(errs, snap.retire(ctx))
	s.retired.Wait()
	return errors.Join(errs...)
}

// drainContext is done when the requests under way have had their time.
func drainContext(d time.Duration) (context.Context, context.CancelFunc) {
	if d < 0 {
		return context.WithCancel(context.Background())
	}
	return context.WithTimeout(context.Background(), orDefault(d, defaultDrainTimeout))
}

// Close ends at once: connections are cut, processes killed. Serve returns
// then.
func (s *Server) Close() { s.closeOnce.Do(func() { close(s.closed) }) }

func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}
