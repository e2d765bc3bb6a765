package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// What the answer to GET_VALUES makes of an application.
func TestLearnMultiplex(t *testing.T) {
	fields := func(pairs ...string) (f []cgi.Field) {
		for i := 0; i < len(pairs); i += 2 {
			f = append(f, cgi.Field{Name: pairs[i], Value: pairs[i+1]})
		}
		return f
	}
	tests := []struct {
		values []cgi.Field
		share  int // requests on a connection
		taken  int // the same, if it was taken for granted
		window int64
	}{
		{nil, 1, 8, 0},
		{fields(MpxsConn, "0"), 1, 1, 0},
		{fields(MpxsConn, "1"), 8, 8, 0},
		{fields(MpxsConn, "2"), 1, 1, 0},
		{fields(MpxsConn, ""), 1, 8, 0},
		{fields(MpxsConn, "yes"), 1, 8, 0},
		{fields(MpxsConn, "1", MaxReqs, "0"), 1, 1, 0},
		{fields(MpxsConn, "1", MaxReqs, "1"), 1, 1, 0},
		{fields(MpxsConn, "1", MaxReqs, "5"), 5, 5, 0},
		{fields(MaxReqs, "5", MpxsConn, "1"), 5, 5, 0},
		{fields(MpxsConn, "1", MaxReqs, "5000"), 8, 8, 0},
		{fields(MpxsConn, "1", MaxReqs, "-5"), 8, 8, 0},
		{fields(MpxsConn, "1", MaxReqs, "99999999999999999999"), 8, 8, 0},
		{fields(MpxsConn, "1", MaxReqs, "many"), 8, 8, 0},
		{fields(MaxReqs, "5"), 1, 5, 0},
		{fields(MpxsConn, "1", FlowWindow, "1000"), 8, 8, 1000},
		{fields(MpxsConn, "1", FlowWindow, "0"), 8, 8, 0},
		{fields(MpxsConn, "1", FlowWindow, "-1"), 8, 8, 0},
		{fields(MpxsConn, "1", FlowWindow, fmt.Sprint(int64(maxWindow)+1)), 8, 8, 0},
	}
	for _, tt := range tests {
		for _, assume := range []bool{false, true} {
			h := &host{client: &Client{Multiplex: 8}}
			m := &h.mux
			m.state = muxAsking
			want := tt.share
			if assume {
				m.state, m.max, want = muxYes, 8, tt.taken
			}
			m.learn(tt.values, 8)
			if got := h.shareFor(get("/")); got != want || m.window != tt.window {
				t.Errorf("%v, taken for granted: %v: %d requests on a connection and a window of %d, want %d and %d",
					tt.values, assume, got, m.window, want, tt.window)
			}
		}
	}
}

// Whatever an application does when it is asked, the requests do not wait for
// that, and it is asked again only if it has given no answer.
func TestQuestionIsNotAnswered(t *testing.T) {
	tests := []struct {
		name   string
		answer func(c *appConn)
		again  bool
	}{
		{"nothing", func(c *appConn) { c.piece() }, true},
		{"close", func(c *appConn) {}, true},
		{"no record", func(c *appConn) { fmt.Fprint(c, "HTTP/1.1 400 Bad Request\r\n\r\n") }, true},
		{"half an answer", func(c *appConn) { c.Write(valuesResult(MpxsConn, "1")[:10]) }, true},
		{"pair too long", func(c *appConn) { c.Write(append(AppendHeader(nil, TypeGetValuesResult, 0, 2, 0), 99, 99)) }, true},
		{"unknown type", func(c *appConn) { c.Write(append(AppendHeader(nil, TypeUnknownType, 0, 8, 0), make([]byte, 8)...)) }, false},
		{"slowly", func(c *appConn) {
			for _, b := range valuesResult(MpxsConn, "1") {
				c.Write([]byte{b})
				time.Sleep(time.Millisecond)
			}
		}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			a := startApp(t, func(_ int, c *appConn) {
				for {
					p, err := c.piece()
					switch {
					case err != nil:
						return
					case p.Type == TypeGetValues:
						asked.Add(1)
						tt.answer(c)
						return
					case stdinEnds(p):
						c.answer(hello)
					}
				}
			})
			c := newClient(t, &Client{Multiplex: 8})
			h := c.host("unix", a.addr)
			for range 3 {
				hellos(t, c, a.addr, 3)
			}
			for i := 0; asked.Load() < 1 && i < 1000; i++ {
				time.Sleep(time.Millisecond)
			}
			if tt.name == "nothing" {
				h.mu.Lock()
				h.mux.stopAsking() // rather than wait for askTimeout
				h.mu.Unlock()
			}
			h.mux.wait()
			hellos(t, c, a.addr, 3) // asks no more for now
			if n := asked.Load(); n != 1 {
				t.Errorf("asked %d times, want once", n)
			}
			h.mu.Lock()
			h.mux.again = time.Now()
			h.mu.Unlock()
			hellos(t, c, a.addr, 1)
			for i := 0; tt.again && asked.Load() < 2 && i < 1000; i++ { // it may be under way
				time.Sleep(time.Millisecond)
			}
			if again := asked.Load() == 2; again != tt.again {
				t.Errorf("asks again: %v, want %v", again, tt.again)
			}
		})
	}
}

