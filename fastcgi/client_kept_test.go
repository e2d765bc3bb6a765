package fastcgi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A kept is a client with one connection that it has kept to an application.
// There is nowhere to connect to for another: a request that finds it gone
// fails.
type kept struct {
	client *Client
	start  time.Time
	lost   chan time.Duration // when the application lost the connection, since start
	resume chan struct{}      // the application may wait for it
}

const nowhere = "/nonexistent/s"

// withKept runs a test on a clock of its own.
func withKept(t *testing.T, client *Client, serve func(k *kept, c *appConn), test func(t *testing.T, k *kept)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		k := &kept{client: client, start: time.Now(), lost: make(chan time.Duration, 1), resume: make(chan struct{})}
		ours, theirs := net.Pipe()
		h := client.host("unix", nowhere)
		h.keeping.seen = true
		c := h.newConn(ours, 1, h.age, true)
		c.answers.Store(1)
		c.reserved = 0
		if !h.put(c) {
			t.Fatal("the connection is not kept")
		}
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			serve(k, &appConn{Conn: theirs})
			k.lost <- time.Since(k.start)
			theirs.Close()
		}()
		defer func() { // a Fatal must not leave the bubble with goroutines
			client.Close()
			ours.Close() // if it was not kept in the end
			<-ended
			c.wait()
		}()
		test(t, k)
	})
}

func (k *kept) do(r *cgi.Request) (string, error) {
	_, body, err := fetch(context.Background(), k.client, nowhere, r)
	return body, err
}

