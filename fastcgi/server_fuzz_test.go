package fastcgi

import (
	"context"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A fuzzConn gives its input, a few bytes with each read, and then the end. It
// writes down what it is told.
type fuzzConn struct {
	in   []byte
	size int

	mu     sync.Mutex
	out    []byte
	closed bool
	half   bool      // closed for writing
	late   bool      // somebody wrote after that
	over   chan bool // closed when the connection is
}

// oneConn is a listener that accepts one connection.
type oneConn struct {
	conn   *fuzzConn
	taken  bool
	closed chan bool
	close  sync.Once
}

func (l *oneConn) Accept() (net.Conn, error) {
	if !l.taken {
		l.taken = true
		return l.conn, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *oneConn) Close() error {
	l.close.Do(func() { close(l.closed) })
	return nil
}

func (l *oneConn) Addr() net.Addr { return l.conn.LocalAddr() }

func (c *fuzzConn) Read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return 0, net.ErrClosed
	}
	if len(c.in) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.in[:min(c.size, len(c.in))])
	c.in = c.in[n:]
	return n, nil
}

func (c *fuzzConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.late = c.late || c.half && !c.closed
	if c.closed || c.half {
		return 0, net.ErrClosed
	}
	c.out = append(c.out, p...)
	return len(p), nil
}

func (c *fuzzConn) CloseWrite() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.half = true
	return nil
}

func (c *fuzzConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		close(c.over)
	}
	c.closed = true
	return nil
}

func (*fuzzConn) LocalAddr() net.Addr              { return &net.UnixAddr{Name: "here", Net: "unix"} }
func (*fuzzConn) RemoteAddr() net.Addr             { return &net.UnixAddr{Name: "there", Net: "unix"} }
func (*fuzzConn) SetDeadline(time.Time) error      { return nil }
func (*fuzzConn) SetReadDeadline(time.Time) error  { return nil }
func (*fuzzConn) SetWriteDeadline(time.Time) error { return nil }

// A fuzzHandler does what handlers do, as the number of params says.
type fuzzHandler struct {
	running, most atomic.Int32
	held          atomic.Int32 // most bytes of a body that were held for it
}

func (h *fuzzHandler) ServeCGI(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	defer h.running.Add(-1)
	for n := h.running.Add(1); ; {
		if most := h.most.Load(); n <= most || h.most.CompareAndSwap(most, n) {
			break
		}
	}
	if s, ok := r.Body.(*stdin); ok {
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			h.held.Store(max(h.held.Load(), int32(s.queue.Len())))
		}()
	}
	switch len(r.Received) % 8 {
	case 1:
		io.WriteString(w, "hello")
	case 2:
		w.WriteHeader(200, cgi.Header{{Name: "X", Value: r.Received[1].Value}})
		io.WriteString(cgi.Stderr(w), "a note")
		if r.Body != nil {
			w.(io.ReaderFrom).ReadFrom(r.Body)
		}
	case 3:
		w.Flush()
		w.Abort()
	case 4:
		<-ctx.Done()
		io.WriteString(w, "too late")
	case 5:
		panic("as handlers may")
	case 6:
		runtime.Goexit()
	case 7:
		if r.Body != nil {
			r.Body.Cancel()
		}
		io.WriteString(w, strings.Repeat("x", 100_000))
	}
}

// FuzzServerConn: whatever a web server sends, the connection ends when its
// input does; all handlers have returned by then, of which there were never
// more than allowed; no more of a body is held than allowed; what was answered
// is records, and no request was ended that had not begun.
func FuzzServerConn(f *testing.F) {
	more := params1("\x01\x01XY")
	for _, in := range []string{
		wholeK1 + wholeK2, wholeN1, beginK1 + wholeK2 + get1 + endParams1 + abort1,
		beginK1 + get1 + more + endParams1 + stdin1("body") + endStdin1 + wholeK1,
		beginK1 + get1 + more + more + endParams1 + wholeK2,
		beginK1 + get1 + more + more + more + endParams1 + stdin1("x") + abort1 + wholeK1,
		beginN1 + get1 + strings.Repeat(more, 4) + endParams1 + endStdin1,
		beginN1 + get1 + strings.Repeat(more, 6) + params1("\x0e\x03CONTENT_LENGTH999") + endParams1 + stdin1("some"),
		beginK1 + get1 + more + endParams1 + stdin1(strings.Repeat("x", 60_000)) + stdin1(strings.Repeat("y", 60_000)),
		beginK1 + params1(strings.Repeat("x", 5000)) + endParams1,
		"\x01\x09\x00\x00\x00\x11\x00\x00" + "\x0f\x00FCGI_MPXS_CONNS" + "\x01\xff\x00\x00\x00\x00\x00\x00",
		"\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x02\x00\x00\x00\x00\x00\x00" + get1,
		"\x02", "",
	} {
		f.Add(uint16(1), []byte(in))
		f.Add(uint16(4096), []byte(in))
	}
	f.Fuzz(func(t *testing.T, size uint16, in []byte) {
		h := &fuzzHandler{}
		s := &Server{Handler: h, MaxConnActive: 3, MaxParams: 4000, MaxBodyAhead: 1000}
		conn := &fuzzConn{in: in, size: max(1, int(size)), over: make(chan bool)}
		l := &oneConn{conn: conn, closed: make(chan bool)}
		ended := make(chan bool)
		go func() {
			defer close(ended)
			served := make(chan bool)
			go func() { s.Serve(l); close(served) }()
			<-conn.over
			s.Shutdown(context.Background())
			<-served
		}()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			buf := make([]byte, 1<<16)
			t.Fatalf("the connection does not end with its input\n%s", buf[:runtime.Stack(buf, true)])
		}
		if n, most := h.running.Load(), h.most.Load(); n != 0 || most > 3 {
			t.Errorf("%d handlers run still, and %d did at most, want 0 and 3", n, most)
		}
		if n := s.active.Load(); n != 0 {
			t.Errorf("%d requests counted at the end, want 0", n)
		}
		if n := h.held.Load(); n >= unproven*1000+bigRead {
			t.Errorf("%d bytes of a body were held", n)
		}
		if !conn.closed || conn.late {
			t.Errorf("closed: %v, written to after its half was closed: %v", conn.closed, conn.late)
		}
		replies, err := describe(conn.out)
		if err != nil && err != io.ErrUnexpectedEOF { // a close may cut the last one
			t.Errorf("replies are malformed: %v: %s", err, replies)
		}
		if ends, begins := count(conn.out, TypeEndRequest), count(in, TypeBeginRequest); ends > begins {
			t.Errorf("%d requests ended, of %d: %s", ends, begins, replies)
		}
	})
}

// count counts the records of a type.
func count(b []byte, of Type) (n int) {
	var d Decoder
	for {
		p, rest, ok, err := d.Next(b)
		if err != nil || !ok {
			return n
		}
		if p.Type == of {
			n++
		}
		b = rest
	}
}