// An application that is asked to end an answer, and does not, gets no more
// requests on that connection. Those that it has there go on; then the
// connection is closed.
func TestAbortIsNotAnswered(t *testing.T) {
	for _, streams := range []bool{false, true} {
		var stuck uint16
		serve := func(c *appConn) {
			c.each("", func(p Piece, target string) {
				id := p.ID
				switch {
				case stdinEnds(p) && target == "/stuck":
					stuck = id
					c.Write(AppendStream(nil, TypeStdout, id, []byte("A: b\n\n")))
				case stdinEnds(p) && target == "/long":
					time.AfterFunc(2*abortTime, func() { c.Write(answerTo(id, hello)) })
				case stdinEnds(p):
					c.Write(answerTo(id, hello))
				case p.Type == TypeAbortRequest && id != stuck:
					t.Errorf("ABORT_REQUEST for request %d, want %d", id, stuck)
				case p.Type == TypeAbortRequest && streams: // goes on all the same
					go func() {
						for {
							if _, err := c.Write(AppendStream(nil, TypeStdout, id, make([]byte, 100))); err != nil {
								return
							}
							time.Sleep(10 * time.Millisecond)
						}
					}()
				}
			})
		}
		client := &Client{IdleTimeout: -1, MaxSpillMemory: 1000, MaxSpill: 1000, Window: 100}
		withShared(t, client, 0, serve, func(t *testing.T, s *shared) {
			long := make(chan error, 1)
			go func() {
				body, err := s.do(get("/long"))
				if err == nil && body != "hello" {
					err = errors.New(body)
				}
				long <- err
			}()
			resp, err := client.RoundTrip(t.Context(), "unix", nowhere, get("/stuck"))
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			resp.Body.Close()
			if took := time.Since(start); took != 0 {
				t.Errorf("Close took %v", took)
			}
			time.Sleep(abortTime - time.Millisecond)
			s.hello(t)
			time.Sleep(2 * time.Millisecond)
			if _, err := s.do(get("/")); err == nil {
				t.Error("the connection gets more requests")
			}
			if err := <-long; err != nil {
				t.Errorf("the request beside it: %v", err)
			}
			synctest.Wait()
			if !s.conn.lost() {
				t.Error("the connection is open after its last request")
			}
			if m, f := client.spill.Memory(), client.spill.Files(); m+f != 0 {
				t.Errorf("%d bytes of memory and %d of files", m, f)
			}
		})
	}
}

// The time that one request takes is no matter of the others on its connection.
func TestTimeoutOnSharedConnection(t *testing.T) {
	for _, target := range []string{"/none", "/half"} {
		serve := func(c *appConn) {
			c.each("", func(p Piece, target string) {
				switch {
				case stdinEnds(p) && target == "/half":
					c.Write(AppendStream(nil, TypeStdout, p.ID, []byte("A: b\n\nhalf")))
				case stdinEnds(p) && target == "/":
					c.Write(answerTo(p.ID, hello))
				case p.Type == TypeAbortRequest:
					c.Write(AppendEndRequest(nil, p.ID, End{}))
				}
			})
		}
		client := &Client{FirstByteTimeout: 3 * time.Second, ReadTimeout: time.Second, IdleTimeout: -1}
		withShared(t, client, 0, serve, func(t *testing.T, s *shared) {
			want := map[string]time.Duration{"/none": 3 * time.Second, "/half": time.Second}[target]
			start := time.Now()
			ended := make(chan error, 1)
			go func() {
				_, err := s.do(get(target))
				ended <- err
			}()
			for range 5 {
				s.hello(t)
				time.Sleep(want / 7)
			}
			err := <-ended
			failed, ok := errors.AsType[*Error](err)
			if took := time.Since(start); !ok || !failed.Timeout() || failed.SafeToRetry || took != want {
				t.Errorf("%s: %v after %v, want a timeout after %v that is not retried", target, err, took, want)
			}
			synctest.Wait()
			s.hello(t)
			if n := s.conn.reserved; n != 0 {
				t.Errorf("%s: %d requests are counted on the connection, want none", target, n)
			}
		})
	}
}

