package fastcgi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// An app is a scripted application on a unix socket: serve is called with
// each connection, the first one being number 0.
type app struct {
	addr  string
	conns atomic.Int32
	wg    sync.WaitGroup
	l     net.Listener
}

func startApp(t *testing.T, serve func(n int, c *appConn)) *app {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", dir+"/a.sock")
	if err != nil {
		t.Fatal(err)
	}
	a := &app{addr: l.Addr().String(), l: l}
	a.wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			n := int(a.conns.Add(1)) - 1
			a.wg.Go(func() {
				defer nc.Close()
				nc.SetDeadline(time.Now().Add(20 * time.Second))
				serve(n, &appConn{Conn: nc})
			})
		}
	})
	t.Cleanup(func() { l.Close(); a.wg.Wait() })
	return a
}

// An appConn reads requests and writes what a test wants.
type appConn struct {
	net.Conn
	d   Decoder
	buf []byte
}

// request reads one request to the end of its STDIN. It returns false at the
// end of the connection.
func (c *appConn) request() (params map[string]string, body []byte, ok bool) {
	var raw []byte
	for {
		p, err := c.piece()
		if err != nil {
			return nil, nil, false
		}
		switch {
		case p.Type == TypeParams && !p.Ends:
			raw = append(raw, p.Content...)
		case p.Type == TypeStdin && !p.Ends:
			body = append(body, p.Content...)
		case p.Type == TypeStdin:
			pairs, err := ParsePairs(raw, 0)
			if err != nil {
				panic(err)
			}
			params = make(map[string]string)
			for _, f := range pairs {
				params[f.Name] = f.Value
			}
			return params, body, true
		}
	}
}

func (c *appConn) piece() (Piece, error) {
	for {
		p, rest, ok, err := c.d.Next(c.buf)
		if err != nil {
			return p, err
		}
		if c.buf = rest; ok {
			return p, nil
		}
		b := make([]byte, 4096)
		n, err := c.Read(b)
		if err != nil {
			return p, err
		}
		c.buf = b[:n]
	}
}

// answer writes a complete answer.
func (c *appConn) answer(stdout string) { c.Write(answerBytes(stdout)) }

func answerBytes(stdout string) []byte {
	b := AppendStream(nil, TypeStdout, 1, []byte(stdout))
	b = AppendEnd(b, TypeStdout, 1)
	return AppendEndRequest(b, 1, End{})
}

const hello = "Content-Type: text/plain\r\n\r\nhello"

// helloApp answers every request and keeps its connections.
func helloApp(n int, c *appConn) {
	for {
		if _, _, ok := c.request(); !ok {
			return
		}
		c.answer(hello)
	}
}

func get(target string) *cgi.Request {
	return &cgi.Request{Method: "GET", Target: target, Proto: "HTTP/1.1", Host: "example.org", ContentLength: -1}
}

func post(body cgi.Body, size int64) *cgi.Request {
	return &cgi.Request{Method: "POST", Target: "/", Proto: "HTTP/1.1", Host: "example.org", Body: body, ContentLength: size}
}

