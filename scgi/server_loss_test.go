package scgi

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// patience is how long a test waits for what should come at once.
const patience = 20 * time.Second

// listenOn listens on a new socket of that network.
func listenOn(t testing.TB, network string) net.Listener {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		dir, err := os.MkdirTemp("", "s") // short enough for a unix socket
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		address = "unix:" + filepath.Join(dir, "a.sock")
	}
	l, err := Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serveOn serves h on a new socket until the test ends.
func serveOn(t testing.TB, network string, h cgi.HandlerFunc) net.Addr {
	t.Helper()
	l := listenOn(t, network)
	s := &Server{Handler: h}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }() // until Close
	t.Cleanup(func() {
		s.Close()
		<-served
	})
	return l.Addr()
}

func dialTo(t testing.TB, a net.Addr) net.Conn {
	t.Helper()
	nc, err := net.Dial(a.Network(), a.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return nc
}

func closeWrite(nc net.Conn) { nc.(interface{ CloseWrite() error }).CloseWrite() }

func reset(nc net.Conn) {
	if tcp, ok := nc.(*net.TCPConn); ok {
		tcp.SetLinger(0)
	}
	nc.Close()
}

// How a web server may go away while the handler waits, and whether the
// handler is told.
func TestServerConnectionLost(t *testing.T) {
	tests := []struct {
		name    string
		network string
		in      string
		leave   func(nc net.Conn)
		told    bool
	}{
		{"close", "unix", get, func(nc net.Conn) { nc.Close() }, true},
		{"close after a body", "unix", post5 + "abcde", func(nc net.Conn) { nc.Close() }, true},
		{"close after more than the body", "unix", post5 + "abcde and more", func(nc net.Conn) { nc.Close() }, true},
		{"half, then close", "unix", get, func(nc net.Conn) { closeWrite(nc); time.Sleep(20 * time.Millisecond); nc.Close() }, true},
		{"half", "unix", get, closeWrite, false},
		{"reset", "tcp", get, reset, true},
		{"reset after a body", "tcp", post5 + "abcde", reset, true},
		{"half", "tcp", get, closeWrite, false},
	}
	for _, tt := range tests {
		t.Run(tt.network+" "+tt.name, func(t *testing.T) {
			begun, causes, release := make(chan bool, 1), make(chan error, 1), make(chan bool)
			addr := serveOn(t, tt.network, func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				if r.Body != nil {
					io.Copy(io.Discard, r.Body)
				}
				begun <- true
				select {
				case <-release:
					io.WriteString(w, "hello")
				case <-ctx.Done():
				case <-time.After(patience):
				}
				causes <- context.Cause(ctx)
			})
			nc := dialTo(t, addr)
			io.WriteString(nc, tt.in)
			<-begun
			tt.leave(nc)
			if tt.told {
				if err := <-causes; !errors.Is(err, ErrConnectionLost) {
					t.Errorf("cause = %v, want ErrConnectionLost", err)
				}
				return
			}
			time.Sleep(50 * time.Millisecond) // in which the handler should not be told
			close(release)
			if answer, err := io.ReadAll(nc); string(answer) != ok200+"hello" || err != nil {
				t.Errorf("answer = %q, %v", answer, err)
			}
			if err := <-causes; err != nil {
				t.Errorf("cause = %v, want none", err)
			}
		})
	}
}

// Over TCP a web server that has closed shows when something is written.
func TestServerConnectionLostInWrite(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			causes := make(chan error, 1)
			addr := serveOn(t, network, func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				tick := time.NewTicker(time.Millisecond)
				defer tick.Stop()
				for deadline := time.Now().Add(patience); ctx.Err() == nil && time.Now().Before(deadline); <-tick.C {
					io.WriteString(w, "drop")
					w.Flush()
				}
				causes <- context.Cause(ctx)
			})
			nc := dialTo(t, addr)
			io.WriteString(nc, get)
			io.ReadFull(nc, make([]byte, len(ok200)))
			nc.Close()
			if err := <-causes; !errors.Is(err, ErrConnectionLost) {
				t.Errorf("cause = %v, want ErrConnectionLost", err)
			}
		})
	}
}

// A body that ends before its length is a lost connection.
func TestServerBodyCut(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			got := make(chan error, 2)
			addr := serveOn(t, network, func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				_, err := io.Copy(io.Discard, r.Body)
				got <- err
				got <- context.Cause(ctx)
			})
			nc := dialTo(t, addr)
			io.WriteString(nc, post5+"ab")
			nc.Close()
			for range 2 {
				if err := <-got; !errors.Is(err, ErrConnectionLost) || !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("error %v, want one that wraps ErrConnectionLost and io.ErrUnexpectedEOF", err)
				}
			}
		})
	}
}

// A web server that sends all of its body before it reads the answer must not
// find the connection closed on it.
func TestServerTakesTheRestOfABody(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		t.Run(network, func(t *testing.T) {
			nc := dialTo(t, serveOn(t, network, sayHello))
			io.WriteString(nc, post5M)
			answer, err := io.ReadAll(nc) // the answer has gone out, and half of the connection is closed
			if err != nil || string(answer) != ok200+"hello" {
				t.Fatalf("answer = %q, %v", answer, err)
			}
			piece := strings.Repeat("x", 50_000)
			for range 100 {
				if _, err := io.WriteString(nc, piece); err != nil {
					t.Fatalf("the rest of the body: %v", err)
				}
			}
		})
	}
}

// What is broken shows, also without a Content-Length, where there is a way.
func TestServerBreaksAResponse(t *testing.T) {
	tests := []struct {
		name, network string
		handler       cgi.HandlerFunc
		want          error
	}{
		{"begun", "tcp", func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			io.WriteString(w, "some")
			w.Flush()
			time.Sleep(20 * time.Millisecond) // let it be read: a reset may overtake it
			w.Abort()
		}, syscall.ECONNRESET},
		{"not begun", "tcp", func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) { w.Abort() }, syscall.ECONNRESET},
		{"not begun", "unix", func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) { w.Abort() }, io.ErrUnexpectedEOF},
		{"Content-Length not reached", "unix", func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			w.WriteHeader(200, cgi.Header{{Name: "Content-Length", Value: "10"}})
			io.WriteString(w, "some")
			w.Flush()
			panic("as handlers may")
		}, io.ErrUnexpectedEOF},
	}
	for _, tt := range tests {
		t.Run(tt.network+" "+tt.name, func(t *testing.T) {
			addr := serveOn(t, tt.network, tt.handler)
			resp, err := (&Client{}).RoundTrip(t.Context(), addr.Network(), addr.String(), &cgi.Request{Method: "GET", Target: "/"})
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.want)
			}
		})
	}
}