// What is wrong with one answer is no matter of the others, unless the bytes
// after it cannot be trusted any more.
func TestBadAnswerOnSharedConnection(t *testing.T) {
	out := func(id uint16, s string) []byte { return AppendStream(nil, TypeStdout, id, []byte(s)) }
	tests := []struct {
		name   string
		answer func(id uint16) []byte
		stays  bool // the connection
	}{
		{"WINDOW_UPDATE of 1", func(id uint16) []byte {
			return AppendEndRequest(AppendWindowUpdate(nil, id, 1), id, End{Status: UnknownRole})
		}, true},
		{"bad head", func(id uint16) []byte { return out(id, "no head\x00\n\n") }, true},
		{"END in the head", func(id uint16) []byte { return AppendEndRequest(out(id, "A: "), id, End{}) }, true},
		{"UNKNOWN_ROLE", func(id uint16) []byte { return AppendEndRequest(nil, id, End{Status: UnknownRole}) }, true},
		{"unknown management record", func(id uint16) []byte {
			return append(AppendHeader(nil, 99, 0, 0, 0), AppendEndRequest(nil, id, End{Status: UnknownRole})...)
		}, true},
		{"a request that is not active", func(id uint16) []byte { return out(id+1, "A: b\n\n") }, false},
		{"one that is over", func(id uint16) []byte { return AppendEndRequest(AppendEndRequest(nil, id, End{}), id, End{}) }, false},
		{"STDOUT after its end", func(id uint16) []byte { return append(AppendEnd(out(id, "A: "), TypeStdout, id), out(id, "x")...) }, false},
		{"a record of the web server", func(id uint16) []byte { return AppendEnd(nil, TypeStdin, id) }, false},
		{"request id 0", func(uint16) []byte { return out(0, "A: b\n\n") }, false},
		{"END of 3 bytes", func(id uint16) []byte { return append(AppendHeader(nil, TypeEndRequest, id, 3, 0), 1, 2, 3) }, false},
		{"WINDOW_UPDATE of one that is over", func(id uint16) []byte {
			return AppendWindowUpdate(AppendEndRequest(nil, id, End{Status: UnknownRole}), id, 1)
		}, true},
		{"WINDOW_UPDATE of one that was never begun", func(id uint16) []byte {
			return AppendEndRequest(AppendWindowUpdate(nil, id+1, 1), id, End{Status: UnknownRole})
		}, true},
		{"STDOUT beyond its credit", func(id uint16) []byte { return out(id, "A: b\n\n"+strings.Repeat("x", 1000-5)) }, false},
		{"WINDOW_UPDATE of 3 bytes", func(id uint16) []byte { return append(AppendHeader(nil, TypeWindowUpdate, id, 3, 0), 1, 2, 3) }, false},
		{"WINDOW_UPDATE of 0", func(id uint16) []byte { return AppendWindowUpdate(nil, id, 0) }, false},
		{"too large a window", func(id uint16) []byte {
			return AppendWindowUpdate(AppendWindowUpdate(nil, id, maxWindow), id, maxWindow)
		}, false},
		{"version 2", func(uint16) []byte { return []byte{2, 6, 0, 1, 0, 0, 0, 0} }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			serve := func(c *appConn) {
				c.each("1000", func(p Piece, target string) {
					switch {
					case stdinEnds(p) && target == "/bad":
						c.Write(tt.answer(p.ID))
					case stdinEnds(p) && target == "/":
						c.Write(answerTo(p.ID, hello))
					case p.Type == TypeAbortRequest:
						c.Write(AppendEndRequest(nil, p.ID, End{}))
					}
				})
			}
			withShared(t, &Client{IdleTimeout: -1, Window: 1000}, 1000, serve, func(t *testing.T, s *shared) {
				other := make(chan error, 1)
				go func() {
					_, err := s.do(get("/other"))
					other <- err
				}()
				synctest.Wait()
				if body, err := s.do(get("/bad")); err == nil {
					t.Errorf("%q, want an error", body)
				}
				synctest.Wait()
				if s.usable() != tt.stays {
					t.Errorf("the connection stays: %v, want %v", !tt.stays, tt.stays)
				}
				if tt.stays {
					s.hello(t)
				} else if err := <-other; !errors.Is(err, ErrMalformed) {
					t.Errorf("the other request: %v, want ErrMalformed", err)
				}
				s.conn.close(ErrClosed)
				if tt.stays {
					<-other
				}
			})
		})
	}
}

