package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// serveFull accepts what waits at a full socket, and what comes after it, until
// the test ends. fill are those that said nothing.
func serveFull(t *testing.T, l net.Listener, fill []net.Conn, serve func(c *appConn)) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer nc.Close()
				serve(&appConn{Conn: nc})
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		for _, nc := range fill {
			nc.Close()
		}
		wg.Wait()
	})
}

// dialing waits until n requests are about to be connected.
func dialing(t *testing.T, h *host, n int) {
	t.Helper()
	for range 1000 {
		h.mu.Lock()
		d := h.mux.dial
		ready := d != nil && d.waiting >= n-1
		h.mu.Unlock()
		if ready {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("no requests wait for a connection")
}

// muxHost is a client that takes for granted that the application at addr, which
// it does not ask, can multiplex.
func muxHost(t *testing.T, c *Client, addr string) (*Client, *host) {
	c.Multiplex = 64
	c = newClient(t, c)
	h := c.host("unix", addr)
	h.mux = multiplexing{state: muxYes, max: 64}
	return c, h
}

// A connection that was being made when the client was closed, or when all
// connections were given up, is closed after the requests that have it.
func TestGivenUpWhileDialing(t *testing.T) {
	for name, giveUp := range map[string]func(c *Client, h *host){
		"closed":    func(c *Client, h *host) { c.Close() },
		"forgotten": func(c *Client, h *host) { h.forget(h.age) },
	} {
		t.Run(name, func(t *testing.T) {
			addr, l, fill := fullSocket(t)
			c, h := muxHost(t, &Client{IdleTimeout: -1}, addr)
			ended := make(chan error, 1)
			go func() {
				_, _, err := fetch(t.Context(), c, addr, get("/"))
				ended <- err
			}()
			dialing(t, h, 1)
			giveUp(c, h)
			gone := make(chan bool, 1)
			serveFull(t, l, fill, func(ac *appConn) {
				if _, _, ok := ac.request(); !ok {
					return
				}
				ac.answer(hello)
				ac.SetReadDeadline(time.Now().Add(5 * time.Second))
				_, err := ac.piece()
				gone <- !errors.Is(err, errTimeout(err))
			})
			if err := <-ended; err != nil {
				t.Errorf("the request under way: %v", err)
			}
			if !<-gone {
				t.Error("the connection is still open")
			}
		})
	}
}

// errTimeout returns err if it is a timeout.
func errTimeout(err error) error {
	if isTimeout(err) {
		return err
	}
	return context.Canceled // which it is not
}

// Requests that wait for the same connection wait no longer than one dial may
// take if it fails: they do not try one after the other.
func TestSharedDialFailsForAll(t *testing.T) {
	const requests, limit = 20, 100 * time.Millisecond
	addr, _, _ := fullSocket(t)
	c, _ := muxHost(t, &Client{DialTimeout: limit}, addr)
	var wg sync.WaitGroup
	start := time.Now()
	for range requests {
		wg.Go(func() {
			_, _, err := fetch(t.Context(), c, addr, get("/"))
			failed, ok := errors.AsType[*Error](err)
			if !ok || failed.Op != "dial" || !failed.Timeout() || !failed.SafeToRetry {
				t.Errorf("error %v, want a timeout of the dial that is safe to retry", err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(start); took > requests*limit/2 {
		t.Errorf("%d requests gave up after %v, want about %v", requests, took, limit)
	}
}

// That the one request which makes a connection is given up is no matter of
// those that wait for it.
func TestSharedDialGivenUp(t *testing.T) {
	addr, l, fill := fullSocket(t)
	c, h := muxHost(t, &Client{DialTimeout: 20 * time.Second}, addr)
	first, cancel := context.WithCancel(t.Context())
	errs := make(chan error, 1)
	go func() {
		_, _, err := fetch(first, c, addr, get("/"))
		errs <- err
	}()
	dialing(t, h, 1)
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() { hellos(t, c, addr, 1) })
	}
	second, cancelSecond := context.WithCancel(t.Context())
	go func() {
		_, _, err := fetch(second, c, addr, get("/"))
		errs <- err
	}()
	dialing(t, h, 12)
	cancelSecond()
	if err := <-errs; err != context.Canceled {
		t.Errorf("one that waits, and is given up: %v, want %v", err, context.Canceled)
	}
	cancel()
	if err := <-errs; err != context.Canceled {
		t.Errorf("the first request: %v, want %v", err, context.Canceled)
	}
	serveFull(t, l, fill, helloShared)
	wg.Wait()
	c.Close()
}

// A client that is closed while requests wait for a connection tells them so.
func TestClosedWhileOthersWait(t *testing.T) {
	addr, l, fill := fullSocket(t)
	c, h := muxHost(t, &Client{}, addr)
	errs := make(chan error, 10)
	for range cap(errs) {
		go func() {
			_, _, err := fetch(t.Context(), c, addr, get("/"))
			errs <- err
		}()
	}
	dialing(t, h, cap(errs))
	c.Close()
	serveFull(t, l, fill, helloShared)
	served := 0
	for range cap(errs) {
		switch err := <-errs; {
		case err == nil:
			served++
		case !errors.Is(err, ErrClosed):
			t.Errorf("error %v, want ErrClosed", err)
		}
	}
	if served > 1 {
		t.Errorf("%d requests were served, want at most the one that had begun to connect", served)
	}
}

// Close does not wait for an application that does not say whether it can
// multiplex.
func TestCloseEndsTheQuestion(t *testing.T) {
	a := startApp(t, helloApp) // takes no notice of GET_VALUES
	c := &Client{Multiplex: 8}
	hellos(t, c, a.addr, 1)
	start := time.Now()
	c.Close()
	if took := time.Since(start); took > askTimeout/2 {
		t.Errorf("Close took %v", took)
	}
}

// A network is a part of an address: both are known, and both are closed.
func TestSameAddressInTwoNetworks(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns atomic.Int32
	serveFull(t, l, nil, func(ac *appConn) {
		conns.Add(1)
		helloApp(0, ac)
	})
	c := &Client{}
	for range 3 {
		for _, network := range []string{"tcp", "tcp4"} {
			resp, err := c.RoundTrip(t.Context(), network, l.Addr().String(), get("/"))
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
	}
	var kept []*conn
	for _, h := range c.hosts {
		kept = append(kept, h.idle...)
	}
	c.Close()
	if n := conns.Load(); n != 2 || len(kept) != 2 {
		t.Errorf("%d connections, and %d of them kept, want 2", n, len(kept))
	}
	for _, cn := range kept {
		if !cn.lost() {
			t.Error("a connection is open after Close")
		}
	}
}

// The loss of a connection tells that those of its time may be lost, too, once:
// what has been made since is kept.
func TestForgetOnce(t *testing.T) {
	a := startApp(t, helloApp)
	c := newClient(t, &Client{})
	hellos(t, c, a.addr, 1)
	h := c.host("unix", a.addr)
	lost := h.age
	h.forget(lost)
	hellos(t, c, a.addr, 1)
	h.forget(lost) // another one of the same time
	hellos(t, c, a.addr, 1)
	if n := a.conns.Load(); n != 2 {
		t.Errorf("%d connections, want 2", n)
	}
}

// A filter's data is a part of what is sent after the head: if it is long, or
// cannot be read again, that counts like a body.
func TestFilterDataCounts(t *testing.T) {
	filter := func(data cgi.Body, n int64) *cgi.Request {
		r := get("/")
		r.Role, r.Data = cgi.Filter, &cgi.Data{Body: data, Length: n}
		return r
	}
	bytes := func(n int64) cgi.Body { return cgi.BytesBody(make([]byte, n)) }
	for name, tt := range map[string]struct {
		r     *cgi.Request
		share bool
		again bool
	}{
		"no data":         {get("/"), true, true},
		"short":           {filter(bytes(10), 10), true, true},
		"long":            {filter(bytes(sharedBody+1), sharedBody+1), false, true},
		"unknown length":  {filter(bytes(10), -1), false, true},
		"cannot go back":  {filter(&once{}, 10), true, false},
		"body long":       {post(bytes(sharedBody+1), sharedBody+1), false, true},
		"body just short": {post(bytes(sharedBody), sharedBody), true, true},
		"body once":       {post(&once{}, 10), true, false},
	} {
		h := &host{client: &Client{Multiplex: 8}, mux: multiplexing{state: muxYes, max: 8}}
		if share := h.shareFor(tt.r) > 1; share != tt.share {
			t.Errorf("%s: may share a connection: %v, want %v", name, share, tt.share)
		}
		if again := canSendAgain(tt.r); again != tt.again {
			t.Errorf("%s: can be sent again: %v, want %v", name, again, tt.again)
		}
	}
}

// Data that the application has not read may fill the socket, as a body does:
// the next request on the connection ends with its context all the same.
func TestUnreadDataFillsTheSocket(t *testing.T) {
	serve := func(k *kept, c *appConn) {
		for { // takes everything, and answers when it has seen the params
			p, err := c.piece()
			if err != nil {
				return
			}
			if p.Type == TypeData && p.Ends {
				c.answer(hello)
				<-k.resume // and reads no more
				return
			}
		}
	}
	withKept(t, &Client{WriteTimeout: time.Second, IdleTimeout: -1}, serve, func(t *testing.T, k *kept) {
		defer close(k.resume)
		r := get("/")
		r.Role, r.Data = cgi.Filter, &cgi.Data{Body: cgi.BytesBody([]byte("data")), Length: 4}
		if body, err := k.do(r); err != nil || body != "hello" {
			t.Fatalf("filter: %q, %v", body, err)
		}
		start := time.Now()
		_, err := k.do(get("/"))
		failed, ok := errors.AsType[*Error](err)
		if took := time.Since(start); !ok || !failed.Timeout() || took != time.Second {
			t.Errorf("error %v after %v, want a timeout after 1s", err, took)
		}
	})
}

// The requests of the other roles, and what they send, against our Server: a
// filter gets STDIN and DATA, whatever their size, and an authorizer no STDIN.
func TestRolesOverSharedConnection(t *testing.T) {
	s := &Server{MaxBodyAhead: 1000, Handler: &muxHandler{}, Authorizer: sums{}, Filter: sums{}}
	a := startMux(t, s)
	for name, c := range map[string]*Client{"own": newClient(t, &Client{}), "shared": muxClient(t, &Client{}, a)} {
		for _, stdin := range []int{-1, 0, 1, 999, 1000, 1001, 100_000} {
			for _, data := range []int{0, 1, 1000, 1001, 100_000} {
				r := get("/")
				r.Role = cgi.Filter
				want := "0 "
				if stdin >= 0 {
					r.Method, r.Body, r.ContentLength = "POST", cgi.BytesBody(make([]byte, stdin)), int64(stdin)
				}
				r.Data = &cgi.Data{Body: cgi.BytesBody(make([]byte, data)), Length: int64(data), ModTime: time.Unix(1e9, 0)}
				want = sumsOf(max(stdin, 0), data)
				if _, body, err := fetch(t.Context(), c, a.addr, r); err != nil || body != want {
					t.Errorf("%s, %d bytes of STDIN and %d of DATA: %q, %v, want %q", name, stdin, data, body, err, want)
				}
			}
		}
		r := get("/")
		r.Role = cgi.Authorizer
		r.Method, r.Body, r.ContentLength = "POST", &once{}, 10 // is not read
		if _, body, err := fetch(t.Context(), c, a.addr, r); err != nil || body != sumsOf(0, -1) {
			t.Errorf("%s, authorizer: %q, %v", name, body, err)
		}
	}
}

// sums answers with the sizes of what it was sent.
type sums struct{}

func (sums) ServeCGI(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	n, m := int64(0), int64(-1)
	if r.Body != nil {
		n, _ = io.Copy(io.Discard, r.Body)
	}
	if r.Data != nil {
		m, _ = io.Copy(io.Discard, r.Data.Body)
	}
	io.WriteString(w, sumsOf(int(n), int(m)))
}

func sumsOf(stdin, data int) string { return fmt.Sprintf("%d and %d", stdin, data) }