// fetch makes one request and reads the whole answer.
func fetch(ctx context.Context, c *Client, addr string, r *cgi.Request) (*cgi.Response, string, error) {
	resp, err := c.RoundTrip(ctx, "unix", addr, r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

func newClient(t *testing.T, c *Client) *Client {
	t.Cleanup(c.Close)
	return c
}

func TestRoundTripReusesConnection(t *testing.T) {
	a := startApp(t, helloApp)
	c := newClient(t, &Client{})
	for range 20 {
		resp, body, err := fetch(t.Context(), c, a.addr, get("/"))
		if err != nil || resp.Status != 200 || body != "hello" {
			t.Fatalf("fetch = %v, %q, %v, want 200 hello", resp, body, err)
		}
	}
	if n := a.conns.Load(); n != 1 {
		t.Errorf("connections = %d, want 1", n)
	}
}

func TestConcurrentRequestsReuseConnections(t *testing.T) {
	a := startApp(t, helloApp)
	c := newClient(t, &Client{})
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			for range 100 {
				if _, body, err := fetch(t.Context(), c, a.addr, get("/")); err != nil || body != "hello" {
					t.Errorf("fetch = %q, %v", body, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if n := a.conns.Load(); n > 16 {
		t.Errorf("connections = %d, want at most one for each of 16 clients", n)
	}
}

// An answer must be understood however the bytes are cut.
func TestAnswerByteByByte(t *testing.T) {
	a := startApp(t, func(n int, c *appConn) {
		if _, _, ok := c.request(); ok {
			for _, b := range answerBytes(hello) {
				c.Write([]byte{b})
			}
		}
	})
	c := newClient(t, &Client{})
	if resp, body, err := fetch(t.Context(), c, a.addr, get("/")); err != nil || body != "hello" || resp.Header.Get("Content-Type") != "text/plain" {
		t.Errorf("fetch = %v, %q, %v", resp, body, err)
	}
}

func TestMisbehaviour(t *testing.T) {
	stdout := func(s string) []byte { return AppendStream(nil, TypeStdout, 1, []byte(s)) }
	cat := func(bs ...[]byte) []byte { return bytes.Join(bs, nil) }
	end := AppendEndRequest(nil, 1, End{})
	tests := []struct {
		name  string
		bytes []byte
		want  string // in the error of the head; "" if the head comes
		body  string // in the error of the body; "" if it is whole
		retry bool   // for a POST without body
	}{
		{"close without a byte", nil, "before the end of the response", "", false},
		{"END at once", end, "END_REQUEST without a response", "", false},
		{"empty STDOUT and END", cat(AppendEnd(nil, TypeStdout, 1), end), "END_REQUEST without a response", "", false},
		{"END in the head", cat(stdout("Content-Ty"), end), "before the head", "", false},
		{"close in the head", stdout("Content-Ty"), "before the end of the response", "", false},
		{"OVERLOADED", AppendEndRequest(nil, 1, End{Status: Overloaded}), "OVERLOADED", "", true},
		{"CANT_MPX_CONN", AppendEndRequest(nil, 1, End{Status: CantMultiplex}), "CANT_MPX_CONN", "", true},
		{"UNKNOWN_ROLE", AppendEndRequest(nil, 1, End{Status: UnknownRole}), "UNKNOWN_ROLE", "", false},
		{"close without END", stdout(hello), "", "before the end of the response", false},
		{"close inside a record", stdout(hello)[:20], "inside a record", "", false},
		{"close inside the padding", append(AppendHeader(nil, TypeStdout, 1, 1, 9), "xyz"...), "inside a record", "", false},
		{"end of STDOUT, then close", cat(stdout(hello), AppendEnd(nil, TypeStdout, 1)), "", "", false},
		{"announced length, then close", stdout("Content-Length: 2\n\nok"), "", "", false},
		{"wrong request id", AppendStream(nil, TypeStdout, 7, []byte(hello)), "for request 7", "", false},
		{"request id 0", AppendStream(nil, TypeStdout, 0, []byte(hello)), "request id 0", "", false},
		{"version 0", append([]byte{0}, stdout(hello)[1:]...), "version 0", "", false},
		{"unknown type with our id", AppendHeader(nil, 11, 1, 0, 0), "sent UNKNOWN_TYPE", "", false},
		{"unknown management type", cat(AppendHeader(nil, 99, 0, 0, 0), answerBytes(hello)), "", "", false},
		{"GET_VALUES_RESULT first", cat(AppendHeader(nil, TypeGetValuesResult, 0, 0, 0), answerBytes(hello)), "", "", false},
		{"STDOUT after its end", cat(stdout(hello), AppendEnd(nil, TypeStdout, 1), stdout("x"), end), "", "after its end", false},
		{"END of 3 bytes", cat(stdout("A: b\n\n"), AppendHeader(nil, TypeEndRequest, 1, 3, 0), []byte("abc")), "", "END_REQUEST of 3 bytes", false},
		{"STDERR only", cat(AppendStream(nil, TypeStderr, 1, []byte("x")), end), "END_REQUEST without a response", "", false},
		{"STDERR of 240 kB first", cat(AppendStream(nil, TypeStderr, 1, make([]byte, 240e3)), answerBytes(hello)), "", "", false},
		{"padding of 255", cat(AppendHeader(nil, TypeStdout, 1, uint16(len(hello)), 255), []byte(hello), make([]byte, 255), end), "", "", false},
		{"head of 80 KiB", stdout("A: " + strings.Repeat("x", 80<<10) + "\n\n"), "too large", "", false},
		{"NUL in the head", stdout("A: b\x00c\n\n"), "control character", "", false},
		{"request goes back", AppendStream(nil, TypeStdin, 1, []byte("x")), "sent STDIN", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := startApp(t, func(n int, c *appConn) {
				if _, _, ok := c.request(); ok {
					c.Write(tt.bytes)
				}
			})
			c := newClient(t, &Client{FirstByteTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second})
			r := get("/")
			r.Method = "POST"
			resp, body, err := fetch(t.Context(), c, a.addr, r)
			want := tt.want + tt.body
			switch {
			case want == "" && err != nil:
				t.Fatalf("fetch error = %v, want none", err)
			case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
				t.Fatalf("fetch = %v, %q, error %v, want an error with %q", resp, body, err, want)
			case (resp == nil) != (tt.want != ""):
				t.Errorf("response = %v, error %v", resp, err)
			}
			var e *Error
			if tt.want != "" && (!errors.As(err, &e) || e.SafeToRetry() != tt.retry) {
				t.Errorf("error %v: SafeToRetry is not %v", err, tt.retry)
			}
		})
	}
}

// Whatever comes after END_REQUEST must not become the answer to the next
// request.
func TestTrailingBytesAreNotReused(t *testing.T) {
	a := startApp(t, func(n int, c *appConn) {
		for {
			if _, _, ok := c.request(); !ok {
				return
			}
			c.Write(append(answerBytes(hello), answerBytes("A: b\n\nforged")...))
		}
	})
	c := newClient(t, &Client{})
	for range 3 {
		if _, body, err := fetch(t.Context(), c, a.addr, get("/")); err != nil || body != "hello" {
			t.Fatalf("fetch = %q, %v, want hello", body, err)
		}
	}
}

func TestStaleConnection(t *testing.T) {
	tests := []struct {
		name, method string
		wantErr      bool
	}{
		{"GET is sent again", "GET", false},
		{"POST is not", "POST", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := startApp(t, func(n int, c *appConn) {
				if _, _, ok := c.request(); ok {
					c.answer(hello)
				}
				if n == 0 {
					c.request() // and then close: it was read, and maybe done
					return
				}
				helloApp(n, c)
			})
			c := newClient(t, &Client{})
			if _, _, err := fetch(t.Context(), c, a.addr, get("/")); err != nil {
				t.Fatal(err)
			}
			r := get("/")
			r.Method = tt.method
			_, _, err := fetch(t.Context(), c, a.addr, r)
			if (err != nil) != tt.wantErr {
				t.Errorf("second request: error = %v, want error: %v", err, tt.wantErr)
			}
		})
	}
}

func TestIdleConnectionThatClosesIsForgotten(t *testing.T) {
	closed := make(chan bool)
	a := startApp(t, func(n int, c *appConn) {
		if _, _, ok := c.request(); ok {
			c.answer(hello)
		}
		if n == 0 {
			c.Close()
			closed <- true
			return
		}
		helloApp(n, c)
	})
	c := newClient(t, &Client{})
	if _, _, err := fetch(t.Context(), c, a.addr, get("/")); err != nil {
		t.Fatal(err)
	}
	<-closed
	h := c.host("unix", a.addr)
	for deadline := time.Now().Add(5 * time.Second); ; {
		h.mu.Lock()
		n := len(h.idle)
		h.mu.Unlock()
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a connection that the application closed is still kept")
		}
	}
	r := get("/")
	r.Method = "POST"
	if _, _, err := fetch(t.Context(), c, a.addr, r); err != nil {
		t.Errorf("POST after the close: %v", err)
	}
}

func TestRequestBody(t *testing.T) {
	big := strings.Repeat("0123456789abcdef", 1<<16) // 1 MiB
	for _, body := range []string{"", "x", big} {
		t.Run(fmt.Sprint(len(body)), func(t *testing.T) {
			a := startApp(t, func(n int, c *appConn) {
				for {
					params, got, ok := c.request()
					if !ok {
						return
					}
					c.answer(fmt.Sprintf("A: b\n\n%s %d %v", params["CONTENT_LENGTH"], len(got), string(got) == body))
				}
			})
			c := newClient(t, &Client{})
			want := fmt.Sprintf("%d %d true", len(body), len(body))
			for range 3 {
				_, got, err := fetch(t.Context(), c, a.addr, post(cgi.BytesBody([]byte(body)), int64(len(body))))
				if err != nil || got != want {
					t.Fatalf("fetch = %q, %v, want %q", got, err, want)
				}
			}
			if n := a.conns.Load(); n != 1 {
				t.Errorf("connections = %d, want 1", n)
			}
		})
	}
}

// A stalledBody blocks until it is cancelled, as a client does that does not
// go on sending.
type stalledBody struct {
	once   sync.Once
	cancel chan struct{}
}

func newStalledBody() *stalledBody { return &stalledBody{cancel: make(chan struct{})} }
func (b *stalledBody) Cancel()     { b.once.Do(func() { close(b.cancel) }) }
func (b *stalledBody) Read([]byte) (int, error) {
	<-b.cancel
	return 0, errors.New("cancelled")
}

// endless is a body without an end, which an application may not read.
type endless struct{ cancelled atomic.Bool }

func (b *endless) Cancel() { b.cancelled.Store(true) }
func (b *endless) Read(p []byte) (int, error) {
	if b.cancelled.Load() {
		return 0, errors.New("cancelled")
	}
	return len(p), nil
}

// An answer that comes before the request body has been read or sent must
// reach the caller, and closing it must end the sender wherever it waits.
func TestEarlyAnswer(t *testing.T) {
	for name, body := range map[string]cgi.Body{
		"client does not send":      newStalledBody(),
		"application does not read": &endless{},
	} {
		t.Run(name, func(t *testing.T) {
			done := make(chan struct{})
			a := startApp(t, func(n int, c *appConn) {
				for {
					p, err := c.piece()
					if err != nil {
						return
					}
					if p.Type == TypeParams && p.Ends {
						c.answer("Status: 413\n\ntoo large")
						<-done
						return
					}
				}
			})
			defer close(done)
			c := newClient(t, &Client{})
			resp, got, err := fetch(t.Context(), c, a.addr, post(body, 1<<40))
			if err != nil || resp.Status != 413 || got != "too large" {
				t.Errorf("fetch = %v, %q, %v, want 413 too large", resp, got, err)
			}
		})
	}
}

func TestCancelClosesConnection(t *testing.T) {
	gone := make(chan bool, 1)
	a := startApp(t, func(n int, c *appConn) {
		c.request()
		_, err := c.piece() // blocks until the connection is closed
		gone <- err != nil
	})
	c := newClient(t, &Client{})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, _, err := fetch(ctx, c, a.addr, get("/"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled", err)
	}
	if !<-gone {
		t.Error("the application got something else than a close")
	}
}

func TestTimeouts(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	a := startApp(t, func(n int, c *appConn) {
		params, _, _ := c.request()
		if params["REQUEST_URI"] == "/half" {
			c.Write(AppendStream(nil, TypeStdout, 1, []byte("A: b\n\nhalf")))
		}
		<-hold
	})
	c := newClient(t, &Client{FirstByteTimeout: 30 * time.Millisecond, ReadTimeout: 30 * time.Millisecond})
	for target, want := range map[string]string{"/none": "no answer for 30ms", "/half": "no further byte of the answer for 30ms"} {
		_, _, err := fetch(t.Context(), c, a.addr, get(target))
		var e *Error
		if !errors.As(err, &e) || !e.Timeout() || e.SafeToRetry() || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error = %v, want a timeout with %q that is not retried", target, err, want)
		}
	}
}

func TestDialErrors(t *testing.T) {
	c := newClient(t, &Client{})
	_, _, err := fetch(t.Context(), c, "/nonexistent/x.sock", get("/"))
	var e *Error
	if !errors.As(err, &e) || e.Op != "dial" || !e.SafeToRetry() {
		t.Errorf("error = %v, want a dial error that is safe to retry", err)
	}
	if want := "fastcgi: dial unix:/nonexistent/x.sock: connect: no such file or directory"; err.Error() != want {
		t.Errorf("error = %q, want %q", err, want)
	}
}

func TestParamsTooLongAreRefused(t *testing.T) {
	a := startApp(t, helloApp)
	c := newClient(t, &Client{})
	r := get("/")
	r.Header = cgi.Header{{Name: "X", Value: strings.Repeat("x", 300<<10)}}
	_, _, err := fetch(t.Context(), c, a.addr, r)
	var e *Error
	if !errors.Is(err, ErrTooLong) || !errors.As(err, &e) || e.SafeToRetry() {
		t.Errorf("error = %v, want ErrTooLong, not retried", err)
	}
	if n := a.conns.Load(); n != 0 {
		t.Errorf("connections = %d, want 0", n)
	}
}

func TestInterimResponses(t *testing.T) {
	a := startApp(t, func(n int, c *appConn) {
		c.request()
		c.answer("Status: 103 Early Hints\nLink: </a.css>\n\nStatus: 201\n\nbody")
	})
	c := newClient(t, &Client{})
	r := get("/")
	var got []int
	r.Informational = func(status int, h cgi.Header) { got = append(got, status) }
	resp, body, err := fetch(t.Context(), c, a.addr, r)
	if err != nil || resp.Status != 201 || body != "body" || len(got) != 1 || got[0] != 103 {
		t.Errorf("fetch = %v, %q, %v, interim %v, want 201 after 103", resp, body, err, got)
	}
}

func TestStderrIsLogged(t *testing.T) {
	a := startApp(t, func(n int, c *appConn) {
		c.request()
		b := AppendStream(nil, TypeStderr, 1, []byte("PHP Warn"))
		b = AppendStream(b, TypeStderr, 1, []byte("ing: one\nforged\x1b[2J two"))
		c.Write(append(b, answerBytes(hello)...))
	})
	var log bytes.Buffer
	c := newClient(t, &Client{Log: slog.New(slog.NewTextHandler(&log, nil))})
	if _, _, err := fetch(t.Context(), c, a.addr, get("/page")); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`text="PHP Warning: one"`, `text="forged\x1b[2J two"`, "target=/page"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log = %s, want %s in it", &log, want)
		}
	}
}

