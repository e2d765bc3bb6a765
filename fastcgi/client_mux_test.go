package fastcgi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	stdfcgi "net/http/fcgi"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// muxHandler is an application that is asked for several things at a time.
type muxHandler struct {
	causes chan error // why /wait ended
}

func (h *muxHandler) ServeCGI(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	switch r.Path() {
	case "/big":
		w.WriteHeader(200, nil)
		piece := bytes.Repeat([]byte("0123456789abcdef"), 2048)
		for range bigAnswer / len(piece) {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	case "/wait":
		w.WriteHeader(200, nil)
		w.Flush()
		<-ctx.Done()
		h.causes <- context.Cause(ctx)
	case "/sum":
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	case "/deaf": // reads its body when the other requests are over
		<-ctx.Done()
		h.causes <- context.Cause(ctx)
	default:
		io.WriteString(w, "hello")
	}
}

const bigAnswer = 8 << 20

// A muxApp counts its connections.
type muxApp struct {
	addr  string
	conns atomic.Int32
	net.Listener
}

func (a *muxApp) Accept() (net.Conn, error) {
	nc, err := a.Listener.Accept()
	if err == nil {
		a.conns.Add(1)
	}
	return nc, err
}

func listenMux(t *testing.T) *muxApp {
	a := &muxApp{addr: filepath.Join(t.TempDir(), "a")}
	var err error
	if a.Listener, err = Listen(a.addr); err != nil {
		t.Fatal(err)
	}
	return a
}

// startMux starts our Server.
func startMux(t *testing.T, s *Server) *muxApp {
	a := listenMux(t)
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(a) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-ended; err != ErrClosed {
			t.Error(err)
		}
	})
	return a
}

// startStdMux starts an application of the standard library: it multiplexes,
// and knows no flow control.
func startStdMux(t *testing.T) *muxApp {
	a := listenMux(t)
	var wg sync.WaitGroup
	wg.Go(func() {
		stdfcgi.Serve(a, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/big" {
				io.Copy(w, io.LimitReader(zeros{}, bigAnswer))
				return
			}
			io.WriteString(w, "hello")
		}))
	})
	t.Cleanup(func() { a.Close(); wg.Wait() })
	return a
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// muxClient returns a client that knows that the application multiplexes.
func muxClient(t *testing.T, c *Client, a *muxApp) *Client {
	c.Multiplex = 64
	c = newClient(t, c)
	for range 200 { // the first requests have connections of their own
		if _, body, err := fetch(t.Context(), c, a.addr, get("/")); err != nil || body != "hello" {
			t.Fatal(body, err)
		}
		h := c.host("unix", a.addr)
		h.mu.Lock()
		state := h.mux.state
		h.mu.Unlock()
		if state == muxYes {
			a.conns.Store(0)
			return c
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the client does not find out that the application multiplexes")
	return nil
}

// hellos makes n requests at the same time.
func hellos(t *testing.T, c *Client, addr string, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if _, body, err := fetch(t.Context(), c, addr, get("/")); err != nil || body != "hello" {
				t.Errorf("%q, %v", body, err)
			}
		})
	}
	wg.Wait()
}

func TestMultiplex(t *testing.T) {
	for name, start := range map[string]func() *muxApp{
		"flow control":    func() *muxApp { return startMux(t, &Server{Handler: &muxHandler{}}) },
		"no flow control": func() *muxApp { return startStdMux(t) },
	} {
		t.Run(name, func(t *testing.T) {
			a := start()
			c := muxClient(t, &Client{}, a)
			for range 10 {
				hellos(t, c, a.addr, 50)
			}
			if n := a.conns.Load(); n > 2 { // while one is made another may be asked for
				t.Errorf("%d connections for 50 requests at a time, want 1 or 2", n)
			}
		})
	}
}

