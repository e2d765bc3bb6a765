package fastcgi

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// What a tokenHandler does with a request.
const (
	tokenQuick   = "quick"
	tokenSlow    = "slow"   // the role of the driver passes on, now and then
	tokenEcho    = "echo"   // answers with the body
	tokenDeaf    = "deaf"   // never reads the body
	tokenLate    = "late"   // reads it late
	tokenFlush   = "flush"  // sends several pieces
	tokenStderr  = "stderr" // writes to STDERR, also when it has returned
	tokenContext = "context"
	tokenPanic   = "panic"
	tokenGoexit  = "goexit"
	tokenWait    = "wait"  // for ABORT_REQUEST
	tokenBreak   = "break" // a response that is broken
	tokenBurst   = "burst" // panics when some has been sent
)

var tokenKinds = []string{
	tokenQuick, tokenQuick, tokenQuick, tokenEcho, tokenEcho, tokenSlow, tokenDeaf, tokenLate, tokenFlush, tokenStderr,
	tokenContext, tokenPanic, tokenGoexit, tokenWait,
}

const oops = "Status: 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nInternal Server Error\n"

// A tokenHandler serves requests that each have a token of their own, in all
// their params and all over their body, and writes nothing else.
type tokenHandler struct {
	t    *testing.T
	late sync.WaitGroup // what goes on when a handler has returned
}

func (h *tokenHandler) ServeCGI(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	token, _ := r.Param("TOKEN")
	kind, _ := r.Param("KIND")
	if len(r.Header) != 1 || r.Header.Get("X-Token") != token || r.Target != "/"+token || len(r.Received) < 5 {
		h.t.Errorf("request %s is mixed with another: %+v", token, r)
	}
	nap := func() { time.Sleep(time.Duration(rand.IntN(3)) * time.Millisecond) }
	var body []byte
	if r.Body != nil && kind != tokenDeaf {
		if kind == tokenLate {
			nap()
		}
		var err error
		body, err = io.ReadAll(r.Body)
		if string(body) != strings.Repeat(token, len(body)/len(token)+1)[:len(body)] || err == nil && r.ContentLength >= 0 && int64(len(body)) != r.ContentLength {
			h.t.Errorf("request %s has %d bytes of a body, want %d: %.80q, %v", token, len(body), r.ContentLength, body, err)
		}
	}
	w.WriteHeader(200, cgi.Header{{Name: "X", Value: token}})
	switch kind {
	case tokenEcho:
		w.Write(body)
	case tokenSlow:
		nap()
		io.WriteString(w, token)
	case tokenFlush:
		for range 3 {
			io.WriteString(w, token)
			w.Flush()
		}
	case tokenStderr:
		e := cgi.Stderr(w)
		io.WriteString(e, token)
		h.late.Go(func() {
			for range 3 {
				if _, err := io.WriteString(e, token); err != nil {
					return
				}
				runtime.Gosched()
			}
		})
		io.WriteString(w, token)
	case tokenContext:
		derived, cancel := context.WithCancel(ctx)
		h.late.Go(func() {
			defer cancel()
			<-derived.Done() // or the test never ends
		})
		io.WriteString(w, token)
	case tokenPanic:
		panic("as handlers may")
	case tokenGoexit:
		runtime.Goexit()
	case tokenWait:
		<-ctx.Done()
	case tokenBreak:
		io.WriteString(w, token)
		w.Abort()
	case tokenBurst:
		w.Flush()
		panic("as handlers may")
	default:
		io.WriteString(w, token)
	}
}

// A tokenAsked is a request at the web server's end.
type tokenAsked struct {
	id       uint16
	kind     string
	token    string
	body     string
	rest     []string // records to be sent
	aborted  bool
	ordinal  int // on its connection
	out, err strings.Builder
}

func (q *tokenAsked) breaks() bool { return q.kind == tokenBreak || q.kind == tokenBurst }

// want is the whole of STDOUT, unless the request is aborted.
func (q *tokenAsked) want() string {
	head := "Status: 200 OK\r\nX: " + q.token + "\r\n\r\n"
	switch q.kind {
	case tokenEcho:
		return head + q.body
	case tokenFlush:
		return head + strings.Repeat(q.token, 3)
	case tokenPanic, tokenGoexit:
		return oops
	case tokenWait, tokenBurst:
		return head
	}
	return head + q.token
}

