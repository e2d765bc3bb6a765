package fastcgi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A tokenApp gives each request its own token back, many times, and does much
// else that is allowed: pieces of every size, padding, STDERR, answers that come
// before the body, connections that end at any place. It never says what is not
// true.
type tokenApp struct {
	mux  bool
	dies int // one in so many answers is the last on its connection
}

const tokenTimes = 1500

func tokenBody(token string) string { return strings.Repeat(token+".", tokenTimes) }

func (a *tokenApp) serve(_ int, c *appConn) {
	var mu sync.Mutex // for writes, and what follows
	var answering sync.WaitGroup
	defer answering.Wait()
	defer c.Close()
	over := make(map[uint16]chan struct{}) // closed when a request is aborted
	write := func(b []byte) {
		mu.Lock()
		defer mu.Unlock()
		c.Write(b)
	}
	answer := func(id uint16, token string, aborted chan struct{}) {
		defer answering.Done()
		out := "Token: " + token + "\r\n\r\n" + tokenBody(token)
		die := rand.IntN(a.dies) == 0
		for len(out) > 0 {
			select {
			case <-aborted:
				out = ""
				continue
			default:
			}
			n := min(1+rand.IntN(1+rand.IntN(1<<15)), len(out))
			pad := uint8(rand.IntN(256))
			b := AppendHeader(nil, TypeStdout, id, uint16(n), pad)
			b = append(append(b, out[:n]...), make([]byte, pad)...)
			if rand.IntN(8) == 0 {
				b = AppendStream(b, TypeStderr, id, []byte("a warning\n"))
			}
			if die && rand.IntN(4) == 0 {
				write(b[:rand.IntN(len(b))])
				if tcp, ok := c.Conn.(interface{ CloseWrite() error }); ok && rand.IntN(2) == 0 {
					tcp.CloseWrite()
				}
				c.Close()
				return
			}
			write(b)
			out = out[n:]
			if rand.IntN(20) == 0 {
				time.Sleep(time.Duration(rand.IntN(300)) * time.Microsecond)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		delete(over, id)
		end := AppendEndRequest(AppendEnd(nil, TypeStdout, id), id, End{})
		if cut := rand.IntN(len(end)); rand.IntN(2) == 0 {
			c.Write(end[:cut])
			end = end[cut:]
		}
		c.Write(end)
		if die {
			c.Close()
		}
	}
	params := make(map[uint16][]byte)
	for {
		p, err := c.piece()
		if err != nil {
			mu.Lock()
			for _, aborted := range over {
				close(aborted)
			}
			clear(over)
			mu.Unlock()
			return
		}
		begin := false
		switch p.Type {
		case TypeGetValues:
			write(valuesResult(MpxsConn, map[bool]string{true: "1", false: "0"}[a.mux]))
		case TypeBeginRequest:
			params[p.ID] = nil
		case TypeParams:
			params[p.ID] = append(params[p.ID], p.Content...)
			begin = p.Ends && rand.IntN(4) == 0 // before the body
		case TypeStdin:
			begin = p.Ends
		case TypeAbortRequest:
			mu.Lock()
			if aborted := over[p.ID]; aborted != nil {
				close(aborted)
				delete(over, p.ID)
			} else if params[p.ID] != nil { // its answer had not begun
				c.Write(AppendEndRequest(nil, p.ID, End{}))
			}
			mu.Unlock()
			delete(params, p.ID)
		}
		raw := params[p.ID]
		if !begin || raw == nil {
			continue
		}
		delete(params, p.ID)
		token := ""
		pairs, _ := ParsePairs(raw, 0)
		for _, f := range pairs {
			if f.Name == "QUERY_STRING" {
				token = f.Value
			}
		}
		aborted := make(chan struct{})
		mu.Lock()
		if rand.IntN(200) == 0 {
			c.Write(AppendEndRequest(nil, p.ID, End{Status: Overloaded}))
			mu.Unlock()
			continue
		}
		over[p.ID] = aborted
		mu.Unlock()
		answering.Add(1)
		go answer(p.ID, token, aborted)
	}
}

// Whatever becomes of the other requests and of the connections, what a request
// gets is its own answer, or the beginning of it and an error. Nothing stays.
func TestTokens(t *testing.T) {
	requests := 600
	if testing.Short() {
		requests = 100
	}
	tests := []struct {
		name   string
		app    tokenApp
		client *Client
	}{
		{"own connections", tokenApp{false, 1 << 30}, &Client{}},
		{"own connections that die", tokenApp{false, 10}, &Client{}},
		{"shared", tokenApp{true, 1 << 30}, &Client{Multiplex: 20, AssumeMultiplex: true}},
		{"shared that die", tokenApp{true, 100}, &Client{Multiplex: 20}},
		{"shared, little room", tokenApp{true, 200}, &Client{Multiplex: 20, AssumeMultiplex: true, Window: 1, MaxSpillMemory: 100 << 10, MaxSpill: 200 << 10}},
		{"shared, small windows", tokenApp{true, 200}, &Client{Multiplex: 3, AssumeMultiplex: true, Window: 100, MaxSpillMemory: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			a := startApp(t, tt.app.serve)
			c := tt.client
			c.SpillDir, c.DialTimeout = t.TempDir(), -1
			defer c.Close()
			var next, whole, cut atomic.Int32
			var wg sync.WaitGroup
			for range 30 {
				wg.Go(func() {
					for n := next.Add(1); int(n) <= requests; n = next.Add(1) {
						switch err := tokenRequest(c, a.addr, fmt.Sprintf("t%05d", n)); {
						case err == nil:
							whole.Add(1)
						case errors.Is(err, errForeign):
							t.Error(err)
							return
						case !expected(err):
							t.Errorf("error %v, which nothing here explains", err)
							return
						default:
							cut.Add(1)
						}
					}
				})
			}
			wg.Wait()
			t.Logf("%d whole, %d with an error, %d connections", whole.Load(), cut.Load(), a.conns.Load())
			if whole.Load() < int32(requests)/4 {
				t.Errorf("only %d of %d answers were whole", whole.Load(), requests)
			}
			if m, f := c.spill.Memory(), c.spill.Files(); m+f != 0 {
				t.Errorf("%d bytes of memory and %d of files at the end", m, f)
			}
		})
	}
}

var (
	errForeign = errors.New("a foreign answer")
	errGivenUp = errors.New("given up")
)

// expected tells whether an error is one that the application, or we, have made.
func expected(err error) bool {
	for _, e := range []error{errGivenUp, ErrSlowReader, io.EOF, io.ErrUnexpectedEOF, syscall.EPIPE, syscall.ECONNRESET, ErrConnectionLost} {
		if errors.Is(err, e) {
			return true
		}
	}
	refused, ok := errors.AsType[*RefusedError](err)
	return ok && refused.Status == Overloaded
}

// tokenRequest makes one request and does with the answer what callers do.
func tokenRequest(c *Client, addr, token string) error {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	givesUp := rand.IntN(8) == 0
	if givesUp {
		defer time.AfterFunc(time.Duration(rand.IntN(3000))*time.Microsecond, func() { cancel(errGivenUp) }).Stop()
	}
	r := get("/?" + token)
	var body *closedBody
	if n := rand.IntN(3) * rand.IntN(40_000); n > 0 {
		body = &closedBody{Body: cgi.BytesBody(make([]byte, n))}
		r.Method, r.Body, r.ContentLength = "PUT", body, int64(n)
	}
	defer body.close()
	resp, err := c.RoundTrip(ctx, "unix", addr, r)
	if err != nil {
		return err
	}
	defer body.close()
	defer resp.Body.Close()
	if got := resp.Header.Get("Token"); got != token {
		return fmt.Errorf("%w: the head of %s for %s", errForeign, got, token)
	}
	want := tokenBody(token)
	var got bytes.Buffer
	switch rand.IntN(6) {
	case 0: // closes early
		_, err = io.CopyN(&got, resp.Body, rand.Int64N(int64(len(want))))
		if err == nil {
			err = errGivenUp
		}
	case 1: // slowly
		for err == nil {
			_, err = io.CopyN(&got, resp.Body, 1000)
			time.Sleep(100 * time.Microsecond)
		}
		if err == io.EOF {
			err = nil
		}
	default:
		_, err = io.Copy(&got, resp.Body)
	}
	if !strings.HasPrefix(want, got.String()) {
		i := 0
		for got.String()[i] == want[i] {
			i++
		}
		return fmt.Errorf("%w: %q at byte %d of %s", errForeign, got.String()[i:min(i+20, got.Len())], i, token)
	}
	if err == nil && got.Len() != len(want) {
		return fmt.Errorf("%w: %d bytes of %d for %s without an error", errForeign, got.Len(), len(want), token)
	}
	return err
}

// A closedBody panics if it is read after the end of its request.
type closedBody struct {
	cgi.Body
	closed atomic.Bool
}

func (b *closedBody) close() {
	if b != nil {
		b.closed.Store(true)
	}
}

func (b *closedBody) Read(p []byte) (int, error) {
	if b.closed.Load() {
		panic("the request body is read after the end of the request")
	}
	n, err := b.Body.Read(p[:min(len(p), 1+rand.IntN(10_000))])
	if rand.IntN(10) == 0 {
		time.Sleep(time.Duration(rand.IntN(200)) * time.Microsecond)
	}
	if b.closed.Load() {
		panic("the request body is read after the end of the request")
	}
	return n, err
}
