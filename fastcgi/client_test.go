package fastcgi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

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
	for _, want := range []string{`text="PHP Warning: one"`, `text="forged\x1b[2J two"`, "path=/page"} {
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
				buf := make([]byte, 4096)
				out := map[byte][]byte{1: answerTo(1, hello), 2: answerTo(2, hello)}
				for {
					if _, err := nc.Read(buf); err != nil {
						return
					}
					nc.Write(out[buf[3]]) // the id of BEGIN_REQUEST
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
