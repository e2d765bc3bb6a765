package fastcgi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A connection that was given up while it was used is not kept after that.
func TestGivenUpWhileUsed(t *testing.T) {
	withKept(t, &Client{IdleTimeout: -1}, helloKept, func(t *testing.T, k *kept) {
		resp, err := k.client.RoundTrip(context.Background(), "unix", nowhere, get("/"))
		if err != nil {
			t.Fatal(err)
		}
		h := k.client.host("unix", nowhere)
		h.forget(h.age)
		resp.Body.Close()
		k.lostAfter(t, 0)
	})
}

// No more than MaxIdle connections are kept.
func TestSurplusIsNotKept(t *testing.T) {
	const most = 2
	var all sync.WaitGroup
	all.Add(5)
	a := startApp(t, func(n int, c *appConn) {
		c.request()
		all.Done()
		all.Wait()
		c.answer(hello)
		helloApp(n, c)
	})
	c := newClient(t, &Client{MaxIdle: most})
	hellos(t, c, a.addr, 5)
	h := c.host("unix", a.addr)
	h.mu.Lock()
	defer h.mu.Unlock()
	if n := len(h.idle); n > most {
		t.Errorf("%d connections are kept, want at most %d", n, most)
	}
}

// One that has been seen to stay open counts for more than those that have not.
func TestKeepsAfterAll(t *testing.T) {
	k := keeping{closed: closedOften, again: time.Now().Add(time.Hour), seen: true}
	if !k.ask(true) {
		t.Error("is not asked, though a connection has stayed open")
	}
}

// A request that was refused for its connection knows better than the answer to
// GET_VALUES, which may come after it.
func TestRefusalIsBelieved(t *testing.T) {
	a := startMux(t, &Server{Handler: &muxHandler{}})
	c := newClient(t, &Client{Multiplex: 8})
	h := c.host("unix", a.addr)
	h.mux = multiplexing{state: muxNo}
	h.mux.asking.Add(1)
	h.askMultiplex(t.Context(), func() {})
	if h.mux.state != muxNo {
		t.Error("the application is taken to multiplex again")
	}
}

// A connection on which many requests have been aborted is replaced: their ids
// are lost.
func TestManyAborts(t *testing.T) {
	serve := func(c *appConn) {
		c.each("", func(p Piece, target string) {
			switch {
			case stdinEnds(p) && target == "/wait":
				c.Write(AppendStream(nil, TypeStdout, p.ID, []byte("A: b\n\n")))
			case stdinEnds(p):
				c.Write(answerTo(p.ID, hello))
			case p.Type == TypeAbortRequest:
				c.Write(AppendEndRequest(nil, p.ID, End{}))
			}
		})
	}
	withShared(t, &Client{IdleTimeout: -1}, 0, serve, func(t *testing.T, s *shared) {
		for i := range maxAborted {
			resp, err := s.client.RoundTrip(t.Context(), "unix", nowhere, get("/wait"))
			if err != nil {
				t.Fatalf("after %d aborts: %v", i, err)
			}
			resp.Body.Close()
			synctest.Wait()
		}
		if !s.conn.lost() {
			t.Errorf("the connection is open after %d aborts", maxAborted)
		}
	})
}

// A connection that is lost with a request on it says nothing about keeping.
func TestLostInUseTeachesNothing(t *testing.T) {
	serve := func(_ *kept, c *appConn) { c.request() }
	withKept(t, &Client{IdleTimeout: -1}, serve, func(t *testing.T, k *kept) {
		h := k.client.host("unix", nowhere)
		h.keeping.seen = false
		if _, err := k.do(get("/")); err == nil {
			t.Error("no error")
		}
		synctest.Wait()
		if h.keeping.closed != 0 {
			t.Error("counts as closed after an answer")
		}
	})
}

// A connection on which the request did not come to its end is closed, though
// the answer did; and so is one whose application has refused.
func TestNotReusable(t *testing.T) {
	for name, serve := range map[string]func(k *kept, c *appConn){
		"body not read": func(k *kept, c *appConn) {
			for p, err := c.piece(); err == nil && !(p.Type == TypeParams && p.Ends); p, err = c.piece() {
			}
			c.answer(hello)
			<-k.resume
			helloApp(0, c)
		},
		"refused": func(k *kept, c *appConn) {
			c.request()
			c.Write(AppendEndRequest(nil, c.id, End{Status: Overloaded}))
			helloApp(0, c)
		},
		"refused after the head": func(k *kept, c *appConn) {
			c.request()
			c.Write(AppendEndRequest(AppendStream(nil, TypeStdout, c.id, []byte(hello)), c.id, End{Status: Overloaded}))
			helloApp(0, c)
		},
	} {
		t.Run(name, func(t *testing.T) {
			withKept(t, &Client{IdleTimeout: -1}, serve, func(t *testing.T, k *kept) {
				n := 100
				if name == "body not read" {
					n = 1 << 20
				}
				k.do(post(cgi.BytesBody(make([]byte, n)), int64(n)))
				close(k.resume)
				synctest.Wait()
				if n := len(k.client.host("unix", nowhere).idle); n != 0 {
					t.Errorf("%d connections are kept", n)
				}
			})
		})
	}
}