// A tokenConn is one connection of a web server, with some requests at a time.
type tokenConn struct {
	t    *testing.T
	nc   net.Conn
	rnd  *rand.Rand
	most int  // requests at a time
	flow bool // by our flow control

	mu       sync.Mutex // guards what follows
	changed  sync.Cond
	requests map[uint16]*tokenAsked
	closed   bool
	hungUp   bool // by us
}

// request makes the records of a request.
func (c *tokenConn) request(token string, ordinal int, breaking bool) *tokenAsked {
	q := &tokenAsked{token: token, kind: tokenKinds[c.rnd.IntN(len(tokenKinds))], ordinal: ordinal}
	if breaking && c.rnd.IntN(50) == 0 {
		q.kind = []string{tokenBreak, tokenBurst}[c.rnd.IntN(2)]
	}
	for q.id = 1; c.requests[q.id] != nil; q.id++ {
	}
	if c.rnd.IntN(2) == 0 {
		q.body = strings.Repeat(token, 3000)[:1+c.rnd.IntN([]int{10, 1000, 20_000}[c.rnd.IntN(3)])]
	}
	pairs := []string{"TOKEN", token, "KIND", q.kind, "REQUEST_URI", "/" + token, "HTTP_X_TOKEN", token}
	if q.body != "" || c.rnd.IntN(2) == 0 {
		pairs = append(pairs, "CONTENT_LENGTH", strconv.Itoa(len(q.body)))
	}
	params := recPairs("REQUEST_METHOD", "GET") + recPairs(pairs...)
	cut := c.rnd.IntN(len(params))
	q.rest = []string{
		recBegin(q.id, RoleResponder, true), recStream(TypeParams, q.id, params[:cut]), recStream(TypeParams, q.id, params[cut:]),
		recEnd(TypeParams, q.id), recStream(TypeStdin, q.id, q.body), recEnd(TypeStdin, q.id),
	}
	return q
}

// serve sends requests, a few records of one or the other at a time, and wants
// the answers. It reports how many were begun.
func (c *tokenConn) serve(name string, n int, breaking bool) (begun int) {
	c.changed.L = &c.mu
	c.requests = make(map[uint16]*tokenAsked)
	read := make(chan bool)
	go func() { defer close(read); c.read() }()
	defer func() {
		c.nc.Close()
		<-read
	}()
	if c.flow {
		io.WriteString(c.nc, recWindow(100))
	}
	hangUp := -1
	if breaking && c.rnd.IntN(4) == 0 {
		hangUp = 1 + c.rnd.IntN(n)
	}
	for {
		c.mu.Lock()
		for begun == n && len(c.requests) > 0 && !c.closed && !c.pending() {
			c.changed.Wait()
		}
		if c.hungUp = begun == hangUp; c.hungUp || c.closed || begun == n && len(c.requests) == 0 {
			c.mu.Unlock()
			return begun
		}
		if len(c.requests) < c.most && begun < n {
			q := c.request(fmt.Sprintf("<%s-%d>", name, begun), begun, breaking)
			c.requests[q.id] = q
			begun++
		}
		out := c.step()
		if out == "" {
			if len(c.requests) >= c.most && !c.pending() {
				c.changed.Wait()
			}
			c.mu.Unlock()
			continue
		}
		c.mu.Unlock()
		io.WriteString(c.nc, out) // an error is seen by read, too
	}
}

// pending reports whether there is anything to send. mu is held.
func (c *tokenConn) pending() bool {
	for _, q := range c.requests {
		if len(q.rest) > 0 || q.kind == tokenWait && !q.aborted {
			return true
		}
	}
	return false
}

// step returns what to send next. mu is held.
func (c *tokenConn) step() (out string) {
	for _, q := range c.requests { // in any order
		switch {
		case q.aborted:
			continue
		case len(q.rest) < 6 && c.rnd.IntN(60) == 0, len(q.rest) == 0 && q.kind == tokenWait:
			q.aborted, q.rest = true, nil
			out += recAbort(q.id)
			continue
		}
		for k := c.rnd.IntN(9); k > 0 && len(q.rest) > 0; k-- {
			out += q.rest[0]
			q.rest = q.rest[1:]
		}
	}
	return out
}

