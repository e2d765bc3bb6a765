package fastcgi

import (
	"bytes"
	"context"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// Close ends a Read or WriteTo of another goroutine at once, on a connection
// that is one request's as on a shared one.
func TestCloseEndsRead(t *testing.T) {
	half := AppendStream(nil, TypeStdout, 1, []byte(hello))
	check := func(t *testing.T, client *Client, read func(body io.Reader) error) {
		t.Helper()
		resp, err := client.RoundTrip(context.Background(), "unix", nowhere, get("/"))
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() { ended <- read(resp.Body) }()
		synctest.Wait()
		start := time.Now()
		go resp.Body.Close()
		if err := <-ended; err != ErrClosed {
			t.Errorf("error %v, want %v", err, ErrClosed)
		}
		resp.Body.Close()
		if took := time.Since(start); took != 0 {
			t.Errorf("ended after %v, want at once", took)
		}
		if _, err := resp.Body.Read(make([]byte, 1)); err != ErrClosed {
			t.Errorf("Read after Close: %v, want %v", err, ErrClosed)
		}
	}
	for name, read := range map[string]func(io.Reader) error{
		"Read":    func(body io.Reader) error { _, err := io.Copy(io.Discard, struct{ io.Reader }{body}); return err },
		"WriteTo": func(body io.Reader) error { _, err := body.(io.WriterTo).WriteTo(io.Discard); return err },
	} {
		t.Run(name+" of its own", func(t *testing.T) {
			serve := func(k *kept, c *appConn) {
				c.request()
				c.Write(half)
				<-k.resume
			}
			withKept(t, &Client{IdleTimeout: -1}, serve, func(t *testing.T, k *kept) {
				check(t, k.client, read)
				close(k.resume)
			})
		})
		t.Run(name+" of a shared one", func(t *testing.T) {
			serve := func(c *appConn) {
				c.each("", func(p Piece, _ string) {
					switch {
					case stdinEnds(p):
						c.Write(half)
					case p.Type == TypeAbortRequest:
						c.Write(AppendEndRequest(nil, p.ID, End{}))
					}
				})
			}
			withShared(t, &Client{IdleTimeout: -1}, 0, serve, func(t *testing.T, s *shared) {
				check(t, s.client, read)
				synctest.Wait()
				s.conn.mu.Lock()
				defer s.conn.mu.Unlock()
				if n := len(s.conn.waiters); n != 1 {
					t.Errorf("%d waiters are given back, want 1", n)
				}
			})
		})
	}
}

// What WriteTo has in hand stays its own when Close comes while it writes, and
// Close does not wait for that.
func TestCloseDuringWrite(t *testing.T) {
	const size = 4 << 10
	serve := func(c *appConn) {
		c.each("", func(p Piece, target string) {
			if stdinEnds(p) {
				body := bytes.Repeat([]byte(target[1:]), size)
				c.Write(AppendStream(nil, TypeStdout, p.ID, append([]byte("A: b\n\n"), body...)))
				c.Write(AppendEndRequest(nil, p.ID, End{}))
			}
		})
	}
	withShared(t, &Client{IdleTimeout: -1}, 0, serve, func(t *testing.T, s *shared) {
		ask := func(target string) *cgi.Response {
			resp, err := s.client.RoundTrip(t.Context(), "unix", nowhere, get(target))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			return resp
		}
		resp := ask("/a")
		w := writerFunc(func(p []byte) (int, error) {
			resp.Body.Close()
			for range 4 { // use the memory that is free
				defer ask("/b").Body.Close()
			}
			if want := bytes.Repeat([]byte("a"), size); !bytes.Equal(p, want) {
				t.Errorf("what is written has become another answer: %.20q", p)
			}
			return len(p), nil
		})
		if n, err := resp.Body.(io.WriterTo).WriteTo(w); n != size || err != ErrClosed {
			t.Errorf("%d bytes, %v, want %d and %v", n, err, size, ErrClosed)
		}
	})
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// Close may come at any moment of a Read.
func TestCloseWhileReading(t *testing.T) {
	a := startMux(t, &Server{Handler: &muxHandler{}})
	for name, c := range map[string]*Client{"own": newClient(t, &Client{}), "shared": muxClientOf(t, a)} {
		for i := range 200 {
			resp, err := c.RoundTrip(t.Context(), "unix", a.addr, get("/big"))
			if err != nil {
				t.Fatal(name, err)
			}
			var wg sync.WaitGroup
			wg.Go(func() {
				if _, err := io.Copy(io.Discard, resp.Body); err != nil && err != ErrClosed {
					t.Errorf("%s: %v, want %v", name, err, ErrClosed)
				}
			})
			time.Sleep(time.Duration(i) * 10 * time.Microsecond)
			resp.Body.Close()
			wg.Wait()
		}
		hellos(t, c, a.addr, 20)
	}
}
