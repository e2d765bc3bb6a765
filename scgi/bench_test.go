package scgi

import (
	"context"
	"io"
	"net"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A memConn is a connection whose request is here, and whose answer nobody
// looks at.
type memConn struct{ in string }

func (c *memConn) Read(p []byte) (int, error) {
	if c.in == "" {
		return 0, io.EOF
	}
	n := copy(p, c.in)
	c.in = c.in[n:]
	return n, nil
}

func (*memConn) Write(p []byte) (int, error)      { return len(p), nil }
func (*memConn) Close() error                     { return nil }
func (*memConn) LocalAddr() net.Addr              { return nil }
func (*memConn) RemoteAddr() net.Addr             { return nil }
func (*memConn) SetDeadline(time.Time) error      { return nil }
func (*memConn) SetReadDeadline(time.Time) error  { return nil }
func (*memConn) SetWriteDeadline(time.Time) error { return nil }

// benchRequest is what a browser's request looks like behind the gateway.
func benchRequest() *cgi.Request {
	return &cgi.Request{Method: "GET", Target: "/wiki/doku.php?id=start", Proto: "HTTP/1.1", Host: "example.org",
		RemoteAddr: "192.0.2.1", RemotePort: "54321", ServerAddr: "192.0.2.2", ServerPort: "443", HTTPS: true,
		Script: cgi.Script{Root: "/srv/www", Filename: "/srv/www/wiki/doku.php", Name: "/wiki/doku.php"},
		Header: cgi.Header{{Name: "User-Agent", Value: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"}, {Name: "Accept", Value: "text/html"},
			{Name: "Accept-Language", Value: "en"}, {Name: "Accept-Encoding", Value: "gzip, deflate, br"}, {Name: "Cookie", Value: "session=" + strings.Repeat("x", 100)}}}
}

// BenchmarkServerRaw is one request without a socket: what is ours.
func BenchmarkServerRaw(b *testing.B) {
	in, err := AppendHeaders(nil, 0, benchRequest().Params(), 0)
	if err != nil {
		b.Fatal(err)
	}
	s := &Server{Handler: cgi.HandlerFunc(sayHello)}
	s.init()
	nc, text := &memConn{}, string(in)
	b.ReportAllocs()
	for b.Loop() {
		nc.in = text
		(&serverConn{server: s, nc: nc}).Serve()
	}
}

func TestServerAllocates(t *testing.T) {
	if raceDetector() {
		t.Skip("under the race detector a sync.Pool forgets now and then")
	}
	in, err := AppendHeaders(nil, 0, benchRequest().Params(), 0)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Handler: cgi.HandlerFunc(sayHello)}
	s.init()
	nc, text := &memConn{}, string(in)
	got := testing.AllocsPerRun(1000, func() {
		nc.in = text
		(&serverConn{server: s, nc: nc}).Serve()
	})
	if got > 2 { // and the goroutine of the loop
		t.Errorf("%v allocations for a request, want at most 2", got)
	}
}

func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func BenchmarkAppendHeaders(b *testing.B) {
	f := buffers.Get().(*buffer)
	params := benchRequest().Params()
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if f.b, err = f.params.encode(f.b[:0], 0, params, 0, f.add); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecoder(b *testing.B) {
	in, err := AppendHeaders(nil, 0, benchRequest().Params(), 0)
	if err != nil {
		b.Fatal(err)
	}
	var d Decoder
	b.SetBytes(int64(len(in)))
	b.ReportAllocs()
	for b.Loop() {
		if _, done, err := d.Feed(in); !done || err != nil {
			b.Fatal(err)
		}
		for ok := true; ok; {
			_, _, ok = d.Next()
		}
		d.Reset()
	}
}

// BenchmarkRoundTrip is both ends over a socket.
func BenchmarkRoundTrip(b *testing.B) {
	for _, network := range []string{"unix", "tcp"} {
		b.Run(network, func(b *testing.B) {
			addr := serveOn(b, network, sayHello)
			var client Client
			r := benchRequest()
			b.ReportAllocs()
			for b.Loop() {
				ask(b, &client, addr, r, len("hello"))
			}
		})
	}
}

// BenchmarkBody is an answer of 10 MiB over a unix socket.
func BenchmarkBody(b *testing.B) {
	const size = 10 << 20
	piece := make([]byte, 1<<16)
	addr := serveOn(b, "unix", func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
		for n := 0; n < size; n += len(piece) {
			w.Write(piece)
		}
	})
	var client Client
	r := benchRequest()
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		ask(b, &client, addr, r, size)
	}
}

func ask(b *testing.B, client *Client, addr net.Addr, r *cgi.Request, want int) {
	resp, err := client.RoundTrip(b.Context(), addr.Network(), addr.String(), r)
	if err != nil {
		b.Fatal(err)
	}
	n, err := io.Copy(io.Discard, resp.Body)
	if n != int64(want) || err != nil {
		b.Fatal(n, err)
	}
	resp.Body.Close()
}
