package fastcgi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A shared is a client with one connection that requests share, on a clock of
// its own. There is nowhere to connect to for another.
type shared struct {
	client *Client
	host   *host
	conn   *conn
	gone   chan struct{} // closed when the application has lost the connection
}

// withShared runs a test. window is that of the application's flow control; 0
// if it has none. serve must end when the connection does.
func withShared(t *testing.T, client *Client, window int64, serve func(c *appConn), test func(t *testing.T, s *shared)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		if client.Multiplex == 0 {
			client.Multiplex = 64
		}
		ours, theirs := net.Pipe()
		h := client.host("unix", nowhere)
		h.mu.Lock()
		h.mux = multiplexing{state: muxYes, max: client.Multiplex, window: window}
		c := h.newConn(ours, client.Multiplex, h.age, true)
		c.reserved = 0
		if window > 0 {
			c.askFlow(window)
		}
		h.shared = append(h.shared, c)
		h.mu.Unlock()
		s := &shared{client, h, c, make(chan struct{})}
		go func() {
			defer close(s.gone)
			serve(&appConn{Conn: theirs})
			theirs.Close()
		}()
		defer func() { // a Fatal must not leave the bubble with goroutines
			client.Close()
			ours.Close()
			<-s.gone
			c.wait()
			time.Sleep(time.Minute) // the last timers
		}()
		test(t, s)
	})
}

// do makes a request and reads the whole answer.
func (s *shared) do(r *cgi.Request) (string, error) {
	_, body, err := fetch(context.Background(), s.client, nowhere, r)
	return body, err
}

// hello makes a request that must be answered.
func (s *shared) hello(t *testing.T) {
	t.Helper()
	if body, err := s.do(get("/")); err != nil || body != "hello" {
		t.Errorf("another request on the connection: %q, %v, want hello", body, err)
	}
}

// usable tells whether the connection may still get requests.
func (s *shared) usable() bool {
	s.host.mu.Lock()
	defer s.host.mu.Unlock()
	return len(s.host.shared) > 0 && !s.conn.lost()
}

// each reads records to the end of the connection, and calls f for each piece,
// with the target of its request, which is known from the end of PARAMS on. It
// agrees to flow control if window is not 0.
func (c *appConn) each(window string, f func(p Piece, target string)) error {
	params := make(map[uint16][]byte)
	targets := make(map[uint16]string)
	for {
		p, err := c.piece()
		if err != nil {
			return err
		}
		switch {
		case p.Type == TypeBeginRequest:
			delete(params, p.ID)
			delete(targets, p.ID)
		case p.Type == TypeParams && !p.Ends:
			params[p.ID] = append(params[p.ID], p.Content...)
		case p.Type == TypeParams:
			pairs, _ := ParsePairs(params[p.ID], 0)
			for _, f := range pairs {
				if f.Name == "REQUEST_URI" {
					targets[p.ID] = f.Value
				}
			}
		case p.Type == TypeGetValues && window != "":
			c.Write(valuesResult(FlowWindow, window))
		}
		f(p, targets[p.ID])
	}
}

// valuesResult is an answer to GET_VALUES: names and values in turns.
func valuesResult(pairs ...string) []byte {
	b := AppendHeader(nil, TypeGetValuesResult, 0, 0, 0)
	for i := 0; i < len(pairs); i += 2 {
		b, _ = AppendPair(b, pairs[i], pairs[i+1])
	}
	setLength(b, 0)
	return b
}

// stdinEnds tells that p is the end of a request without DATA.
func stdinEnds(p Piece) bool { return p.Type == TypeStdin && p.Ends }

// helloShared answers all requests, and those that are aborted.
func helloShared(c *appConn) {
	c.each("", func(p Piece, _ string) {
		switch {
		case stdinEnds(p):
			c.Write(answerTo(p.ID, hello))
		case p.Type == TypeAbortRequest:
			c.Write(AppendEndRequest(nil, p.ID, End{}))
		}
	})
}

// A badRewind is a body that cannot be read from its beginning.
type badRewind struct{ cgi.Body }

func (badRewind) Rewind() error { return errors.New("cannot seek") }

