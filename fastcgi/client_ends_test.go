package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A pacedBody gives one byte a second, and notices a read after the end of the
// exchange.
type pacedBody struct {
	left      int
	cancelled chan struct{}
	over      atomic.Bool
	late      atomic.Bool
}

func newPacedBody(n int) *pacedBody { return &pacedBody{left: n, cancelled: make(chan struct{})} }

func (b *pacedBody) Cancel() {
	select {
	case <-b.cancelled:
	default:
		close(b.cancelled)
	}
}

func (b *pacedBody) Read(p []byte) (int, error) {
	if b.over.Load() {
		b.late.Store(true)
	}
	if b.left == 0 {
		return 0, io.EOF
	}
	select {
	case <-time.After(time.Second):
	case <-b.cancelled:
		return 0, errors.New("cancelled")
	}
	if b.over.Load() {
		b.late.Store(true)
	}
	b.left--
	p[0] = 'x'
	return 1, nil
}

// The answer may end before, while and after the request body is sent, and the
// caller may close it at any time: the connection is used again if both have
// come to their end, and the body is not read after Close. It takes 10 seconds
// to send.
func TestAnswerAndBodyEnd(t *testing.T) {
	const size = 10
	at := func(tenths int) time.Duration { return time.Duration(tenths) * time.Second / 10 }
	for _, tt := range []struct {
		answer, close int // when, in tenths of a second; close is after the answer has begun
		kept          bool
	}{
		{0, 0, false},
		{0, 1, false},
		{0, 55, false},
		{0, 99, false},
		{0, 101, true},
		{55, 56, false},
		{55, 101, true},
		{99, 101, true},
		{101, 102, true},
		{101, 500, true},
	} {
		for _, length := range []int64{size, -1} {
			for _, ended := range []bool{true, false} { // or its end never comes
				name := fmt.Sprintf("answer %v, close %v, length %d, ended %v", at(tt.answer), at(tt.close), length, ended)
				t.Run(name, func(t *testing.T) {
					serve := func(k *kept, c *appConn) {
						c.piece() // not before it is asked
						go func() {
							time.Sleep(at(tt.answer))
							if ended {
								c.Write(answerTo(2, hello))
							} else {
								c.Write(AppendStream(nil, TypeStdout, 2, []byte(hello)))
							}
						}()
						if _, body, ok := c.request(); ok && len(body) != size {
							t.Errorf("%d bytes of STDIN, and its end", len(body))
						}
						helloApp(0, c)
					}
					withKept(t, &Client{IdleTimeout: -1}, serve, func(t *testing.T, k *kept) {
						h := k.client.host("unix", nowhere)
						h.idle[0].lastID = 1
						h.echoes.Store(true)
						body := newPacedBody(size)
						resp, err := k.client.RoundTrip(context.Background(), "unix", nowhere, post(body, length))
						if err != nil {
							t.Fatal(err)
						}
						time.Sleep(at(tt.close) - time.Since(k.start))
						resp.Body.Close()
						if took := time.Since(k.start) - at(tt.close); took != 0 {
							t.Errorf("Close took %v", took)
						}
						body.over.Store(true)
						time.Sleep(time.Minute)
						if body.late.Load() {
							t.Error("the request body was read after Close")
						}
						got, err := k.do(get("/"))
						if kept := err == nil && got == "hello"; kept != (tt.kept && ended) {
							t.Errorf("the next request on the connection: %q, %v, kept should be %v", got, err, tt.kept && ended)
						}
					})
				})
			}
		}
	}
}

// The same with the context instead of Close, from the beginning on.
func TestContextEndsWhileSending(t *testing.T) {
	for _, limit := range []time.Duration{0, 1, time.Second, 5500 * time.Millisecond, 10500 * time.Millisecond} {
		serve := func(_ *kept, c *appConn) {
			c.request()
			time.Sleep(time.Second)
			c.answer(hello)
			helloApp(0, c)
		}
		withKept(t, &Client{IdleTimeout: -1}, serve, func(t *testing.T, k *kept) {
			ctx, cancel := context.WithTimeout(context.Background(), limit)
			defer cancel()
			body := newPacedBody(10)
			_, err := k.client.RoundTrip(ctx, "unix", nowhere, post(body, 10))
			if took := time.Since(k.start); err != context.DeadlineExceeded || took != limit {
				t.Errorf("%v: error %v after %v, want %v", limit, err, took, context.DeadlineExceeded)
			}
			body.over.Store(true)
			time.Sleep(time.Minute)
			if body.late.Load() {
				t.Errorf("%v: the request body was read after RoundTrip", limit)
			}
			if _, err := k.do(get("/")); (err == nil) != (limit == 0) { // nothing was sent then
				t.Errorf("%v: the connection is used again: %v", limit, err == nil)
			}
		})
	}
}

