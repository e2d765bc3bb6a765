package fastcgi

import (
	"context"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// An app is a scripted application on a unix socket: serve is called with
// each connection, the first one being number 0.
type app struct {
	addr  string
	conns atomic.Int32
	wg    sync.WaitGroup
	l     net.Listener
}

func startApp(t *testing.T, serve func(n int, c *appConn)) *app {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", dir+"/a.sock")
	if err != nil {
		t.Fatal(err)
	}
	a := &app{addr: l.Addr().String(), l: l}
	a.wg.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			n := int(a.conns.Add(1)) - 1
			a.wg.Go(func() {
				defer nc.Close()
				nc.SetDeadline(time.Now().Add(20 * time.Second))
				serve(n, &appConn{Conn: nc})
			})
		}
	})
	t.Cleanup(func() { l.Close(); a.wg.Wait() })
	return a
}

// An appConn reads requests and writes what a test wants.
type appConn struct {
	net.Conn
	d   Decoder
	buf []byte
	id  uint16 // of the last request
}

// request reads one request to the end of its STDIN. It returns false at the
// end of the connection.
func (c *appConn) request() (params map[string]string, body []byte, ok bool) {
	var raw []byte
	for {
		p, err := c.piece()
		if err != nil {
			return nil, nil, false
		}
		switch {
		case p.Type == TypeParams && !p.Ends:
			raw = append(raw, p.Content...)
		case p.Type == TypeStdin && !p.Ends:
			body = append(body, p.Content...)
		case p.Type == TypeStdin:
			pairs, err := ParsePairs(raw, 0)
			if err != nil {
				panic(err)
			}
			params = make(map[string]string)
			for _, f := range pairs {
				params[f.Name] = f.Value
			}
			return params, body, true
		}
	}
}

func (c *appConn) piece() (Piece, error) {
	for {
		p, rest, ok, err := c.d.Next(c.buf)
		if err != nil {
			return p, err
		}
		if c.buf = rest; ok {
			if p.Type == TypeBeginRequest {
				c.id = p.ID
			}
			return p, nil
		}
		b := make([]byte, 4096)
		n, err := c.Read(b)
		if err != nil {
			return p, err
		}
		c.buf = b[:n]
	}
}

// answer writes a complete answer.
func (c *appConn) answer(stdout string) { c.Write(answerTo(c.id, stdout)) }

// answerBytes is an answer to the first request of a connection.
func answerBytes(stdout string) []byte { return answerTo(FirstRequestID, stdout) }

func answerTo(id uint16, stdout string) []byte {
	b := AppendStream(nil, TypeStdout, id, []byte(stdout))
	b = AppendEnd(b, TypeStdout, id)
	return AppendEndRequest(b, id, End{})
}

const hello = "Content-Type: text/plain\r\n\r\nhello"

// helloApp answers every request and keeps its connections.
func helloApp(n int, c *appConn) {
	for {
		if _, _, ok := c.request(); !ok {
			return
		}
		c.answer(hello)
	}
}

func get(target string) *cgi.Request {
	return &cgi.Request{Method: "GET", Target: target, Proto: "HTTP/1.1", Host: "example.org", ContentLength: -1}
}

func post(body cgi.Body, size int64) *cgi.Request {
	return &cgi.Request{Method: "POST", Target: "/", Proto: "HTTP/1.1", Host: "example.org", Body: body, ContentLength: size}
}

// fetch makes one request and reads the whole answer.
func fetch(ctx context.Context, c *Client, addr string, r *cgi.Request) (*cgi.Response, string, error) {
	resp, err := c.RoundTrip(ctx, "unix", addr, r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

func newClient(t *testing.T, c *Client) *Client {
	t.Cleanup(c.Close)
	return c
}