// closeEarly makes a request and closes the body of the answer unread.
func (k *kept) closeEarly(t *testing.T) {
	t.Helper()
	resp, err := k.client.RoundTrip(context.Background(), "unix", nowhere, get("/"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
}

// lostAfter wants the application to lose its connection at a time.
func (k *kept) lostAfter(t *testing.T, want time.Duration) {
	t.Helper()
	select {
	case got := <-k.lost:
		if got != want {
			t.Errorf("closed after %v, want %v", got, want)
		}
	case <-time.After(time.Hour):
		t.Error("still open after an hour")
	}
}

func helloKept(_ *kept, c *appConn) { helloApp(0, c) }

// A connection is closed when it has not been used from one look at it to the
// next.
func TestIdleConnectionsExpire(t *testing.T) {
	const look = 10 * time.Second
	for name, tt := range map[string]struct {
		uses []time.Duration // one after the other
		want time.Duration   // when it is closed
	}{
		"not used":       {nil, 2 * look},
		"used once":      {[]time.Duration{9 * time.Second}, 2 * look},
		"used in time":   {[]time.Duration{15 * time.Second}, 3 * look},
		"used for long":  {[]time.Duration{15 * time.Second, 10 * time.Second, 10 * time.Second}, 5 * look},
		"used just then": {[]time.Duration{19 * time.Second}, 3 * look},
	} {
		t.Run(name, func(t *testing.T) {
			withKept(t, &Client{IdleTimeout: look}, helloKept, func(t *testing.T, k *kept) {
				for _, pause := range tt.uses {
					time.Sleep(pause)
					if body, err := k.do(get("/")); err != nil || body != "hello" {
						t.Fatalf("after %v: %q, %v", time.Since(k.start), body, err)
					}
				}
				k.lostAfter(t, tt.want)
			})
		})
	}
}

// Processes come and go, each at an address of its own: one that is not used any
// more is forgotten, and not while an answer is being read.
func TestAddressesAreForgotten(t *testing.T) {
	const look = 10 * time.Second
	synctest.Test(t, func(t *testing.T) {
		var apps sync.WaitGroup
		client := &Client{IdleTimeout: look, ReadTimeout: -1, Dial: func(_ context.Context, _, address string) (net.Conn, error) {
			if address == nowhere {
				return nil, io.EOF
			}
			ours, theirs := net.Pipe()
			c := &appConn{Conn: theirs}
			apps.Go(func() {
				if address == "slow" {
					c.request()
					c.Write(AppendStream(nil, TypeStdout, c.id, []byte(hello)))
				}
				helloApp(0, c)
			})
			return ours, nil
		}}
		defer apps.Wait()
		defer client.Close()
		start := time.Now()
		known := func() int {
			client.mu.Lock()
			defer client.mu.Unlock()
			return len(client.hosts)
		}
		fetch(t.Context(), client, nowhere, get("/"))
		fetch(t.Context(), client, "quick", get("/"))
		resp, err := client.RoundTrip(t.Context(), "unix", "slow", get("/"))
		if err != nil {
			t.Fatal(err)
		}
		for _, tt := range []struct {
			after time.Duration
			want  int
		}{
			{look - 1, 3},
			{2*look + 1, 2}, // the one without a connection
			{5 * look, 1},   // its connection has expired
			{20 * look, 1},  // for there is still an answer
		} {
			time.Sleep(tt.after - time.Since(start))
			if n := known(); n != tt.want {
				t.Errorf("after %v: %d addresses are known, want %d", tt.after, n, tt.want)
			}
		}
		resp.Body.Close()
		time.Sleep(5 * look)
		if n := known(); n != 0 || client.sweep != nil {
			t.Errorf("%d addresses are known, and the next look is %v", n, client.sweep)
		}
	})
}

// Behind an address whose connections were lost may be another application.
func TestWhatIsLearntIsForgotten(t *testing.T) {
	client := &Client{IdleTimeout: -1}
	h := client.host("unix", nowhere)
	h.keeping.seen = true
	h.echoes.Store(true)
	h.forget(h.age + 1)
	if !h.keeping.seen || !h.echoes.Load() {
		t.Error("forgotten for a connection of another age")
	}
	h.forget(h.age)
	if h.keeping.seen || h.echoes.Load() {
		t.Error("not forgotten")
	}
}

// The deadlines of one request are not those of the next on its connection.
func TestKeptConnectionHasNoDeadline(t *testing.T) {
	t.Run("for writing", func(t *testing.T) {
		withKept(t, &Client{WriteTimeout: time.Second, IdleTimeout: -1}, helloKept, func(t *testing.T, k *kept) {
			for _, r := range []*cgi.Request{post(cgi.BytesBody([]byte("body")), 4), get("/")} {
				if body, err := k.do(r); err != nil || body != "hello" {
					t.Fatalf("%s: %q, %v", r.Method, body, err)
				}
				time.Sleep(time.Minute)
			}
		})
	})
	t.Run("for reading", func(t *testing.T) {
		serve := func(_ *kept, c *appConn) {
			c.request()
			b := answerTo(c.id, hello)
			c.Write(b[:len(b)-20])
			time.Sleep(drainTime / 2) // the rest comes when nobody waits for it, but in time
			c.Write(b[len(b)-20:])
			helloApp(0, c)
		}
		withKept(t, &Client{IdleTimeout: -1}, serve, func(t *testing.T, k *kept) {
			k.closeEarly(t)
			time.Sleep(time.Minute)
			if body, err := k.do(get("/")); err != nil || body != "hello" {
				t.Errorf("the next request: %q, %v", body, err)
			}
		})
	})
}

// The rest of an answer that nobody wants is read for drainTime.
func TestDrainTime(t *testing.T) {
	serve := func(_ *kept, c *appConn) {
		c.request()
		c.Write(AppendStream(nil, TypeStdout, c.id, []byte(hello)))
		c.piece() // blocks until the connection is closed
	}
	withKept(t, &Client{IdleTimeout: -1}, serve, func(t *testing.T, k *kept) {
		k.closeEarly(t)
		k.lostAfter(t, drainTime)
	})
}

// Of the rest of an answer that nobody wants, drainBytes are read.
func TestDrainBytes(t *testing.T) {
	const piece = 4 << 10
	for _, rest := range []int{drainBytes - piece, drainBytes, drainBytes + piece, 1 << 20} {
		written := 0
		serve := func(k *kept, c *appConn) {
			c.request()
			c.Write(AppendStream(nil, TypeStdout, c.id, []byte("A: b\n\n")))
			<-k.resume
			for ; written < rest; written += piece {
				if _, err := c.Write(AppendStream(nil, TypeStdout, c.id, make([]byte, piece))); err != nil {
					return
				}
			}
			c.Write(AppendEndRequest(nil, c.id, End{}))
			helloApp(0, c)
		}
		withKept(t, &Client{IdleTimeout: -1}, serve, func(t *testing.T, k *kept) {
			k.closeEarly(t)
			close(k.resume)
			synctest.Wait()
			if _, err := k.do(get("/")); (err == nil) != (rest <= drainBytes) {
				t.Errorf("%d bytes: the next request on the connection: %v", rest, err)
			}
		})
		if written > drainBytes+2*piece {
			t.Errorf("%d bytes: %d were read, want about %d", rest, written, drainBytes)
		}
	}
}

// A connection that was lost before anything was sent on it is replaced, with
// the body that has not been touched.
func TestLostBeforeAnythingWasSent(t *testing.T) {
	hold := make(chan struct{})
	a := startApp(t, func(n int, c *appConn) {
		for {
			_, body, ok := c.request()
			if !ok {
				break
			}
			c.answer("A: b\n\n" + string(body))
		}
		if n == 0 {
			<-hold // closes no sooner, so that the client can find out only by writing
		}
	})
	defer close(hold)
	client := newClient(t, &Client{})
	if _, _, err := fetch(t.Context(), client, a.addr, get("/")); err != nil {
		t.Fatal(err)
	}
	h := client.host("unix", a.addr)
	h.mu.Lock()
	err := h.idle[0].nc.(*net.UnixConn).CloseWrite()
	h.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	once := &once{Reader: strings.NewReader("a body")}
	if _, got, err := fetch(t.Context(), client, a.addr, post(once, 6)); err != nil || got != "a body" {
		t.Errorf("fetch = %q, %v, want the whole body", got, err)
	}
	if n := a.conns.Load(); n != 2 {
		t.Errorf("connections = %d, want 2", n)
	}
}

// A once is a body that can be read once.
type once struct{ io.Reader }

func (*once) Cancel() {}

// An application that does not read is slow and has not closed its connection:
// nothing is sent again, and the error does not call it stale.
func TestSlowIsNotStale(t *testing.T) {
	serve := func(k *kept, _ *appConn) { <-k.resume }
	withKept(t, &Client{WriteTimeout: time.Second, IdleTimeout: -1}, serve, func(t *testing.T, k *kept) {
		defer close(k.resume)
		r := get("/")
		r.Header = cgi.Header{{Name: "X", Value: strings.Repeat("x", 2*surelyTaken)}}
		_, err := k.do(r)
		failed, ok := errors.AsType[*Error](err)
		if !ok || failed.Op != "send" || failed.Sent != 0 || !failed.Timeout() || failed.Stale {
			t.Errorf("error %v, want a timeout in sending that is not stale", err)
		}
	})
}

// An application that does not read a request body is given up after
// WriteTimeout, and not only when its answer is overdue.
func TestBodyIsNotRead(t *testing.T) {
	serve := func(k *kept, c *appConn) {
		for {
			if p, err := c.piece(); err != nil || p.Type == TypeParams && p.Ends {
				break
			}
		}
		<-k.resume
	}
	withKept(t, &Client{WriteTimeout: time.Second, IdleTimeout: -1}, serve, func(t *testing.T, k *kept) {
		defer close(k.resume)
		_, err := k.do(post(cgi.BytesBody(make([]byte, 1<<20)), 1<<20))
		failed, ok := errors.AsType[*Error](err)
		if took := time.Since(k.start); !ok || !failed.Timeout() || failed.SafeToRetry || took != time.Second {
			t.Errorf("error %v after %v, want a timeout after 1s that is not retried", err, took)
		}
	})
}

// The end of STDIN leaves with the last bytes of a body whose length is known:
// an application that answers when it has those must not overtake it.
func TestEndOfStdinLeavesWithTheLastBytes(t *testing.T) {
	for _, size := range []int{1, 10, sendBuffer, sendBuffer + 10} {
		var last []byte
		serve := func(_ *kept, c *appConn) {
			var d Decoder
			buf := make([]byte, 2*sendBuffer) // a pipe gives one write as one read, if it fits
			for stdin, ended := 0, false; !ended; {
				n, err := c.Read(buf)
				if err != nil {
					return
				}
				last = append([]byte(nil), buf[:n]...)
				for b := buf[:n]; ; {
					p, rest, ok, err := d.Next(b)
					if !ok || err != nil {
						break
					}
					if b = rest; p.Type == TypeStdin {
						stdin += len(p.Content)
						ended = p.Ends
					}
				}
				if ended && stdin != size {
					t.Errorf("%d bytes of STDIN, want %d", stdin, size)
				}
			}
			c.id = FirstRequestID
			c.answer(hello)
			helloApp(0, c)
		}
		withKept(t, &Client{IdleTimeout: -1}, serve, func(t *testing.T, k *kept) {
			if _, err := k.do(post(cgi.BytesBody(make([]byte, size)), int64(size))); err != nil {
				t.Error(err)
			}
		})
		n := (size-1)%sendBuffer + 1
		want := AppendEnd(append(AppendHeader(nil, TypeStdin, 1, uint16(n), 0), make([]byte, n)...), TypeStdin, 1)
		if !bytes.Equal(last, want) {
			t.Errorf("body of %d bytes: the last write has %d bytes, want %d: the last %d of the body and the end", size, len(last), len(want), n)
		}
	}
}

// Nothing is kept to an application that has ended: neither what is idle, nor
// what carries a request, which a successor may have accepted.
func TestForget(t *testing.T) {
	t.Run("idle", func(t *testing.T) {
		withKept(t, &Client{}, helloKept, func(t *testing.T, k *kept) {
			k.client.Forget("unix", nowhere+"/another")
			time.Sleep(time.Second)
			k.client.Forget("unix", nowhere)
			k.lostAfter(t, time.Second)
		})
	})
	t.Run("in use", func(t *testing.T) {
		withKept(t, &Client{IdleTimeout: -1}, func(k *kept, c *appConn) { <-k.resume; helloKept(k, c) }, func(t *testing.T, k *kept) {
			got := make(chan error, 1)
			go func() { _, err := k.do(get("/")); got <- err }()
			synctest.Wait()
			k.client.Forget("unix", nowhere)
			time.Sleep(time.Second)
			close(k.resume)
			if err := <-got; err != nil {
				t.Errorf("a request under way: %v", err)
			}
			k.lostAfter(t, time.Second)
		})
	})
}

// Who waits for an application gets the place of a connection that nobody uses.
func TestWaiting(t *testing.T) {
	withKept(t, &Client{IdleTimeout: -1}, helloKept, func(t *testing.T, k *kept) {
		over := k.client.Waiting("unix", nowhere)
		defer over()
		k.lostAfter(t, stallTime)
	})
	withKept(t, &Client{IdleTimeout: -1}, helloKept, func(t *testing.T, k *kept) {
		k.client.Waiting("unix", nowhere)() // for less than stallTime
		time.Sleep(time.Hour)
		if _, err := k.do(get("/")); err != nil {
			t.Errorf("on the kept connection: %v", err)
		}
	})
}