// A long answer that nobody reads must not fill the memory, and must come
// whole when it is read.
func TestSlowReaderHoldsApplicationBack(t *testing.T) {
	const size = 32 << 20
	var written atomic.Int64
	a := startApp(t, func(n int, c *appConn) {
		c.request()
		c.Write(AppendStream(nil, TypeStdout, 1, []byte("A: b\n\n")))
		chunk := AppendStream(nil, TypeStdout, 1, make([]byte, 32<<10))
		for range size / (32 << 10) {
			if _, err := c.Write(chunk); err != nil {
				return
			}
			written.Add(32 << 10)
		}
		c.Write(AppendEndRequest(nil, 1, End{}))
	})
	c := newClient(t, &Client{})
	resp, err := c.RoundTrip(t.Context(), "unix", a.addr, get("/"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var last int64
	for { // until the application is stuck
		time.Sleep(50 * time.Millisecond)
		if n := written.Load(); n == last && n > 0 {
			break
		} else {
			last = n
		}
	}
	if last > 4<<20 {
		t.Errorf("the application could write %d bytes ahead of the reader, want less than 4 MiB", last)
	}
	if n, err := io.Copy(io.Discard, resp.Body); n != size || err != nil {
		t.Errorf("read %d bytes, %v, want %d", n, err, size)
	}
}

func TestMaxIdle(t *testing.T) {
	a := startApp(t, helloApp)
	c := newClient(t, &Client{MaxIdle: -1})
	for range 3 {
		if _, _, err := fetch(t.Context(), c, a.addr, get("/")); err != nil {
			t.Fatal(err)
		}
	}
	if n := a.conns.Load(); n != 3 {
		t.Errorf("connections = %d, want 3 when none is kept", n)
	}
}

func TestClosedClient(t *testing.T) {
	a := startApp(t, helloApp)
	c := &Client{}
	if _, _, err := fetch(t.Context(), c, a.addr, get("/")); err != nil {
		t.Fatal(err)
	}
	c.Close()
	c.Close()
	if _, _, err := fetch(t.Context(), c, a.addr, get("/")); !errors.Is(err, ErrClosed) {
		t.Errorf("error = %v, want ErrClosed", err)
	}
}

func BenchmarkRoundTrip(b *testing.B) {
	dir := b.TempDir()
	l, err := net.Listen("unix", dir+"/a")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer nc.Close()
				buf, out := make([]byte, 4096), answerBytes(hello)
				for {
					if _, err := nc.Read(buf); err != nil {
						return
					}
					nc.Write(out)
				}
			}()
		}
	}()
	c := &Client{}
	defer c.Close()
	r := get("/")
	b.ReportAllocs()
	for b.Loop() {
		resp, err := c.RoundTrip(context.Background(), "unix", l.Addr().String(), r)
		if err != nil {
			b.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}
