package gateway

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/cgi/cgihttp"
	"github.com/sluice-gateway/sluice/fastcgi"
)

// A front is a gateway behind a FastCGI server. That front end repairs less
// than net/http, and its contexts end with causes of their own.
type front struct {
	addr   string
	client *fastcgi.Client
	ended  <-chan struct{} // a token for each request that the gateway is done with
}

func newFront(t *testing.T, g *rig) *front {
	t.Helper()
	ended := make(chan struct{}, 100)
	f := &front{client: &fastcgi.Client{FirstByteTimeout: 10 * time.Second, ReadTimeout: 10 * time.Second}, ended: ended}
	f.addr = worker(t, func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		g.h.ServeCGI(ctx, w, r)
		ended <- struct{}{}
	})
	t.Cleanup(f.client.Close)
	return f
}

// overHTTP2 serves the gateway over HTTP/2. There a body that is not read on
// does not end the context.
func overHTTP2(t *testing.T, g *rig) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(&cgihttp.FrontEnd{Handler: g.h, Refuse: g.h.Refuse})
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

func get(target string) *cgi.Request {
	return &cgi.Request{Method: "GET", Target: target, Proto: "HTTP/1.1", ContentLength: -1}
}

// A paper is a cgi.ResponseWriter that everything stays on.
type paper struct {
	status           int
	header           cgi.Header
	body             bytes.Buffer
	writes           int
	aborted          bool
	headErr, bodyErr error // what the methods say
}

func (p *paper) WriteHeader(status int, h cgi.Header) error {
	p.status, p.header = status, append(cgi.Header(nil), h...)
	return p.headErr
}

func (p *paper) Write(b []byte) (int, error) {
	p.writes++
	if p.bodyErr != nil {
		return 0, p.bodyErr
	}
	return p.body.Write(b)
}

func (p *paper) Flush() error { return p.bodyErr }
func (p *paper) Abort()       { p.aborted = true }

// A transport is a function as a Transport.
type transport func(ctx context.Context, network, address string, r *cgi.Request) (*cgi.Response, error)

func (f transport) RoundTrip(ctx context.Context, network, address string, r *cgi.Request) (*cgi.Response, error) {
	return f(ctx, network, address, r)
}

// A stalled is a body of which only the beginning comes.
type stalled struct {
	mu    sync.Mutex
	first []byte
	once  sync.Once
	stop  chan struct{}
}

func newStalled(first string) *stalled {
	return &stalled{first: []byte(first), stop: make(chan struct{})}
}

func (b *stalled) Cancel() { b.once.Do(func() { close(b.stop) }) }

func (b *stalled) Read(p []byte) (int, error) {
	b.mu.Lock()
	n := copy(p, b.first)
	b.first = b.first[n:]
	b.mu.Unlock()
	if n > 0 {
		return n, nil
	}
	<-b.stop
	return 0, errors.New("cancelled")
}

// application starts a worker that serve is called for with each connection.
func application(t *testing.T, serve func(nc net.Conn)) (s *scripted, conns *atomic.Int32) {
	t.Helper()
	s, conns = &scripted{addr: socket(t)}, new(atomic.Int32)
	l, err := net.Listen("unix", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			serving.Go(func() {
				defer nc.Close()
				nc.SetDeadline(time.Now().Add(10 * time.Second))
				serve(nc)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return s, conns
}

// scriptHead starts a worker that reads the head of a request and none of its
// body, writes reply and closes.
func scriptHead(t *testing.T, reply []byte) *scripted {
	return scriptAfter(t, func(p fastcgi.Piece) bool { return p.Type == fastcgi.TypeParams && p.Ends }, reply)
}

// scriptBody is the same after the beginning of the body.
func scriptBody(t *testing.T, reply []byte) *scripted {
	return scriptAfter(t, func(p fastcgi.Piece) bool { return p.Type == fastcgi.TypeStdin && len(p.Content) > 0 }, reply)
}

// scriptAfter starts a worker that reads a request until last, and what came
// together with that, writes reply and closes.
func scriptAfter(t *testing.T, last func(fastcgi.Piece) bool, reply []byte) *scripted {
	s, _ := application(t, func(nc net.Conn) {
		if readUntil(nc, last) {
			nc.Write(reply)
		}
	})
	return s
}

func readUntil(nc net.Conn, last func(fastcgi.Piece) bool) bool {
	var d fastcgi.Decoder
	buf := make([]byte, 4096)
	for {
		n, err := nc.Read(buf)
		if err != nil {
			return false
		}
		for b := buf[:n]; ; {
			p, rest, more, err := d.Next(b)
			if err != nil {
				return false
			}
			if !more {
				break
			}
			if b = rest; last(p) {
				return true
			}
		}
	}
}
