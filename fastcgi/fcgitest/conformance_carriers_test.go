package fcgitest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http/fcgi"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
	. "github.com/sluice-gateway/sluice/fastcgi/fcgitest"
	"github.com/sluice-gateway/sluice/scgi"
)

// A carrier takes requests to the handlers and brings the answers back.
type carrier struct {
	name    string
	open    func(t *testing.T, all *cast) *link
	webOnly bool    // has http.Handlers only
	lacks   feature // what the protocol cannot do
	refuses feature // of those, what the client says no to

	// two is how many connections there are after two requests, one after
	// the other. Zero if there are none.
	two int

	// asks tells that one of them is for a question that may not have been
	// asked by then.
	asks bool
}

// A link is a carrier that is ready to be used, with a handler at its other end.
type link struct {
	do       func(ctx context.Context, r *cgi.Request) (*cgi.Response, error)
	conns    func() int // that there have been
	lost     []error    // what the handler may learn when nobody waits for its answer
	shutdown func(ctx context.Context) error
	served   chan error // what Serve has returned
	log      *logText
	end      func()
	once     sync.Once
}

// close ends both sides and waits for the handlers. It may be called twice.
func (l *link) close() { l.once.Do(l.end) }

// carriers lists the carriers. What a protocol has no word for:
//
//   - CGI and SCGI know one role, and no byte 0.
//   - SCGI has no request body of unknown length, and marks the end of an answer
//     by a close. What is no TCP connection cannot be reset instead.
//   - A CGI program is not told that nobody waits, and ends with its goroutine.
//   - Over TCP SCGI learns that the web server is gone by reading and writing.
func carriers() []carrier {
	const scgiLacks = canRoles | canStream | canNUL
	all := []carrier{
		{name: "in process", open: openInProcess, lacks: canStop},
		{name: "CGI", open: openProgram, lacks: canRoles | canNUL | canCancel | canReport | canStop | canGoexit},
		{name: "SCGI pipe", open: openSCGI("pipe"), lacks: scgiLacks | canMark, refuses: scgiLacks, two: 2},
		{name: "SCGI unix", open: openSCGI("unix"), lacks: scgiLacks | canMark, refuses: scgiLacks, two: 2},
		{name: "SCGI TCP", open: openSCGI("tcp"), lacks: scgiLacks | canCancel, refuses: scgiLacks, two: 2},
	}
	for _, network := range []struct{ name, is string }{{"pipe", "pipe"}, {"unix", "unix"}, {"TCP", "tcp"}} {
		all = append(all,
			carrier{name: "FastCGI " + network.name + " keep", open: openFastCGI(network.is, keeps), two: 1},
			carrier{name: "FastCGI " + network.name + " close", open: openFastCGI(network.is, closes), two: 2},
			carrier{name: "FastCGI " + network.name + " multiplexed", open: openFastCGI(network.is, multiplexes), two: 3},
			carrier{name: "FastCGI " + network.name + " multiplexed without flow control", open: openFastCGI(network.is, assumes), two: 2, asks: true},
		)
	}
	// net/http/fcgi learns of nothing but ABORT_REQUEST, dies of a panic, and
	// does not call a handler before the body begins.
	const goLacks = allFeatures &^ (canStream | canNUL | canReport)
	return append(all,
		carrier{name: "FastCGI net-http-fcgi keep", open: openGo(keeps), webOnly: true, lacks: goLacks},
		carrier{name: "FastCGI net-http-fcgi close", open: openGo(closes), webOnly: true, lacks: goLacks, two: 2},
	)
}

// What kind of connections a fastcgi.Client makes.
func keeps(*fastcgi.Client)         {}
func closes(c *fastcgi.Client)      { c.MaxIdle = -1 }
func multiplexes(c *fastcgi.Client) { c.Multiplex = 16 }
func assumes(c *fastcgi.Client)     { c.Multiplex, c.AssumeMultiplex = 16, true }

// Bounds that let params of 1 MiB pass.
const (
	conformParams  = 4 << 20
	conformTimeout = 20 * time.Second
)

func openFastCGI(network string, kind func(*fastcgi.Client)) func(t *testing.T, all *cast) *link {
	return func(t *testing.T, all *cast) *link {
		l, dial := conformListen(t, network)
		log := new(logText)
		s := &fastcgi.Server{Handler: all, Authorizer: all, Filter: all, Log: log.logger(), MaxParams: conformParams}
		c := &fastcgi.Client{
			Dial: dial, MaxParams: conformParams, Log: log.logger(),
			FirstByteTimeout: conformTimeout, ReadTimeout: conformTimeout, WriteTimeout: conformTimeout,
		}
		kind(c)
		k := newLink(t, l, log, s, c.RoundTrip)
		k.lost = []error{fastcgi.ErrAborted, fastcgi.ErrConnectionLost}
		end := k.end
		k.end = func() { c.Close(); end() }
		if c.Multiplex > 0 && !c.AssumeMultiplex {
			awaitFlowControl(t, k)
		}
		return k
	}
}