// What an application sends behind the end of its answer, while nobody asks it
// or while another request is under way, is taken for nobody's answer, whether
// it knows only one id or more.
func TestLateBytes(t *testing.T) {
	for _, tt := range []struct {
		name string
		late func(id uint16) []byte
		next bool // it comes after the next request has been sent
	}{
		{"a record, unasked", func(id uint16) []byte { return AppendStream(nil, TypeStderr, id, []byte("late")) }, false},
		{"an answer, unasked", func(id uint16) []byte { return answerTo(id, "A: b\n\nforged") }, false},
		{"half a header, unasked", func(uint16) []byte { return []byte{1, 6, 0} }, false},
		{"a record", func(id uint16) []byte { return AppendStream(nil, TypeStderr, id, []byte("late")) }, true},
		{"an answer", func(id uint16) []byte { return answerTo(id, "A: b\n\nforged") }, true},
		{"an end", func(id uint16) []byte { return AppendEndRequest(nil, id, End{}) }, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			serve := func(k *kept, c *appConn) {
				for {
					if _, _, ok := c.request(); !ok {
						return
					}
					if tt.next && c.id == 2 {
						c.Write(tt.late(1))
					}
					c.answer(hello)
					if !tt.next {
						time.Sleep(time.Second)
						c.Write(tt.late(c.id))
					}
				}
			}
			withKept(t, &Client{IdleTimeout: -1}, serve, func(t *testing.T, k *kept) {
				h := k.client.host("unix", nowhere)
				h.echoes.Store(true)
				if body, err := k.do(get("/")); err != nil || body != "hello" {
					t.Fatalf("%q, %v", body, err)
				}
				if !tt.next {
					time.Sleep(2 * time.Second)
					synctest.Wait()
					if n := len(h.idle); n != 0 {
						t.Errorf("%d connections are kept before the next request", n)
					}
				}
				body, err := k.do(get("/"))
				failed, ok := errors.AsType[*Error](err)
				if !ok || !failed.SafeToRetry || body != "" {
					t.Errorf("the next request: %q, %v, want an error that is safe to retry", body, err)
				}
				synctest.Wait()
				if n := len(h.idle); n != 0 {
					t.Errorf("%d connections are kept", n)
				}
				if h.oneID.Load() {
					t.Error("an application that has echoed an id is taken for one that knows one only")
				}
			})
		})
	}
}

// An application that gives all its answers the id 1 costs one request, once,
// and never one that it may not be sent again; one that echoes ids is not taken
// for it. What was learnt of another application at the address counts no more.
func TestOneID(t *testing.T) {
	var echo atomic.Bool
	a := startApp(t, func(_ int, c *appConn) {
		for {
			if _, _, ok := c.request(); !ok {
				return
			}
			if !echo.Load() {
				c.id = 1
			}
			c.answer(hello)
		}
	})
	for _, tt := range []struct {
		methods string // in turns
		echoes  bool   // the application
		before  bool   // another one at the address did
		failed  int
		learnt  bool
	}{
		{"GET", false, false, 1, true},
		{"GET", true, false, 0, true},
		{"POST", false, false, 0, false},
		{"POST", true, false, 0, false},
		{"POST", false, true, 0, false},
		{"POST GET", false, false, 1, true},
		{"POST GET", true, false, 0, true},
		{"GET POST POST", false, true, 1, true},
	} {
		echo.Store(tt.echoes)
		c := newClient(t, &Client{})
		h := c.host("unix", a.addr)
		if tt.before {
			h.echoes.Store(true)
			h.forget(h.age)
		}
		failed := 0
		methods := strings.Fields(tt.methods)
		for i := range 10 {
			r := get("/")
			r.Method = methods[i%len(methods)]
			_, body, err := fetch(t.Context(), c, a.addr, r)
			if e, ok := errors.AsType[*Error](err); ok && e.SafeToRetry {
				failed++
			} else if err != nil || body != "hello" {
				t.Errorf("%+v: %s: %q, %v", tt, r.Method, body, err)
			}
		}
		if failed != tt.failed {
			t.Errorf("%+v: %d requests failed, want %d", tt, failed, tt.failed)
		}
		if h.oneID.Load() != (tt.learnt && !tt.echoes) || h.echoes.Load() != (tt.learnt && tt.echoes) {
			t.Errorf("%+v: learnt %v and %v", tt, h.oneID.Load(), h.echoes.Load())
		}
	}
}