// A body that cannot be rewound is no matter of the application: it is told
// nothing, the connections stay, and nobody tries again.
func TestBodyThatCannotBeRewound(t *testing.T) {
	check := func(t *testing.T, err error) {
		t.Helper()
		failed, ok := errors.AsType[*Error](err)
		if !ok || failed.Sent != 0 || failed.Stale || failed.SafeToRetry || !strings.Contains(err.Error(), "request body: cannot seek") {
			t.Errorf("error %v (%+v), want that of the body, not safe to retry", err, failed)
		}
	}
	r := post(badRewind{cgi.BytesBody([]byte("body"))}, 4)
	t.Run("own connection", func(t *testing.T) {
		a := startApp(t, helloApp)
		c := newClient(t, &Client{})
		hellos(t, c, a.addr, 2) // so that another one is kept
		kept := a.conns.Load()
		_, _, err := fetch(t.Context(), c, a.addr, r)
		check(t, err)
		hellos(t, c, a.addr, 1)
		if n := a.conns.Load(); n != kept {
			t.Errorf("%d connections, want %d as before", n, kept)
		}
	})
	t.Run("shared connection", func(t *testing.T) {
		serve := func(c *appConn) {
			c.each("", func(p Piece, _ string) {
				switch {
				case p.ID == 0 || p.Type == TypeAbortRequest:
					t.Errorf("the application got %v for request %d", p.Type, p.ID)
				case stdinEnds(p):
					c.Write(answerTo(p.ID, hello))
				}
			})
		}
		withShared(t, &Client{IdleTimeout: -1}, 0, serve, func(t *testing.T, s *shared) {
			_, err := s.do(r)
			check(t, err)
			time.Sleep(2 * abortTime)
			s.hello(t)
			if n := s.conn.reserved; n != 0 {
				t.Errorf("%d requests are counted on the connection, want none", n)
			}
		})
	})
}

// What the reader of an answer has in hand stays his when the answer is ended
// because he is slow: the memory must not go to another one meanwhile.
func TestSlowReaderKeepsWhatItHas(t *testing.T) {
	const piece = 4 << 10
	fill := func(id uint16, b byte, n int) []byte {
		out := AppendStream(nil, TypeStdout, id, []byte("A: b\n\n"))
		return AppendStream(out, TypeStdout, id, bytes.Repeat([]byte{b}, n))
	}
	serve := func(c *appConn) {
		c.each("", func(p Piece, target string) {
			switch {
			case stdinEnds(p) && target == "/slow":
				c.Write(fill(p.ID, 's', piece))
			case stdinEnds(p) && target == "/more": // goes to the slow one, which is 1
				c.Write(AppendStream(nil, TypeStdout, 1, bytes.Repeat([]byte{'s'}, 16*piece)))
				c.Write(answerTo(p.ID, hello))
			case stdinEnds(p):
				c.Write(AppendEndRequest(fill(p.ID, 'x', piece), p.ID, End{}))
			case p.Type == TypeAbortRequest:
				c.Write(AppendEndRequest(nil, p.ID, End{}))
			}
		})
	}
	client := &Client{Window: 1, MaxSpillMemory: 2 * piece, MaxSpill: 1, IdleTimeout: -1}
	withShared(t, client, 0, serve, func(t *testing.T, s *shared) {
		slow, err := client.RoundTrip(t.Context(), "unix", nowhere, get("/slow"))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		one := make([]byte, 1)
		if _, err := slow.Body.Read(one); err != nil {
			t.Fatal(err)
		}
		s.do(get("/more")) // ends it
		for range 4 {      // use the memory that is free
			resp, err := client.RoundTrip(t.Context(), "unix", nowhere, get("/x"))
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
		}
		synctest.Wait()
		got, err := io.ReadAll(slow.Body)
		if !errors.Is(err, ErrSlowReader) {
			t.Errorf("error %v, want ErrSlowReader", err)
		}
		if i := bytes.IndexByte(got, 'x'); i >= 0 {
			t.Errorf("byte %d of %d is another answer's", i, len(got))
		}
		slow.Body.Close()
	})
}

// The ids of a shared connection are bounded, and so is the number of requests.
func TestMoreSharesThanIDs(t *testing.T) {
	client := &Client{Multiplex: 10 * maxSharedID}
	h := client.host("unix", nowhere)
	h.mux = multiplexing{state: muxYes, max: client.Multiplex}
	if n := h.shareFor(get("/")); n != maxShare {
		t.Errorf("%d requests on one connection, want %d: there are not more ids", n, maxShare)
	}
}

