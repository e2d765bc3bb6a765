package scgi

import (
	"bytes"
	"context"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/sluice-gateway/sluice/cgi"
)

// A pipeListener accepts the other ends of the pipes that dial makes.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

// A web is a web server's end of a connection: it sends what it is told and
// writes down what comes.
type web struct {
	t testing.TB
	net.Conn

	mu     sync.Mutex
	got    bytes.Buffer
	writes int
	closed bool
	done   chan struct{}
}

func newWeb(t testing.TB, c net.Conn) *web {
	w := &web{t: t, Conn: c, done: make(chan struct{})}
	go func() { // ends with the connection
		defer close(w.done)
		b := make([]byte, 1<<16)
		for {
			n, err := c.Read(b)
			w.mu.Lock()
			w.got.Write(b[:n])
			if n > 0 {
				w.writes++ // a pipe gives one write as one read, if it fits
			}
			w.closed = err != nil
			w.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return w
}

func (w *web) send(s string) {
	w.t.Helper()
	if _, err := io.WriteString(w, s); err != nil {
		w.t.Fatal(err)
	}
}

// answer returns what has come so far, and " closed" if that is all.
func (w *web) answer() string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return w.got.String() + " closed"
	}
	return w.got.String()
}

// inBubble runs a test with a server, on a clock of its own. dial makes a
// connection to the server.
func inBubble(t *testing.T, s *Server, f func(t *testing.T, dial func() *web)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		served := make(chan error)
		go func() { served <- s.Serve(l) }()
		var webs []*web
		defer func() { // a Fatal must not leave the bubble with goroutines
			for _, w := range webs {
				w.Close()
				<-w.done
			}
			s.Close()
			if err := <-served; err != ErrClosed {
				t.Errorf("Serve = %v, want ErrClosed", err)
			}
		}()
		f(t, func() *web {
			ours, theirs := net.Pipe()
			l.conns <- theirs
			w := newWeb(t, ours)
			webs = append(webs, w)
			return w
		})
	})
}

// headers is a netstring of params, right or wrong.
func headers(params string) string { return strconv.Itoa(len(params)) + ":" + params + "," }

// Requests by hand.
const (
	get    = "43:CONTENT_LENGTH\x000\x00SCGI\x001\x00REQUEST_METHOD\x00GET\x00,"
	post5  = "44:CONTENT_LENGTH\x005\x00SCGI\x001\x00REQUEST_METHOD\x00POST\x00,"
	post5M = "50:CONTENT_LENGTH\x005000000\x00SCGI\x001\x00REQUEST_METHOD\x00POST\x00,"
)

const (
	ok200  = "Status: 200 OK\r\n\r\n"
	bad400 = "Status: 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nBad Request\n closed"
	bad431 = "Status: 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nRequest Header Fields Too Large\n closed"
	bad500 = "Status: 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nInternal Server Error\n closed"
)

func sayHello(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) { io.WriteString(w, "hello") }