// One reader that takes its time holds nobody else up, and costs no more than
// it may.
func TestMultiplexSlowReader(t *testing.T) {
	tests := []struct {
		name   string
		client *Client
		start  func(t *testing.T) *muxApp
		memory int64 // most that may be spilled to memory
		files  bool
		err    error
	}{
		{"flow control", &Client{}, func(t *testing.T) *muxApp { return startMux(t, &Server{Handler: &muxHandler{}}) }, 0, false, nil},
		{"to memory", &Client{MaxSpillMemory: 2 * bigAnswer}, startStdMux, 2 * bigAnswer, false, nil},
		{"to a file", &Client{MaxSpillMemory: 1 << 20}, startStdMux, 1 << 20, true, nil},
		{"no room", &Client{MaxSpillMemory: 1 << 20, MaxSpill: 1 << 20}, startStdMux, 1 << 20, true, ErrSlowReader},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := tt.start(t)
			tt.client.Window = 64 << 10
			c := muxClient(t, tt.client, a)
			resp, err := c.RoundTrip(t.Context(), "unix", a.addr, get("/big"))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			for range 20 {
				hellos(t, c, a.addr, 20)
				if n := c.spill.Memory(); n > tt.memory {
					t.Fatalf("%d bytes spilled to memory, want at most %d", n, tt.memory)
				}
			}
			if !tt.files && c.spill.Files() > 0 || tt.files && tt.err == nil && c.spill.Files() == 0 {
				t.Errorf("%d bytes in files", c.spill.Files())
			}
			n, err := io.Copy(io.Discard, resp.Body)
			if !errors.Is(err, tt.err) || tt.err == nil && n != bigAnswer {
				t.Errorf("read %d bytes, %v, want %d and %v", n, err, bigAnswer, tt.err)
			}
			hellos(t, c, a.addr, 20)
			if m, f := c.spill.Memory(), c.spill.Files(); m+f != 0 {
				t.Errorf("%d bytes of memory and %d of files at the end", m, f)
			}
			if n := a.conns.Load(); n > 2 {
				t.Errorf("%d connections, want 1 or 2", n)
			}
		})
	}
}