// A shared connection that is used is not closed for being idle at each look.
func TestSharedConnectionsExpire(t *testing.T) {
	const look = 10 * time.Second
	for name, tt := range map[string]struct {
		uses []time.Duration // one after the other
		want time.Duration   // when it is closed
	}{
		"not used":      {nil, 2 * look},
		"used in time":  {[]time.Duration{15 * time.Second}, 3 * look},
		"used for long": {[]time.Duration{15 * time.Second, 10 * time.Second, 10 * time.Second}, 5 * look},
	} {
		t.Run(name, func(t *testing.T) {
			withShared(t, &Client{IdleTimeout: look}, 0, helloShared, func(t *testing.T, s *shared) {
				start := time.Now()
				for _, pause := range tt.uses {
					time.Sleep(pause)
					s.hello(t)
				}
				<-s.gone
				if got := time.Since(start); got != tt.want {
					t.Errorf("closed after %v, want %v", got, tt.want)
				}
			})
		})
	}
}

// What an application does with shared connections says nothing about those
// that it was asked to keep for one request at a time.
func TestSharedConnectionTeachesNoKeeping(t *testing.T) {
	serve := func(c *appConn) {
		c.each("", func(p Piece, _ string) {
			if stdinEnds(p) {
				c.Write(answerTo(p.ID, hello))
				time.AfterFunc(10*time.Second, func() { c.Close() })
			}
		})
	}
	withShared(t, &Client{IdleTimeout: -1}, 0, serve, func(t *testing.T, s *shared) {
		s.hello(t)
		<-s.gone
		synctest.Wait()
		if n := s.host.keeping.closed; n != 0 {
			t.Errorf("%d connections count as closed at once, want none", n)
		}
	})
}

// Go's net/http/fcgi, asked to end a request whose body is on its way, says
// that it has ended, and then sends what its handler still writes, with another
// end. That must not cost the others their connection, and must not get into
// another answer.
func TestAnswerGoesOnAfterAbort(t *testing.T) {
	var late func()
	serve := func(c *appConn) {
		c.each("", func(p Piece, target string) {
			switch {
			case p.Type == TypeAbortRequest:
				c.Write(AppendEndRequest(nil, p.ID, End{}))
				late = func() { c.Write(answerTo(p.ID, "A: b\n\nlate")) }
			case stdinEnds(p) && target == "/late":
				late()
				c.Write(answerTo(p.ID, hello))
			case stdinEnds(p):
				c.Write(answerTo(p.ID, hello))
			}
		})
	}
	withShared(t, &Client{IdleTimeout: -1}, 0, serve, func(t *testing.T, s *shared) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, _, err := fetch(ctx, s.client, nowhere, post(newStalledBody(), 4))
		if err != context.DeadlineExceeded {
			t.Fatalf("the request whose body does not come: %v", err)
		}
		synctest.Wait()
		for range 2 * maxSharedID { // through all the ids
			s.hello(t)
			if t.Failed() {
				return
			}
		}
		if body, err := s.do(get("/late")); err != nil || body != "hello" {
			t.Errorf("beside the end of what was aborted: %q, %v", body, err)
		}
		s.hello(t)
	})
}

// An application that does not read the body, and says so by giving no credit,
// is as slow as one that leaves it in the socket.
func TestNoCreditForTooLong(t *testing.T) {
	serve := func(c *appConn) {
		c.each("1000", func(p Piece, target string) {
			switch {
			case stdinEnds(p):
				c.Write(answerTo(p.ID, hello))
			case p.Type == TypeAbortRequest:
				c.Write(AppendEndRequest(nil, p.ID, End{}))
			}
		})
	}
	client := &Client{WriteTimeout: time.Second, FirstByteTimeout: time.Hour, IdleTimeout: -1}
	withShared(t, client, 1000, serve, func(t *testing.T, s *shared) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Hour)
		defer cancel()
		start := time.Now()
		_, _, err := fetch(ctx, s.client, nowhere, post(cgi.BytesBody(make([]byte, 4000)), 4000))
		failed, ok := errors.AsType[*Error](err)
		if took := time.Since(start); !ok || !failed.Timeout() || failed.SafeToRetry || took != time.Second {
			t.Errorf("error %v after %v, want a timeout after 1s that is not retried", err, took)
		}
		s.hello(t)
	})
}

