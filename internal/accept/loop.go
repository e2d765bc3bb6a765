// Package accept is the life of an application's server, whatever protocol it
// speaks: connections are accepted, counted, drained, and waited for.
package accept

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// A Conn is a connection as its protocol's server sees it.
type Conn interface {
	// Serve serves the connection to its end, and returns when nothing of it
	// is running any more.
	Serve()

	// Drain lets requests end and takes no more; then Serve returns.
	Drain()

	// Close closes the connection at once and cancels its requests. It may
	// be called more than once.
	Close(cause error)
}

// A Loop accepts connections. Its fields must not be changed once it is used.
type Loop struct {
	Protocol string // for errors: "fastcgi"
	MaxConns int    // at a time; more of them wait in the backlog; negative: no limit
	New      func(net.Conn) Conn
	Closed   error        // what Serve returns after Shutdown and Close
	Cut      error        // why Close and an impatient Shutdown cancel requests
	Log      *slog.Logger // nil discards

	// From holds the addresses that may connect; nil means all. The peers of
	// a unix socket always may: its permissions say who they are.
	From []netip.Prefix

	mu        sync.Mutex // guards what follows
	listeners map[net.Listener]struct{}
	conns     map[Conn]struct{}
	slots     chan struct{} // one token for each connection; nil without a limit
	closed    chan struct{} // closed when no more connections are taken
	drained   chan struct{} // closed when closed is and the last connection has gone
}

// Pauses after a failed accept, when descriptors or memory are short.
const (
	pauseMin = 5 * time.Millisecond
	pauseMax = time.Second
)

// Serve accepts connections on l, which it closes at the end, until Shutdown or
// Close, or until l fails. Want of descriptors or memory is no failure: it is
// waited out.
func (s *Loop) Serve(l net.Listener) error {
	defer l.Close()
	if !s.track(l) {
		return s.Closed
	}
	defer s.untrack(l)
	for pause := pauseMin; ; {
		// Only looked for: a listener that waits must not keep the last slot
		// from another.
		if !s.takeSlot() {
			return s.Closed
		}
		s.freeSlot()
		nc, err := l.Accept()
		if err == nil {
			pause = pauseMin
			if !s.takeSlot() {
				nc.Close()
				return s.Closed
			}
			s.start(nc)
			continue
		}
		switch {
		case s.IsClosed():
			return s.Closed
		case !passing(err):
			return fmt.Errorf("%s: serve: %w", s.Protocol, err)
		}
		s.warn("accept failed", slog.Any("err", err), slog.Duration("pause", pause))
		if !s.wait(pause) {
			return s.Closed
		}
		pause = min(2*pause, pauseMax)
	}
}

// ServeAll is Serve for several listeners, until the first of them fails.
func (s *Loop) ServeAll(listeners []net.Listener) error {
	ended := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() { ended <- s.Serve(l) }() // waited for below
	}
	err := <-ended
	for _, l := range listeners {
		l.Close()
	}
	for range listeners[1:] {
		<-ended
	}
	return err
}

// passing reports whether a failed accept may work later: the process or the
// system is short of something, the peer has gone already, or a firewall kept
// it away (accept(2)).
func passing(err error) bool {
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM, syscall.EINTR,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EPROTO, syscall.EPERM} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// Shutdown closes the listeners, lets the connections end, and closes what is
// left of them when ctx is done. In any case it waits for them.
func (s *Loop) Shutdown(ctx context.Context) error {
	s.Retire()
	select {
	case <-s.drained:
		return nil
	case <-ctx.Done():
	}
	s.closeConns()
	<-s.drained
	return ctx.Err()
}

// Retire begins a shutdown that has no end in time, and does not wait for it.
func (s *Loop) Retire() {
	for _, c := range s.close() {
		c.Drain()
	}
}

// Drained is closed after Shutdown, Retire or Close, when the last connection
// has gone.
func (s *Loop) Drained() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	return s.drained
}

// Close closes the listeners and all connections, and waits for them.
func (s *Loop) Close() {
	s.close()
	s.closeConns()
	<-s.drained
}

// init makes what the zero Loop lacks. s.mu is held.
func (s *Loop) init() {
	if s.closed != nil {
		return
	}
	s.listeners = make(map[net.Listener]struct{})
	s.conns = make(map[Conn]struct{})
	s.closed, s.drained = make(chan struct{}), make(chan struct{})
	if s.MaxConns >= 0 {
		s.slots = make(chan struct{}, s.MaxConns)
	}
}

// close stops the taking of connections and returns those there are.
func (s *Loop) close() []Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	if !s.IsClosed() {
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

func (s *Loop) closeConns() {
	s.mu.Lock()
	conns := s.list()
	s.mu.Unlock()
	for _, c := range conns {
		c.Close(s.Cut)
	}
}

// Each calls f for each connection there is. f must not call the Loop.
func (s *Loop) Each(f func(Conn)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		f(c)
	}
}

// list returns the connections there are. s.mu is held.
func (s *Loop) list() []Conn {
	conns := make([]Conn, 0, len(s.conns))
	for c := range s.conns {
		conns = append(conns, c)
	}
	return conns
}

// IsClosed reports whether no more connections are taken. It must not be called
// before the first Serve, Shutdown or Close.
func (s *Loop) IsClosed() bool {
	select {
	case <-s.closed:
		return true
	default:
		return false
	}
}

func (s *Loop) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.init()
	if s.IsClosed() {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Loop) untrack(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// takeSlot waits until there may be one more connection.
func (s *Loop) takeSlot() bool {
	if s.slots == nil {
		return !s.IsClosed()
	}
	select {
	case s.slots <- struct{}{}:
		return true
	case <-s.closed:
		return false
	}
}

func (s *Loop) freeSlot() {
	if s.slots != nil {
		<-s.slots
	}
}

// wait pauses, unless the loop is closed.
func (s *Loop) wait(pause time.Duration) bool {
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
func (s *Loop) start(nc net.Conn) {
	if !allowed(s.From, nc.RemoteAddr()) {
		s.warn("connection refused: not from a web server that may connect", slog.String("peer", nc.RemoteAddr().String()))
		nc.Close()
		s.freeSlot()
		return
	}
	c := s.New(nc)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.IsClosed() {
		nc.Close()
		s.freeSlot()
		return
	}
	s.conns[c] = struct{}{}
	go func() {
		defer s.forget(c)
		c.Serve()
	}()
}

func (s *Loop) forget(c Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	s.freeSlot()
	if s.IsClosed() && len(s.conns) == 0 {
		close(s.drained)
	}
}

func (s *Loop) warn(msg string, attrs ...slog.Attr) {
	if s.Log != nil {
		s.Log.LogAttrs(context.Background(), slog.LevelWarn, msg, attrs...)
	}
}
