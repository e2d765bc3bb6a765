package fastcgi

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// An application with one process serves one connection at a time. The one
// that we keep must not lock out a request that waits on another, even when no
// further request comes.
func TestIdleConnectionMakesRoom(t *testing.T) {
	process := make(chan bool, 1)
	queued := make(chan bool)
	a := startApp(t, func(n int, c *appConn) {
		if n == 1 {
			close(queued)
		}
		process <- true
		defer func() { <-process }()
		for {
			if _, _, ok := c.request(); !ok {
				return
			}
			if n == 0 {
				<-queued // so that this connection is kept while the other waits
			}
			c.answer(hello)
		}
	})
	c := newClient(t, &Client{FirstByteTimeout: 20 * time.Second, IdleTimeout: -1})
	ended := make(chan error)
	for range 2 {
		go func() {
			_, _, err := fetch(t.Context(), c, a.addr, get("/"))
			ended <- err
		}()
	}
	for range 2 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// The same if it is only asked about itself, whether the connection that is kept
// is one for several requests or for one at a time.
func TestIdleConnectionMakesRoomForQuestion(t *testing.T) {
	for name, c := range map[string]*Client{
		"own":    {IdleTimeout: -1},
		"shared": {IdleTimeout: -1, Multiplex: 8},
	} {
		t.Run(name, func(t *testing.T) {
			var process sync.Mutex
			a := startApp(t, func(_ int, c *appConn) {
				process.Lock()
				defer process.Unlock()
				c.each("", func(p Piece, _ string) {
					switch {
					case stdinEnds(p):
						c.Write(answerTo(p.ID, hello))
					case p.Type == TypeGetValues:
						c.Write(valuesResult(MpxsConn, "1"))
					}
				})
			})
			newClient(t, c)
			c.host("unix", a.addr).mux = multiplexing{state: muxYes, max: 8}
			for range 3 {
				hellos(t, c, a.addr, 1)
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				values, err := c.Values(ctx, "unix", a.addr, MpxsConn)
				if err != nil || len(values) != 1 {
					t.Errorf("Values = %v, %v", values, err)
				}
				cancel()
			}
		})
	}
}

// Of the connections that an application says it takes one is left to others.
func TestMaxConns(t *testing.T) {
	for _, tt := range []struct {
		says       string
		idle, most int // connections kept of 6; Client.MaxIdle
	}{
		{"", 6, 0}, {"0", 6, 0}, {"-3", 6, 0}, {"many", 6, 0}, {"1000", 6, 0},
		{"3", 2, 0}, {"3", 1, 1}, {"2", 1, 0}, {"1", 0, 0}, {"1", 0, 5}, {"3", 0, -1},
	} {
		var all sync.WaitGroup
		all.Add(6)
		var mu sync.Mutex
		asked := 0 // to keep the connection
		a := startApp(t, func(_ int, c *appConn) {
			for {
				switch p, err := c.piece(); {
				case err != nil:
					return
				case p.Type == TypeGetValues:
					c.Write(valuesResult(MaxConns, tt.says))
				case p.Type == TypeBeginRequest:
					if b, _ := ParseBegin(p.Content); b.KeepConn {
						mu.Lock()
						asked++
						mu.Unlock()
					}
				case stdinEnds(p):
					all.Done()
					all.Wait()
					c.answer(hello)
				}
			}
		})
		c := newClient(t, &Client{MaxIdle: tt.most, IdleTimeout: -1})
		if _, err := c.Values(t.Context(), "unix", a.addr, MaxConns); err != nil {
			t.Fatal(err)
		}
		hellos(t, c, a.addr, 6)
		h := c.host("unix", a.addr)
		h.mu.Lock()
		if n := len(h.idle); n > tt.idle || n == 0 && tt.idle > 0 {
			t.Errorf("FCGI_MAX_CONNS %q, MaxIdle %d: %d connections are kept, want %d", tt.says, tt.most, n, tt.idle)
		}
		h.mu.Unlock()
		if mu.Lock(); (asked == 0) != (tt.idle == 0) {
			t.Errorf("FCGI_MAX_CONNS %q, MaxIdle %d: asked %d times to keep the connection", tt.says, tt.most, asked)
		}
		mu.Unlock()
	}
}

// If it takes only one, a shared one is closed when nobody uses it.
func TestMaxConnsShared(t *testing.T) {
	withShared(t, &Client{IdleTimeout: -1}, 0, helloShared, func(t *testing.T, s *shared) {
		s.hello(t)
		synctest.Wait()
		if !s.usable() {
			t.Error("it is closed, though nothing is known of the application")
		}
		s.host.limit.Store(1)
		s.hello(t)
		synctest.Wait()
		if s.usable() {
			t.Error("it is open")
		}
	})
}

// The wait for an answer to GET_VALUES is bounded without the caller's doing.
func TestValuesTimeouts(t *testing.T) {
	for name, tt := range map[string]struct {
		serve func(c *appConn)
		want  time.Duration
		op    string
		again bool
		text  string
	}{
		"not read":     {func(*appConn) {}, time.Second, "send", true, "has not read GET_VALUES for 1s"},
		"not answered": {func(c *appConn) { c.piece() }, 3 * time.Second, "receive", false, "no answer to GET_VALUES for 3s"},
		"answered slowly": {func(c *appConn) {
			c.piece()
			for _, b := range valuesResult(MpxsConn, strings.Repeat("1", 1000)) {
				if _, err := c.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(time.Second / 2)
			}
		}, 3 * time.Second, "receive", false, "no answer to GET_VALUES for 3s"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				defer theirs.Close()
				var app sync.WaitGroup
				app.Go(func() { tt.serve(&appConn{Conn: theirs}) })
				defer app.Wait()
				c := &Client{WriteTimeout: time.Second, FirstByteTimeout: 3 * time.Second, IdleTimeout: -1,
					Dial: func(context.Context, string, string) (net.Conn, error) { return ours, nil }}
				defer c.Close()
				start := time.Now()
				_, err := c.Values(context.Background(), "unix", nowhere, MpxsConn)
				failed, ok := errors.AsType[*Error](err)
				if took := time.Since(start); !ok || failed.Op != tt.op || !failed.Timeout() || failed.SafeToRetry != tt.again || !strings.Contains(err.Error(), tt.text) || took != tt.want {
					t.Errorf("error %v after %v, want one of Op %s with %q after %v", err, took, tt.op, tt.text, tt.want)
				}
			})
		})
	}
}

// A client that is closed asks nothing.
func TestValuesOfClosedClient(t *testing.T) {
	c := &Client{}
	c.Close()
	_, err := c.Values(t.Context(), "unix", nowhere, MpxsConn)
	if failed, ok := errors.AsType[*Error](err); !ok || !errors.Is(err, ErrClosed) || failed.SafeToRetry {
		t.Errorf("error %v, want ErrClosed", err)
	}
}