// An application that does not read holds up who writes to it, but not beyond
// the end of the context.
func TestStuckSharedConnection(t *testing.T) {
	deaf := func(c *appConn) { time.Sleep(30 * time.Minute) }
	client := &Client{WriteTimeout: time.Hour, IdleTimeout: -1}
	withShared(t, client, 0, deaf, func(t *testing.T, s *shared) {
		ended := make(chan error, 3)
		start := time.Now()
		for range 3 {
			go func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Second)
				defer cancel()
				_, _, err := fetch(ctx, client, nowhere, get("/"))
				ended <- err
			}()
		}
		for range 3 {
			if err, took := <-ended, time.Since(start); err != context.DeadlineExceeded || took != time.Second {
				t.Errorf("error %v after %v, want %v after 1s", err, took, context.DeadlineExceeded)
			}
		}
		time.Sleep(2 * abortTime)
		if !s.conn.lost() {
			t.Error("a connection on which nothing goes is still open")
		}
	})
}

// The head of a request that waits behind a write on its connection has not been
// sent when that write fails: any request can be asked again then. It may be on
// its way yet if only this one request has lost patience.
func TestHeadBehindAnotherWrite(t *testing.T) {
	for name, tt := range map[string]struct {
		client  *Client
		close   bool // the application closes after a second, and does not read
		body    cgi.Body
		sent    bool // of the request behind
		again   bool // it may be sent again
		resent  bool // and is, to nowhere
		timeout bool
	}{
		"write timeout":      {client: &Client{WriteTimeout: time.Second}, again: true, timeout: true},
		"first byte timeout": {client: &Client{WriteTimeout: 10 * time.Second, FirstByteTimeout: time.Second}, sent: true, timeout: true},
		"close":              {client: &Client{}, close: true, again: true, resent: true},
		"close, with body":   {client: &Client{}, close: true, body: cgi.BytesBody([]byte("body")), again: true, resent: true},
		"close, body once":   {client: &Client{}, close: true, body: &once{Reader: strings.NewReader("body")}, again: true},
	} {
		t.Run(name, func(t *testing.T) {
			tt.client.IdleTimeout = -1
			serve := func(c *appConn) {
				c.request()
				c.answer(hello)
				if tt.close {
					time.Sleep(time.Second)
				} else {
					time.Sleep(30 * time.Minute)
				}
			}
			withShared(t, tt.client, 0, serve, func(t *testing.T, s *shared) {
				s.hello(t)
				first := make(chan error)
				go func() {
					_, err := s.do(post(nil, 0))
					first <- err
				}()
				synctest.Wait()
				_, err := s.do(post(tt.body, 4))
				failed, ok := errors.AsType[*Error](err)
				if !ok || (failed.Sent > 0) != tt.sent || failed.SafeToRetry != tt.again || failed.Timeout() != tt.timeout || (failed.Op == "dial") != tt.resent {
					t.Errorf("error %v (%+v), want sent %v, again %v, resent %v", err, failed, tt.sent, tt.again, tt.resent)
				}
				err = <-first
				if failed, ok := errors.AsType[*Error](err); !ok || failed.Sent == 0 || failed.SafeToRetry {
					t.Errorf("the request before: error %v (%+v), want one that may have been sent", err, failed)
				}
			})
		})
	}
}

// Who tells the application that it may send more does not wait for it to
// read that.
func TestStuckWindowUpdate(t *testing.T) {
	const window = 1000
	serve := func(c *appConn) {
		c.each("1000", func(p Piece, _ string) {
			if stdinEnds(p) {
				c.Write(AppendStream(nil, TypeStdout, p.ID, append([]byte("A: b\n\n"), make([]byte, window-6)...)))
				time.Sleep(30 * time.Minute)
			}
		})
	}
	client := &Client{Window: window, WriteTimeout: time.Hour, IdleTimeout: -1}
	withShared(t, client, window, serve, func(t *testing.T, s *shared) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, body, err := fetch(ctx, client, nowhere, get("/"))
		if took := time.Since(start); err != context.DeadlineExceeded || len(body) != window-6 || took != time.Second {
			t.Errorf("%d bytes, %v after %v, want %d and %v after 1s", len(body), err, took, window-6, context.DeadlineExceeded)
		}
	})
}