// read takes what the server sends to the end of the connection.
func (c *tokenConn) read() {
	var d Decoder
	b := make([]byte, 1<<16)
	for {
		n, err := c.nc.Read(b)
		for in := b[:n]; ; {
			p, rest, ok, err := d.Next(in)
			if err != nil {
				c.t.Errorf("malformed: %v", err)
				return
			}
			if !ok {
				break
			}
			in = rest
			c.take(p)
		}
		if err != nil {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	c.changed.Broadcast()
}

func (c *tokenConn) take(p Piece) {
	if p.ID == 0 || p.Type == TypeWindowUpdate {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	q := c.requests[p.ID]
	if q == nil {
		c.t.Errorf("%v of request %d, which is over", p.Type, p.ID)
		return
	}
	switch p.Type {
	case TypeStdout:
		q.out.Write(p.Content)
		if got, want := q.out.String(), q.want(); !strings.HasPrefix(want, got) && !strings.HasPrefix(oops, got) {
			c.t.Errorf("request %s (%s) is answered %.300q, want %.300q", q.token, q.kind, got, want)
		}
		if c.flow && len(p.Content) > 0 {
			io.WriteString(c.nc, recUpdate(q.id, uint32(len(p.Content))))
		}
	case TypeStderr:
		q.err.Write(p.Content)
		if all := q.err.String(); !strings.HasPrefix(strings.Repeat(q.token, len(all)), all) {
			c.t.Errorf("request %s has STDERR %q", q.token, all)
		}
	case TypeEndRequest:
		end, _ := ParseEnd(p.Content)
		if got := q.out.String(); end.Status == RequestComplete && !q.aborted && got != q.want() {
			c.t.Errorf("request %s (%s) ends with %.300q, want %.300q", q.token, q.kind, got, q.want())
		}
		if q.breaks() && !q.aborted && end.Status == RequestComplete {
			c.t.Errorf("request %s (%s) has END_REQUEST", q.token, q.kind)
		}
		if end.Status != RequestComplete {
			q.rest = nil
		}
		delete(c.requests, q.id)
		c.changed.Broadcast()
	}
}

// left checks what was not answered when the server closed the connection:
// what broke it, and what began after that.
func (c *tokenConn) left() {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := 1 << 30
	for _, q := range c.requests {
		if q.breaks() {
			first = min(first, q.ordinal)
		}
	}
	for _, q := range c.requests {
		if q.ordinal < first {
			c.t.Errorf("request %s (%s) was not answered, and the connection was closed", q.token, q.kind)
		}
	}
}

// Nothing of a request reaches another one, and each of them ends once:
// whatever the handlers do, and in whatever order the records come.
func TestServerTokens(t *testing.T) {
	total := 600
	if testing.Short() {
		total = 100
	}
	tests := []struct {
		name     string
		ahead    int // MaxBodyAhead
		most     int
		flow     bool
		breaking bool
	}{
		{"one at a time", 0, 1, false, false},
		{"one at a time, connections break", 0, 1, false, true},
		{"several", 0, 7, false, false},
		{"several, connections break", 0, 7, false, true},
		{"several, bodies in files", 10, 7, false, false},
		{"several, flow control", 0, 7, true, false},
		{"one at a time, flow control, connections break", 0, 1, true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := &tokenHandler{t: t}
			s := &Server{Handler: h, MaxBodyAhead: tt.ahead}
			l, err := Listen("unix:" + filepath.Join(socketDir(t), "a.sock"))
			if err != nil {
				t.Fatal(err)
			}
			served := make(chan error, 1)
			go func() { served <- s.Serve(l) }() // until Close
			var conns sync.WaitGroup
			for i := range 3 {
				conns.Go(func() {
					rnd := rand.New(rand.NewPCG(uint64(i), uint64(tt.most)))
					for k, begun := 0, 0; begun < total && !t.Failed(); k++ {
						nc, err := net.Dial("unix", l.Addr().String())
						if err != nil {
							t.Error(err)
							return
						}
						nc.SetDeadline(time.Now().Add(30 * time.Second))
						c := &tokenConn{t: t, nc: nc, rnd: rnd, most: tt.most, flow: tt.flow}
						n := c.serve(fmt.Sprintf("%d-%d", i, k), total-begun, tt.breaking)
						if begun += n; n == 0 || !tt.breaking && begun < total {
							t.Errorf("connection closed after %d of %d requests", begun, total)
						}
						if !c.hungUp {
							c.left()
						}
					}
				})
			}
			conns.Wait()
			if err := s.Shutdown(context.Background()); err != nil {
				t.Errorf("Shutdown = %v", err)
			}
			<-served
			h.late.Wait()
			if n := s.active.Load(); n != 0 {
				t.Errorf("%d requests counted at the end, want 0", n)
			}
			if m, f := s.limit.bodies.Memory(), s.limit.bodies.Files(); m+f != 0 {
				t.Errorf("%d bytes of memory and %d of files at the end, want none", m, f)
			}
		})
	}
}