// uWSGI closes after each reply: no request that cannot be repeated is lost,
// and after a few replies it is not asked to keep its connections, for a minute.
func TestApplicationThatCloses(t *testing.T) {
	var asked, conns atomic.Int32
	a := startApp(t, func(_ int, c *appConn) {
		conns.Add(1)
		for {
			p, err := c.piece()
			switch {
			case err != nil:
				return
			case p.Type == TypeBeginRequest:
				if b, _ := ParseBegin(p.Content); b.KeepConn {
					asked.Add(1)
				}
			case stdinEnds(p):
				c.answer(hello)
				time.Sleep(time.Millisecond) // so that another request could get in between
				return
			}
		}
	})
	for _, body := range []bool{false, true} {
		c := newClient(t, &Client{})
		asked.Store(0)
		for i := range 50 {
			r := get("/")
			r.Method = "POST"
			if body {
				r = post(cgi.BytesBody([]byte("body")), 4)
			}
			if _, _, err := fetch(t.Context(), c, a.addr, r); err != nil {
				t.Fatalf("with a body: %v: request %d was lost: %v", body, i, err)
			}
		}
		if n := asked.Load(); n > 2*closedOften {
			t.Errorf("with a body: %v: asked %d times to keep the connection, want about %d", body, n, closedOften)
		}
		h := c.host("unix", a.addr)
		h.mu.Lock()
		h.keeping.again = time.Now()
		h.mu.Unlock()
		asked.Store(0)
		for range 5 {
			r := get("/")
			r.Method = "POST"
			if _, _, err := fetch(t.Context(), c, a.addr, r); err != nil {
				t.Fatalf("a minute later: %v", err)
			}
		}
		if n := asked.Load(); n != 1 {
			t.Errorf("with a body: %v: asked %d times a minute later, want once", body, n)
		}
	}
}

// One that closes connections after 10 idle seconds is asked to keep them, and
// no request waits to see whether it does.
func TestApplicationThatClosesIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &host{client: &Client{IdleTimeout: -1}}
		k := &h.keeping
		c := &conn{host: h, most: 1}
		c.answers.Store(1)
		for range 5 {
			c.since = k.stamp(c)
			if d := k.doubt(c.since); d != closedAtOnce {
				t.Fatalf("doubt for %v, want %v", d, closedAtOnce)
			}
			time.Sleep(closedAtOnce - 1)
			if d := k.doubt(c.since); d != 1 {
				t.Fatalf("doubt for %v, want 1ns", d)
			}
			time.Sleep(time.Nanosecond)
			if d := k.doubt(c.since); d != 0 {
				t.Fatalf("doubt for %v, want none", d)
			}
			time.Sleep(10 * time.Second)
			k.closedByPeer(c)
			if !k.ask(true) || k.closed != 0 {
				t.Fatalf("is not asked after a close of an idle connection")
			}
		}
		for i := range closedOften {
			if !k.ask(true) {
				t.Fatalf("is not asked after %d closes", i)
			}
			c.since = k.stamp(c)
			time.Sleep(closedAtOnce - 1)
			k.closedByPeer(c)
		}
		if k.ask(true) || k.ask(false) {
			t.Error("is asked after it has closed often")
		}
		time.Sleep(askAgain)
		if !k.ask(true) || k.ask(true) {
			t.Error("is not asked once after a minute")
		}
		c.answers.Store(2) // and has kept it
		c.since = k.stamp(c)
		if !k.ask(true) || k.doubt(c.since) != 0 {
			t.Error("is not asked after it has kept a connection")
		}
	})
}