// A head counts as taken: an application may need all of the window for it.
func TestHeadFillsTheWindow(t *testing.T) {
	const window, size = 4 << 10, 100 << 10
	for _, head := range []int{100, window/2 - 10, window/2 + 10, window - 20, window, 3 * window} {
		left := map[uint16]int64{}
		out := map[uint16][]byte{}
		send := func(c *appConn, id uint16) {
			n := min(left[id], int64(len(out[id])))
			if n == 0 {
				return
			}
			c.Write(AppendStream(nil, TypeStdout, id, out[id][:n]))
			left[id] -= n
			if out[id] = out[id][n:]; len(out[id]) == 0 {
				c.Write(AppendEndRequest(nil, id, End{}))
			}
		}
		granted := int64(0)
		serve := func(c *appConn) {
			c.each("1000", func(p Piece, _ string) {
				switch {
				case stdinEnds(p):
					left[p.ID] = window
					out[p.ID] = append([]byte("A: "+strings.Repeat("x", head-5)+"\n\n"), make([]byte, size)...)
					send(c, p.ID)
				case p.Type == TypeWindowUpdate:
					n, err := parseWindowUpdate(p)
					if err != nil {
						t.Error(err)
					}
					granted += n
					if left[p.ID] += n; left[p.ID] > window {
						t.Errorf("head of %d bytes: %d may be sent, want at most %d", head, left[p.ID], window)
					}
					send(c, p.ID)
				}
			})
		}
		client := &Client{Window: window, ReadTimeout: time.Second, FirstByteTimeout: time.Second, IdleTimeout: -1}
		withShared(t, client, window, serve, func(t *testing.T, s *shared) {
			if body, err := s.do(get("/")); err != nil || len(body) != size {
				t.Errorf("head of %d bytes: %d bytes of body, %v, want %d", head, len(body), err, size)
			}
			if m, f := client.spill.Memory(), client.spill.Files(); m+f != 0 {
				t.Errorf("%d bytes of memory and %d of files", m, f)
			}
			synctest.Wait()
			if max := int64(head + size); granted > max || granted < max-2*window {
				t.Errorf("head of %d bytes: %d bytes were granted of %d", head, granted, max)
			}
		})
	}
}

// An application with flow control that is replaced by one without gets long
// bodies on connections of their own.
func TestFlowControlRefusedLater(t *testing.T) {
	long := func() *cgi.Request { return post(cgi.BytesBody(make([]byte, 2*sharedBody)), 2*sharedBody) }
	for name, result := range map[string][]byte{
		"other name": valuesResult(MpxsConn, "1"),
		"no names":   valuesResult(),
		"zero":       valuesResult(FlowWindow, "0"),
	} {
		t.Run(name, func(t *testing.T) {
			serve := func(c *appConn) {
				c.each("", func(p Piece, _ string) {
					switch {
					case p.Type == TypeGetValues:
						c.Write(result)
					case stdinEnds(p):
						c.Write(answerTo(p.ID, hello))
					}
				})
			}
			withShared(t, &Client{IdleTimeout: -1, WriteTimeout: time.Second}, 1000, serve, func(t *testing.T, s *shared) {
				// The first is sent as if it were agreed, and must go through.
				if body, err := s.do(long()); err != nil || body != "hello" {
					t.Errorf("the first long body: %q, %v", body, err)
				}
				s.host.mu.Lock()
				share := s.host.shareFor(long())
				s.host.mu.Unlock()
				if share != 1 {
					t.Errorf("a long body may share a connection with %d, want 1", share)
				}
				s.hello(t)
			})
		})
	}
}

// A connection that was made before the application said that it has flow
// control has none, and gets no long bodies.
func TestConnectionWithoutFlowControl(t *testing.T) {
	a := startMux(t, &Server{Handler: &muxHandler{}})
	c := newClient(t, &Client{Multiplex: 64, AssumeMultiplex: true})
	h := c.host("unix", a.addr)
	h.mux = multiplexing{state: muxYes, max: 64} // not asked yet
	hellos(t, c, a.addr, 1)
	h.mu.Lock()
	h.mux.window = 1000
	h.mu.Unlock()
	r := post(cgi.BytesBody(make([]byte, 2*sharedBody)), 2*sharedBody)
	r.Target = "/sum"
	if _, body, err := fetch(t.Context(), c, a.addr, r); err != nil || body != "32768 <nil>" {
		t.Errorf("%q, %v", body, err)
	}
	if n := a.conns.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}