// What has been read of an answer does not count against what is read of its
// rest.
func TestDrainAfterLongAnswer(t *testing.T) {
	serve := func(k *kept, c *appConn) {
		c.request()
		c.Write(AppendStream(nil, TypeStdout, c.id, append([]byte("A: b\n\n"), make([]byte, 2*drainBytes)...)))
		<-k.resume
		c.Write(AppendEndRequest(AppendStream(nil, TypeStdout, c.id, make([]byte, 100)), c.id, End{}))
		helloApp(0, c)
	}
	withKept(t, &Client{IdleTimeout: -1}, serve, func(t *testing.T, k *kept) {
		resp, err := k.client.RoundTrip(context.Background(), "unix", nowhere, get("/"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.CopyN(io.Discard, resp.Body, 2*drainBytes); err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		close(k.resume)
		synctest.Wait()
		if body, err := k.do(get("/")); err != nil || body != "hello" {
			t.Errorf("the next request on the connection: %q, %v", body, err)
		}
	})
}

// A body that waits for credit ends with its request.
func TestCreditEndsWithTheRequest(t *testing.T) {
	serve := func(c *appConn) {
		c.each("1000", func(p Piece, target string) {
			if p.Type == TypeParams && p.Ends || stdinEnds(p) && target == "/" {
				c.Write(answerTo(p.ID, hello))
			}
		})
	}
	withShared(t, &Client{WriteTimeout: time.Hour, IdleTimeout: -1}, 1000, serve, func(t *testing.T, s *shared) {
		start := time.Now()
		if body, err := s.do(post(cgi.BytesBody(make([]byte, 4000)), 4000)); err != nil || body != "hello" {
			t.Errorf("%q, %v", body, err)
		}
		synctest.Wait()
		s.conn.mu.Lock()
		n := s.conn.reserved
		s.conn.mu.Unlock()
		if took := time.Since(start); n != 0 || took != 0 {
			t.Errorf("%d requests on the connection after %v, want none", n, took)
		}
	})
}

// An authorizer gets no STDIN, not even its end (FastCGI 1.0 §6.3).
func TestAuthorizerGetsNoStdin(t *testing.T) {
	for _, role := range []cgi.Role{cgi.Responder, cgi.Authorizer, cgi.Filter} {
		r := get("/")
		r.Role = role
		head, err := new(Client).encode(r)
		if err != nil {
			t.Fatal(err)
		}
		has := bytes.HasSuffix(head.b, AppendEnd(nil, TypeStdin, FirstRequestID))
		if want := role != cgi.Authorizer; has != want {
			t.Errorf("%v: has the end of STDIN: %v, want %v", role, has, want)
		}
	}
}

// Interim responses that nobody has taken are bounded.
func TestManyInterimResponses(t *testing.T) {
	for _, n := range []int{maxInterim, maxInterim + 1} {
		var a answer
		head := strings.Repeat("Status: 103\n\n", n) + "Status: 200\n\n"
		err := a.feed(Piece{Type: TypeStdout, ID: 1, Content: []byte(head)})
		if bad := errors.Is(err, cgi.ErrMalformed); bad != (n > maxInterim) || !bad && err != nil {
			t.Errorf("%d interim responses: %v", n, err)
		}
	}
}

// What has come is flushed before the next wait, if it is only the head.
func TestFlushBeforeWait(t *testing.T) {
	serve := func(_ *kept, c *appConn) {
		c.request()
		for _, s := range []string{"A: b\n\n", "one", "two"} {
			c.Write(AppendStream(nil, TypeStdout, c.id, []byte(s)))
			time.Sleep(time.Second)
		}
		c.Write(AppendEndRequest(nil, c.id, End{}))
		helloApp(0, c)
	}
	withKept(t, &Client{IdleTimeout: -1}, serve, func(t *testing.T, k *kept) {
		resp, err := k.client.RoundTrip(context.Background(), "unix", nowhere, get("/"))
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var w flushed
		if n, err := resp.Body.(io.WriterTo).WriteTo(&w); n != 6 || err != nil {
			t.Errorf("%d bytes, %v", n, err)
		}
		if got, want := w.String(), "|one|two|"; got != want {
			t.Errorf("written and flushed: %q, want %q", got, want)
		}
	})
}

// flushed notes when it is flushed.
type flushed struct{ bytes.Buffer }

func (w *flushed) Flush() error { return w.WriteByte('|') }