// Who gives up tells the application, and takes nothing from the others.
func TestMultiplexAbort(t *testing.T) {
	h := &muxHandler{causes: make(chan error, 1)}
	a := startMux(t, &Server{Handler: h})
	c := muxClient(t, &Client{}, a)
	other, err := c.RoundTrip(t.Context(), "unix", a.addr, get("/big"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	resp, err := c.RoundTrip(ctx, "unix", a.addr, get("/wait"))
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := io.ReadAll(resp.Body); err != context.Canceled {
		t.Errorf("Read = %v, want %v", err, context.Canceled)
	}
	resp.Body.Close()
	if err := <-h.causes; !errors.Is(err, ErrAborted) {
		t.Errorf("the handler was told %v, want ErrAborted", err)
	}
	if n, err := io.Copy(io.Discard, other.Body); n != bigAnswer || err != nil {
		t.Errorf("the other answer has %d bytes, %v", n, err)
	}
	other.Body.Close()
	hellos(t, c, a.addr, 20)
	if n := a.conns.Load(); n > 1 { // none if it was there already
		t.Errorf("%d connections, want 1 at the most", n)
	}
}

// A handler that does not read its body does not hold up the requests beside
// it, whatever the web server sends.
func TestMultiplexUnreadBody(t *testing.T) {
	h := &muxHandler{causes: make(chan error, 1)}
	a := startMux(t, &Server{Handler: h, MaxBodyAhead: 64 << 10})
	c := muxClient(t, &Client{}, a)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		r := get("/deaf")
		r.Method, r.Body, r.ContentLength = "POST", cgi.BytesBody(make([]byte, bigAnswer)), bigAnswer
		_, err := c.RoundTrip(ctx, "unix", a.addr, r)
		ended <- err
	}()
	for range 20 {
		hellos(t, c, a.addr, 20)
	}
	cancel()
	if err := <-ended; err != context.Canceled {
		t.Errorf("error %v, want %v", err, context.Canceled)
	}
	if err := <-h.causes; !errors.Is(err, ErrAborted) {
		t.Errorf("the handler was told %v, want ErrAborted", err)
	}
	r := get("/sum")
	r.Method, r.Body, r.ContentLength = "POST", cgi.BytesBody(make([]byte, bigAnswer)), bigAnswer
	if _, body, err := fetch(t.Context(), c, a.addr, r); err != nil || body != fmt.Sprint(bigAnswer, " <nil>") {
		t.Errorf("%q, %v", body, err)
	}
	if n := a.conns.Load(); n > 2 {
		t.Errorf("%d connections, want 1 or 2", n)
	}
}

// An application that says that it multiplexes, and does not, is believed only
// once.
func TestMultiplexRefused(t *testing.T) {
	var refused atomic.Int32
	a := startApp(t, func(n int, c *appConn) {
		var mu sync.Mutex
		var timers sync.WaitGroup
		defer timers.Wait()
		busy := make(map[uint16]bool)
		for {
			p, err := c.piece()
			mu.Lock()
			switch {
			case err != nil:
				mu.Unlock()
				return
			case p.Type == TypeGetValues:
				b, _ := AppendPair(AppendHeader(nil, TypeGetValuesResult, 0, uint16(2+len(MpxsConn)+1), 0), MpxsConn, "1")
				c.Write(b)
			case p.Type == TypeBeginRequest && len(busy) > 0:
				refused.Add(1)
				c.Write(AppendEndRequest(nil, p.ID, End{Status: CantMultiplex}))
			case p.Type == TypeBeginRequest:
				busy[p.ID] = true
			case p.Type == TypeStdin && p.Ends && busy[p.ID]:
				id := p.ID
				timers.Add(1)
				time.AfterFunc(5*time.Millisecond, func() { // the others begin meanwhile
					defer timers.Done()
					mu.Lock()
					defer mu.Unlock()
					delete(busy, id)
					c.Write(answerTo(id, hello))
				})
			}
			mu.Unlock()
		}
	})
	c := newClient(t, &Client{Multiplex: 8, AssumeMultiplex: true})
	for range 3 {
		hellos(t, c, a.addr, 8)
	}
	if n := refused.Load(); n == 0 || n > 7 {
		t.Errorf("%d requests were refused, want some, in the first round only", n)
	}
}

// The loss of a shared connection is the loss of all that is on it, and no
// more.
func TestMultiplexLost(t *testing.T) {
	var begun atomic.Int32
	a := startApp(t, func(n int, c *appConn) {
		for {
			p, err := c.piece()
			switch {
			case err != nil, p.Type == TypeGetValues:
				return
			case p.Type == TypeStdin && p.Ends:
				switch n := begun.Add(1); {
				case n == 5:
					return
				case n > 5:
					c.Write(answerTo(p.ID, hello))
				}
			}
		}
	})
	c := newClient(t, &Client{Multiplex: 5, AssumeMultiplex: true})
	var wg sync.WaitGroup
	var lost atomic.Int32
	for range 5 {
		wg.Go(func() {
			_, _, err := fetch(t.Context(), c, a.addr, get("/"))
			if e, ok := errors.AsType[*Error](err); ok && e.SafeToRetry {
				lost.Add(1)
			} else {
				t.Errorf("error %v, want one that is safe to retry", err)
			}
		})
	}
	wg.Wait()
	hellos(t, c, a.addr, 5)
	if n := lost.Load(); n != 5 {
		t.Errorf("%d requests were lost, want the 5 that were on the connection", n)
	}
}

// A window may be as small as one byte.
func TestMultiplexSmallWindow(t *testing.T) {
	for _, window := range []int{1, 2, 3} {
		a := startMux(t, &Server{Handler: &muxHandler{}, MaxBodyAhead: window})
		c := muxClient(t, &Client{Window: window}, a)
		hellos(t, c, a.addr, 20)
		r := post(cgi.BytesBody(make([]byte, 100)), 100)
		r.Target = "/sum"
		if _, body, err := fetch(t.Context(), c, a.addr, r); err != nil || body != "100 <nil>" {
			t.Errorf("window of %d: %q, %v", window, body, err)
		}
		if n := a.conns.Load(); n > 1 { // none if it was there already
			t.Errorf("window of %d: %d connections, want 1 at the most", window, n)
		}
	}
}
