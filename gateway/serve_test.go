package gateway

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/cgi/cgihttp"
	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/sluice-gateway/sluice/internal/testlog"
	"github.com/sluice-gateway/sluice/pool"
)

// A rig is a gateway between a real HTTP server and FastCGI over unix sockets.
type rig struct {
	t       testing.TB
	h       *Handler
	backend *Backend
	url     string
	log     *testlog.Buffer
}

// newRig makes a gateway that hands everything to the workers at addrs. edit
// may change it before it serves.
func newRig(t testing.TB, edit func(*rig), addrs ...string) *rig {
	t.Helper()
	client := &fastcgi.Client{DialTimeout: 2 * time.Second, FirstByteTimeout: time.Second, ReadTimeout: time.Second}
	g := &rig{t: t, log: new(testlog.Buffer)}
	p := pool.New(pool.Config{Name: "app", QueueTimeout: 200 * time.Millisecond})
	var workers pool.Static
	for _, a := range addrs {
		workers = append(workers, pool.Endpoint{Network: "unix", Address: a})
	}
	p.Watch(workers)
	g.backend = &Backend{Name: "app", Pool: p, Transport: client}
	g.h = &Handler{
		Routes: []Route{{Match: compile(t, ""), Backend: g.backend}},
		Log:    g.log.Logger(),
	}
	if edit != nil {
		edit(g)
	}
	srv := httptest.NewServer(&cgihttp.FrontEnd{Handler: g.h, Refuse: g.h.Refuse})
	g.url = srv.URL
	t.Cleanup(func() {
		srv.Close()
		p.Close()
		client.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return g
}

// do sends a request and reads the answer to its end.
func (g *rig) do(method, target string, body io.Reader, fields ...string) (*http.Response, string, error) {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, g.url+target, body)
	if err != nil {
		g.t.Fatal(err)
	}
	for i := 0; i < len(fields); i += 2 {
		r.Header.Set(fields[i], fields[i+1])
	}
	c := http.Client{Timeout: 20 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Do(r)
	if err != nil {
		g.t.Fatalf("%s %s: %v", method, target, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

// want sends a request and compares status and body; "" is any body.
func (g *rig) want(status int, content, method, target string, body io.Reader, fields ...string) *http.Response {
	g.t.Helper()
	resp, got, err := g.do(method, target, body, fields...)
	if err != nil {
		g.t.Errorf("%s %s: body: %v", method, target, err)
	}
	if resp.StatusCode != status || content != "" && got != content {
		g.t.Errorf("%s %s: %d %q, want %d %q\n%s", method, target, resp.StatusCode, got, status, content, g.log)
	}
	return resp
}

// logged wants one line of the log that has all the parts.
func (g *rig) logged(parts ...string) {
	g.t.Helper()
	if len(g.log.With(parts...)) > 0 {
		return
	}
	g.t.Errorf("no line of the log has all of %q:\n%s", parts, g.log)
}

// socket returns the path of a socket that is not there yet.
func socket(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s") // t.TempDir is too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir + "/s"
}

// worker starts an application and returns its address.
func worker(t testing.TB, h cgi.HandlerFunc) string {
	t.Helper()
	path := socket(t)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := &fastcgi.Server{Handler: h}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }() // until Close, which Cleanup calls
	t.Cleanup(func() {
		s.Close()
		<-ended
	})
	return path
}

// A scripted worker answers each request with bytes of the test's own.
type scripted struct {
	addr     string
	requests atomic.Int32
}

// script starts a worker that reads one request from each connection, writes
// what reply returns and closes. Without a reply it keeps quiet until the other side
// closes.
func script(t testing.TB, reply func(params map[string]string) []byte) *scripted {
	t.Helper()
	s := &scripted{addr: socket(t)}
	l, err := net.Listen("unix", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer nc.Close()
				nc.SetDeadline(time.Now().Add(10 * time.Second))
				params, ok := request(nc)
				if !ok {
					return
				}
				s.requests.Add(1)
				if b := reply(params); b != nil {
					nc.Write(b)
					return
				}
				io.Copy(io.Discard, nc)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		conns.Wait()
	})
	return s
}

// request reads one request to the end of its STDIN.
func request(nc net.Conn) (params map[string]string, ok bool) {
	var d fastcgi.Decoder
	var raw []byte
	params = make(map[string]string)
	buf := make([]byte, 4096)
	for {
		n, err := nc.Read(buf)
		if err != nil {
			return nil, false
		}
		for b := buf[:n]; ; {
			p, rest, more, err := d.Next(b)
			if err != nil {
				return nil, false
			}
			if !more {
				break
			}
			b = rest
			switch {
			case p.Type == fastcgi.TypeParams:
				raw = append(raw, p.Content...)
			case p.Type == fastcgi.TypeStdin && p.Ends:
				pairs, err := fastcgi.ParsePairs(raw, 0)
				for _, f := range pairs {
					params[f.Name] = f.Value
				}
				return params, err == nil
			}
		}
	}
}

// stdout returns the records of a complete answer.
func stdout(text string) []byte {
	b := fastcgi.AppendStream(nil, fastcgi.TypeStdout, 1, []byte(text))
	b = fastcgi.AppendEnd(b, fastcgi.TypeStdout, 1)
	return fastcgi.AppendEndRequest(b, 1, fastcgi.End{})
}