// awaitFlowControl asks until the client has learnt that it may multiplex: its
// third connection, after that of the first request and that of the question,
// is one with flow control.
func awaitFlowControl(t *testing.T, k *link) {
	for k.conns() < 3 {
		resp, err := k.do(t.Context(), &cgi.Request{Method: "GET", Target: "/"})
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
	}
}

func openSCGI(network string) func(t *testing.T, all *cast) *link {
	return func(t *testing.T, all *cast) *link {
		l, dial := conformListen(t, network)
		log := new(logText)
		s := &scgi.Server{Handler: all, Log: log.logger(), MaxParams: conformParams}
		c := &scgi.Client{
			Dial: dial, MaxParams: conformParams,
			FirstByteTimeout: conformTimeout, ReadTimeout: conformTimeout, WriteTimeout: conformTimeout,
		}
		k := newLink(t, l, log, s, c.RoundTrip)
		k.lost = []error{scgi.ErrConnectionLost}
		return k
	}
}

// A conformServer is a Server of either protocol.
type conformServer interface {
	Serve(l net.Listener) error
	Shutdown(ctx context.Context) error
}

type roundTrip = func(ctx context.Context, network, address string, r *cgi.Request) (*cgi.Response, error)

// newLink starts s.
func newLink(t *testing.T, l *countingListener, log *logText, s conformServer, ask roundTrip) *link {
	k := &link{conns: l.accepts, shutdown: s.Shutdown, served: make(chan error, 1), log: log}
	go func() { k.served <- s.Serve(l) }() // ended by end
	k.do = func(ctx context.Context, r *cgi.Request) (*cgi.Response, error) {
		return ask(ctx, l.Addr().Network(), l.Addr().String(), r)
	}
	k.end = func() {
		ctx, cancel := context.WithTimeout(context.Background(), conformTimeout)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown = %v, want all requests to have ended", err)
		}
		if err := <-k.served; !errors.Is(err, fastcgi.ErrClosed) && !errors.Is(err, scgi.ErrClosed) {
			t.Errorf("Serve = %v, want ErrClosed", err)
		}
	}
	return k
}

// openGo is Go's own FastCGI server, which has http.Handlers.
func openGo(kind func(*fastcgi.Client)) func(t *testing.T, all *cast) *link {
	return func(t *testing.T, all *cast) *link {
		l, _ := conformListen(t, "unix")
		c := &fastcgi.Client{MaxParams: conformParams, FirstByteTimeout: conformTimeout, ReadTimeout: conformTimeout, WriteTimeout: conformTimeout}
		kind(c)
		served := make(chan error, 1)
		go func() { served <- fcgi.Serve(l, all) }() // ended by end
		return &link{
			do: func(ctx context.Context, r *cgi.Request) (*cgi.Response, error) {
				return c.RoundTrip(ctx, l.Addr().Network(), l.Addr().String(), r)
			},
			conns: l.accepts,
			end:   func() { c.Close(); l.Close(); <-served },
		}
	}
}

// A countingListener counts what it accepts.
type countingListener struct {
	net.Listener
	n atomic.Int64
}

// Accept implements net.Listener.
func (l *countingListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err == nil {
		l.n.Add(1)
	}
	return nc, err
}

func (l *countingListener) accepts() int { return int(l.n.Load()) }

// conformListen listens on a network, and says how to dial there: nil for what
// the net package can do.
func conformListen(t *testing.T, network string) (*countingListener, func(ctx context.Context, network, address string) (net.Conn, error)) {
	if network != "pipe" {
		return &countingListener{Listener: Listen(t, network)}, nil
	}
	l := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	return &countingListener{Listener: l}, l.dial
}

// pipes is a listener whose connections are those of net.Pipe: they hold
// nothing, so that a Write lasts until the other side has read all of it.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *pipes) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.conns <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Accept implements net.Listener.
func (l *pipes) Accept() (net.Conn, error) {
	select {
	case nc := <-l.conns:
		return nc, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *pipes) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (l *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// A logText is what has been logged.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

var _ io.Writer = (*logText)(nil)

// Write implements io.Writer.
func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func (l *logText) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }
