package fastcgi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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
	go func() {
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

// replies describes what came since the last call, one record after the other.
// It lets a handler that takes its time be noticed first.
func (w *web) replies() string {
	w.t.Helper()
	time.Sleep(3 * watchTick)
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	text, err := describe(w.got.Bytes())
	if err != nil {
		w.t.Errorf("replies are malformed: %v", err)
	}
	w.got.Reset()
	w.writes = 0
	if w.closed {
		return strings.TrimSpace(text + " closed")
	}
	return text
}

// describe writes records as text, and says what is wrong with them.
func describe(b []byte) (string, error) {
	var d Decoder
	var out []string
	for {
		p, rest, ok, err := d.Next(b)
		if err != nil {
			return strings.Join(out, " "), err
		}
		if !ok {
			break
		}
		b = rest
		switch {
		case p.Type == TypeEndRequest:
			end, err := ParseEnd(p.Content)
			if err != nil {
				return strings.Join(out, " "), err
			}
			out = append(out, fmt.Sprintf("END(%d %v)", p.ID, end.Status))
		case p.Ends:
			out = append(out, fmt.Sprintf("%v(%d)", p.Type, p.ID))
		default:
			out = append(out, fmt.Sprintf("%v(%d %q)", p.Type, p.ID, p.Content))
		}
	}
	if !d.Between() {
		return strings.Join(out, " "), io.ErrUnexpectedEOF
	}
	return strings.Join(out, " "), nil
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
			if n := s.active.Load(); n != 0 {
				t.Errorf("%d requests counted at the end, want 0", n)
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

// Records by hand. K: the connection is kept; N: it is not.
const (
	beginK1 = "\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x01\x01\x00\x00\x00\x00\x00"
	beginN1 = "\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x01\x00\x00\x00\x00\x00\x00"
	beginK2 = "\x01\x01\x00\x02\x00\x08\x00\x00" + "\x00\x01\x01\x00\x00\x00\x00\x00"
	beginN2 = "\x01\x01\x00\x02\x00\x08\x00\x00" + "\x00\x01\x00\x00\x00\x00\x00\x00"

	get1       = "\x01\x04\x00\x01\x00\x13\x05\x00" + "\x0e\x03REQUEST_METHODGET" + "\x00\x00\x00\x00\x00"
	get2       = "\x01\x04\x00\x02\x00\x13\x00\x00" + "\x0e\x03REQUEST_METHODGET"
	endParams1 = "\x01\x04\x00\x01\x00\x00\x00\x00"
	endParams2 = "\x01\x04\x00\x02\x00\x00\x00\x00"

	endStdin1 = "\x01\x05\x00\x01\x00\x00\x00\x00"
	endStdin2 = "\x01\x05\x00\x02\x00\x00\x00\x00"
	abort1    = "\x01\x02\x00\x01\x00\x00\x00\x00"

	wholeK1 = beginK1 + get1 + endParams1 + endStdin1
	wholeN1 = beginN1 + get1 + endParams1 + endStdin1
	wholeK2 = beginK2 + get2 + endParams2 + endStdin2
)

const (
	ok1 = `STDOUT(1 "Status: 200 OK\r\n\r\nhello") STDOUT(1) END(1 REQUEST_COMPLETE)`
	ok2 = `STDOUT(2 "Status: 200 OK\r\n\r\nhello") STDOUT(2) END(2 REQUEST_COMPLETE)`
)

func sayHello(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) { io.WriteString(w, "hello") }

// stdin1 is one record of STDIN for request 1.
func stdin1(content string) string {
	return "\x01\x05\x00\x01" + string([]byte{byte(len(content) >> 8), byte(len(content))}) + "\x00\x00" + content
}

// params1 is one record of PARAMS for request 1.
func params1(content string) string {
	return "\x01\x04\x00\x01" + string([]byte{byte(len(content) >> 8), byte(len(content))}) + "\x00\x00" + content
}