// A request that is refused because its connection has another one is sent
// again on its own, with all of its body; if the body cannot be read again, it
// is for the caller to say what to do.
func TestRefusedWithBody(t *testing.T) {
	for name, tt := range map[string]struct {
		body cgi.Body
		ok   bool
	}{
		"no body":        {nil, true},
		"rewound":        {cgi.BytesBody([]byte("a body")), true},
		"cannot go back": {&once{Reader: strings.NewReader("a body")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			var own atomic.Int32
			gone := make(chan bool)
			a := startApp(t, func(n int, c *appConn) {
				if n > 0 {
					own.Add(1)
					_, body, _ := c.request()
					c.answer("A: b\n\n" + string(body))
					return
				}
				c.each("", func(p Piece, _ string) {
					if stdinEnds(p) {
						c.Write(AppendEndRequest(nil, p.ID, End{Status: CantMultiplex}))
					}
				})
				close(gone)
			})
			c, h := muxHost(t, &Client{}, a.addr)
			defer c.Close()
			r := get("/")
			want := ""
			if tt.body != nil {
				r, want = post(tt.body, 6), "a body"
			}
			_, got, err := fetch(t.Context(), c, a.addr, r)
			failed, refused := errors.AsType[*Error](err)
			if tt.ok && (err != nil || got != want) || !tt.ok && (!refused || !failed.Refused || !failed.SafeToRetry) {
				t.Errorf("%q, %v, want %q, or a refusal: %v", got, err, want, !tt.ok)
			}
			if n := own.Load() > 0; n != tt.ok {
				t.Errorf("sent again: %v, want %v", n, tt.ok)
			}
			if h.shareFor(get("/")) != 1 {
				t.Error("the application is still taken to multiplex")
			}
			select {
			case <-gone:
			case <-time.After(5 * time.Second):
				t.Error("the connection that was refused is still open")
			}
		})
	}
}

// An application that takes no more requests on a connection that several share
// gets them on another one, and the first one is used no more. If it refuses
// there, too, it is asked no more than that.
func TestOverloadedOnSharedConnection(t *testing.T) {
	for name, tt := range map[string]struct {
		body  cgi.Body
		first bool // it refuses on the first connection only
		ok    bool
	}{
		"one connection": {nil, true, true},
		"body rewound":   {cgi.BytesBody([]byte("a body")), true, true},
		"cannot go back": {&once{Reader: strings.NewReader("a body")}, true, false},
		"all":            {nil, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			var full atomic.Bool
			gone := make(chan bool)
			a := startApp(t, func(n int, c *appConn) {
				c.each("", func(p Piece, _ string) {
					switch {
					case !stdinEnds(p):
					case full.Load() && (n == 0 || !tt.first):
						c.Write(AppendEndRequest(nil, p.ID, End{Status: Overloaded}))
					default:
						c.Write(answerTo(p.ID, hello))
					}
				})
				if n == 0 {
					close(gone)
				}
			})
			c, _ := muxHost(t, &Client{}, a.addr)
			defer c.Close()
			hellos(t, c, a.addr, 1)
			full.Store(true)
			for i := range 10 {
				r := get("/")
				if tt.body != nil && i == 0 {
					r = post(tt.body, 6)
				}
				_, got, err := fetch(t.Context(), c, a.addr, r)
				failed, refused := errors.AsType[*Error](err)
				ok := tt.ok || tt.first && i > 0
				if ok && (err != nil || got != "hello") || !ok && (!refused || !failed.Refused || !failed.SafeToRetry) {
					t.Errorf("request %d: %q, %v, want an answer (%v) or a refusal", i, got, err, ok)
				}
			}
			// On a machine that takes seconds for this it may be another one.
			if n := a.conns.Load(); n < 2 || n > 2 && tt.first || n > 5 {
				t.Errorf("%d connections, want 2", n)
			}
			select {
			case <-gone:
			case <-time.After(5 * time.Second):
				t.Error("the connection that was refused is still open")
			}
		})
	}
}

