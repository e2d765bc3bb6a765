package scgi

import (
	"bytes"
	"context"
	"errors"
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
type fuzzHandler struct{ begun, running atomic.Int32 }

func (h *fuzzHandler) ServeCGI(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	h.begun.Add(1)
	h.running.Add(1)
	defer h.running.Add(-1)
	switch len(r.Received) % 8 {
	case 3:
		io.WriteString(w, "hello")
	case 4:
		w.WriteHeader(200, cgi.Header{{Name: "X", Value: r.Received[3].Value}})
		io.WriteString(cgi.Stderr(w), "a note")
		if r.Body != nil {
			w.(io.ReaderFrom).ReadFrom(r.Body)
		}
	case 5:
		w.Flush()
		w.Abort()
	case 6:
		if r.Body != nil {
			io.Copy(io.Discard, r.Body)
		}
		if err := ctx.Err(); err != nil {
			io.WriteString(w, "too late")
		}
	case 7:
		panic("as handlers may")
	case 0:
		runtime.Goexit()
	case 1:
		if r.Body != nil {
			r.Body.Cancel()
		}
		io.WriteString(w, strings.Repeat("x", 100_000))
	}
}

// FuzzServerConn: whatever a web server sends, the connection ends when its
// input does; the handler has returned by then, and ran only if the headers are
// well formed; what was answered begins like a CGI response.
func FuzzServerConn(f *testing.F) {
	for _, more := range []string{"", "A\x001\x00", "A\x001\x00B\x00\r\x00", strings.Repeat("A\x001\x00", 3), strings.Repeat("A\x001\x00", 4), strings.Repeat("A\x001\x00", 5), strings.Repeat("A\x001\x00", 6)} {
		in := headers("CONTENT_LENGTH\x005\x00SCGI\x001\x00REQUEST_METHOD\x00POST\x00"+more) + "abcdef"
		f.Add(uint16(1), []byte(in))
		f.Add(uint16(4096), []byte(in))
		f.Add(uint16(4096), []byte(in[:len(in)-3]))
	}
	f.Add(uint16(9), []byte(get))
	f.Add(uint16(9), []byte("GET / HTTP/1.1\r\n\r\n"))
	f.Add(uint16(9), []byte(""))
	f.Fuzz(func(t *testing.T, size uint16, in []byte) {
		h := &fuzzHandler{}
		s := &Server{Handler: h, MaxParams: 4000}
		s.init()
		conn := &fuzzConn{in: bytes.Clone(in), size: max(1, int(size)), over: make(chan bool)}
		ended := make(chan bool)
		go func() {
			defer close(ended)
			(&serverConn{server: s, nc: conn}).Serve()
		}()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			buf := make([]byte, 1<<16)
			t.Fatalf("the connection does not end with its input\n%s", buf[:runtime.Stack(buf, true)])
		}
		<-conn.over
		d := Decoder{MaxBytes: 4000}
		_, _, done, _ := decode(&d, in, len(in)+1)
		if n := h.begun.Load(); h.running.Load() != 0 || n > 1 || n == 1 && !done {
			t.Errorf("%d handlers ran, %d run still, headers well formed: %v", n, h.running.Load(), done)
		}
		if conn.late {
			t.Error("written to after its half was closed")
		}
		if len(conn.out) > 0 && !bytes.HasPrefix(conn.out, []byte("Status: ")) {
			t.Errorf("answer %.100q", conn.out)
		}
	})
}

// FuzzClient: whatever an application sends, in whatever pieces, the exchange
// ends when that does; an answer that is taken for complete has as many bytes
// as it announced, and where its bytes were split does not matter.
func FuzzClient(f *testing.F) {
	for _, in := range []string{"Status: 200 OK\r\n\r\nhello", "Content-Length: 5\n\nhello", "Content-Length: 6\n\nhello", "Content-Length: 4\n\nhello",
		"Status: 103\n\nStatus: 204\nContent-Length: 9\n\n", "Status: 200", "", "\x00"} {
		f.Add(uint16(1), []byte(in))
		f.Add(uint16(4096), []byte(in))
	}
	f.Fuzz(func(t *testing.T, size uint16, in []byte) {
		status, body, err := fuzzRoundTrip(t, in, len(in)+1)
		status2, body2, err2 := fuzzRoundTrip(t, in, max(1, int(size)))
		if status != status2 || !bytes.Equal(body, body2) || text(err) != text(err2) {
			t.Fatalf("at once: %d %q %v\nin pieces: %d %q %v", status, body, err, status2, body2, err2)
		}
		if failed, ok := errors.AsType[*cgi.Error](err); err != nil && (!ok || failed.SafeToRetry != (len(in) == 0)) {
			t.Errorf("error %#v of %d bytes", err, len(in))
		}
	})
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// fuzzRoundTrip sends a GET to an application that answers with in.
func fuzzRoundTrip(t *testing.T, in []byte, size int) (status int, body []byte, err error) {
	conn := &fuzzConn{in: bytes.Clone(in), size: size, over: make(chan bool)}
	client, r := &Client{}, &cgi.Request{Method: "GET", Target: "/"}
	head, err := client.encode(r)
	if err != nil {
		t.Fatal(err)
	}
	defer head.free()
	resp, err := newExchange(context.Background(), client, conn, "unix", "a", r).run(head)
	if err == nil {
		status = resp.Status
		body, err = io.ReadAll(resp.Body)
		resp.Body.Close()
		if err == nil && status != 204 && status != 304 && resp.ContentLength > int64(len(body)) {
			t.Errorf("%d bytes of %d taken for complete", len(body), resp.ContentLength)
		}
	}
	<-conn.over // or it is left open, and the test hangs
	return status, body, err
}
