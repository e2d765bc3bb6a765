package fcgi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/fastcgi"
)

// Records by hand. K: the connection is kept; N: it is not.
const (
	beginK1 = "\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x01\x01\x00\x00\x00\x00\x00"
	beginN1 = "\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x01\x00\x00\x00\x00\x00\x00"
	beginN2 = "\x01\x01\x00\x02\x00\x08\x00\x00" + "\x00\x01\x00\x00\x00\x00\x00\x00"
	beginK2 = "\x01\x01\x00\x02\x00\x08\x00\x00" + "\x00\x01\x01\x00\x00\x00\x00\x00"

	get1       = "\x01\x04\x00\x01\x00\x2c\x02\x00" + "\x0e\x03REQUEST_METHODGET" + "\x0f\x08SERVER_PROTOCOLHTTP/1.1" + "\x00\x00"
	get2       = "\x01\x04\x00\x02\x00\x2c\x02\x00" + "\x0e\x03REQUEST_METHODGET" + "\x0f\x08SERVER_PROTOCOLHTTP/1.1" + "\x00\x00"
	endParams1 = "\x01\x04\x00\x01\x00\x00\x00\x00"
	endParams2 = "\x01\x04\x00\x02\x00\x00\x00\x00"
	endStdin1  = "\x01\x05\x00\x01\x00\x00\x00\x00"
	endStdin2  = "\x01\x05\x00\x02\x00\x00\x00\x00"
	abort1     = "\x01\x02\x00\x01\x00\x00\x00\x00"

	wholeK1 = beginK1 + get1 + endParams1 + endStdin1
	wholeN1 = beginN1 + get1 + endParams1 + endStdin1
	wholeN2 = beginN2 + get2 + endParams2 + endStdin2
	wholeK2 = beginK2 + get2 + endParams2 + endStdin2
)

// stdin1 is one record of STDIN for request 1, params1 one of PARAMS.
func stdin1(content string) string {
	return string(fastcgi.AppendStream(nil, fastcgi.TypeStdin, 1, []byte(content)))
}

func params1(pairs ...string) string {
	var b []byte
	for i := 0; i < len(pairs); i += 2 {
		b, _ = fastcgi.AppendPair(b, pairs[i], pairs[i+1])
	}
	return string(fastcgi.AppendStream(nil, fastcgi.TypeParams, 1, b))
}

// A pipeListener accepts the other ends of the pipes that dial makes.
type pipeListener struct {
	conns  chan net.Conn
	errs   chan error
	closed chan struct{}
	once   sync.Once
}

func newPipeListener() *pipeListener {
	return &pipeListener{conns: make(chan net.Conn), errs: make(chan error), closed: make(chan struct{})}
}

var errListenerClosed = errors.New("the listener of the test is closed")

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case err := <-l.errs:
		return nil, err
	case <-l.closed:
		return nil, errListenerClosed
	}
}

func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (l *pipeListener) dial() net.Conn {
	here, there := net.Pipe()
	l.conns <- halfCloser{there}
	return here
}

// A halfCloser is a pipe whose writing end can be closed, as it were: as that
// of a socket.
type halfCloser struct{ net.Conn }

func (halfCloser) CloseWrite() error { return nil }

// inBubble runs f with a server, on a clock of its own, and leaves handlers the
// time to return.
func inBubble(t *testing.T, lib library, h http.HandlerFunc, f func(t *testing.T, l *pipeListener)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		served := make(chan error, 1)
		go func() { served <- lib.serve(l, h) }()
		f(t, l)
		settle()
		l.Close()
		<-served
	})
}

// settle waits until all that can happen at once has happened. The server may
// take some milliseconds to see that a handler takes its time.
func settle() {
	time.Sleep(atOnce)
	synctest.Wait()
}

const atOnce = 100 * time.Millisecond

// A web is a web server's end of a connection: it sends what it is told,
// without waiting for the application to take it, and writes down what comes.
type web struct {
	net.Conn
	out  chan string
	done sync.WaitGroup

	mu     sync.Mutex
	got    bytes.Buffer
	writes int
	closed bool
}

func newWeb(c net.Conn) *web {
	w := &web{Conn: c, out: make(chan string, 100)}
	w.done.Go(w.read) // both end when the connection is closed, and out
	w.done.Go(func() {
		for s := range w.out {
			io.WriteString(c, s) // the application may have closed the connection
		}
	})
	return w
}

func (w *web) read() {
	b := make([]byte, 1<<16)
	for {
		n, err := w.Conn.Read(b)
		w.mu.Lock()
		w.got.Write(b[:n])
		if n > 0 {
			w.writes++ // a pipe gives one write as one read
		}
		w.closed = err != nil
		w.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (w *web) send(s string) { w.out <- s }

func (w *web) close() {
	w.Conn.Close()
	close(w.out)
	w.done.Wait()
}

// replies describes what came since the last call, when nothing more comes.
func (w *web) replies() string {
	settle()
	w.mu.Lock()
	defer w.mu.Unlock()
	text := describe(w.got.Bytes())
	w.got.Reset()
	if w.closed {
		text = append(text, "closed")
	}
	return strings.Join(text, " ")
}

// stdout returns what came of STDOUT, when nothing more comes.
func (w *web) stdout() string {
	settle()
	w.mu.Lock()
	defer w.mu.Unlock()
	var d fastcgi.Decoder
	var out []byte
	for b := w.got.Bytes(); ; {
		p, rest, ok, err := d.Next(b)
		if !ok || err != nil {
			return string(out)
		}
		b = rest
		if p.Type == fastcgi.TypeStdout {
			out = append(out, p.Content...)
		}
	}
}

// describe writes records as text. Of STDOUT it keeps the status, the fields
// that say something, and the body.
func describe(b []byte) (out []string) {
	var d fastcgi.Decoder
	stdout := make(map[uint16][]byte)
	for {
		p, rest, ok, err := d.Next(b)
		if !ok || err != nil {
			break
		}
		b = rest
		switch {
		case p.Type == fastcgi.TypeStdout && !p.Ends:
			if stdout[p.ID] == nil {
				out = append(out, fmt.Sprintf("STDOUT(%d)", p.ID))
			}
			stdout[p.ID] = append(stdout[p.ID], p.Content...)
		case p.Type == fastcgi.TypeEndRequest:
			end, _ := fastcgi.ParseEnd(p.Content)
			out = append(out, fmt.Sprintf("END(%d %v)", p.ID, end.Status))
		case !p.Ends:
			out = append(out, fmt.Sprintf("%v(%d %q)", p.Type, p.ID, p.Content))
		}
	}
	for id, content := range stdout {
		i := slices.Index(out, fmt.Sprintf("STDOUT(%d)", id))
		head, body, _ := strings.Cut(string(content), "\r\n\r\n")
		status, _, _ := strings.Cut(head, "\r\n")
		out[i] = fmt.Sprintf("STDOUT(%d %.11s %q)", id, status, body)
	}
	return out
}