// An answer that cannot be spilled is ended; the others go on, and nothing of
// it stays.
func TestSpillDirIsMissing(t *testing.T) {
	a := startStdMux(t)
	c := muxClient(t, &Client{SpillDir: "/nonexistent", MaxSpillMemory: 1 << 20}, a)
	resp, err := c.RoundTrip(t.Context(), "unix", a.addr, get("/big"))
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		hellos(t, c, a.addr, 20)
	}
	_, err = io.Copy(io.Discard, resp.Body)
	if !errors.Is(err, ErrSlowReader) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want ErrSlowReader, and why", err)
	}
	resp.Body.Close()
	hellos(t, c, a.addr, 20)
	if m, f := c.spill.Memory(), c.spill.Files(); m+f != 0 {
		t.Errorf("%d bytes of memory and %d of files at the end", m, f)
	}
}

// What has been spilled is given back in whatever way the answer ends.
func TestSpilledIsGivenBack(t *testing.T) {
	const size = 64 << 10
	for name, end := range map[string]func(s *shared, resp *cgi.Response, cancel func()){
		"closed":          func(_ *shared, resp *cgi.Response, _ func()) {},
		"cancelled":       func(_ *shared, resp *cgi.Response, cancel func()) { cancel() },
		"connection lost": func(s *shared, resp *cgi.Response, _ func()) { s.conn.close(io.EOF) },
		"client closed":   func(s *shared, resp *cgi.Response, _ func()) { s.client.Close() },
	} {
		for _, ended := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, ended %v", name, ended), func(t *testing.T) {
				serve := func(c *appConn) {
					c.each("", func(p Piece, _ string) {
						switch {
						case stdinEnds(p) && ended:
							c.Write(answerTo(p.ID, "A: b\n\n"+strings.Repeat("x", size)))
						case stdinEnds(p):
							c.Write(AppendStream(nil, TypeStdout, p.ID, []byte("A: b\n\n"+strings.Repeat("x", size))))
						case p.Type == TypeAbortRequest:
							c.Write(AppendEndRequest(nil, p.ID, End{}))
						}
					})
				}
				client := &Client{Window: 1000, MaxSpillMemory: size / 2, SpillDir: t.TempDir(), IdleTimeout: -1}
				withShared(t, client, 0, serve, func(t *testing.T, s *shared) {
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					resp, err := client.RoundTrip(ctx, "unix", nowhere, get("/"))
					if err != nil {
						t.Fatal(err)
					}
					synctest.Wait()
					if m, f := client.spill.Memory(), client.spill.Files(); m == 0 || m > size/2 || f == 0 {
						t.Errorf("%d bytes of memory and %d of files while nobody reads", m, f)
					}
					end(s, resp, cancel)
					synctest.Wait()
					resp.Body.Close()
					if m, f := client.spill.Memory(), client.spill.Files(); m+f != 0 {
						t.Errorf("%d bytes of memory and %d of files after Close", m, f)
					}
					if _, err := resp.Body.Read(make([]byte, 1)); err == nil || err == io.EOF {
						t.Errorf("Read after Close: %v", err)
					}
				})
			})
		}
	}
}

// The answer that an application has sent before it went is read, even if
// something is sent to it after that.
func TestAnswerBeforeTheClose(t *testing.T) {
	const size = 100 << 10
	hold, sent := make(chan bool), make(chan bool)
	a := startApp(t, func(n int, c *appConn) {
		c.request()
		c.Write(AppendStream(nil, TypeStdout, c.id, []byte("A: b\n\n")))
		<-hold
		b := AppendStream(nil, TypeStdout, c.id, make([]byte, size))
		c.Write(AppendEndRequest(b, c.id, End{}))
		c.Close()
		close(sent)
	})
	c, _ := muxHost(t, &Client{}, a.addr)
	defer c.Close()
	resp, err := c.RoundTrip(t.Context(), "unix", a.addr, get("/"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	x := (*exchange)(resp.Body.(*responseBody))
	x.mu.Lock() // holds the reader up before it has read all, as the answers of others would
	close(hold)
	<-sent
	x.c.out.add(func(dst []byte) []byte { return AppendHeader(dst, TypeAbortRequest, 999, 0, 0) })
	written := make(chan bool)
	go func() {
		x.c.out.flush()
		close(written)
	}()
	for broken := false; !broken; time.Sleep(time.Millisecond) {
		x.c.out.mu.Lock()
		broken = x.c.out.err != nil
		x.c.out.mu.Unlock()
	}
	time.Sleep(10 * time.Millisecond) // if that is too short for the close the test shows less, and passes
	x.mu.Unlock()
	if b, err := io.ReadAll(resp.Body); err != nil || len(b) != size {
		t.Errorf("%d bytes, %v, want %d", len(b), err, size)
	}
	<-written
}
