package gateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/sluice-gateway/sluice/pool"
)

func hello(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
	w.WriteHeader(200, cgi.Header{{Name: "Content-Type", Value: "text/plain"}})
	w.Write([]byte("hello"))
}

// What workers do wrong, and what a client and the operator are told.
func TestBadWorkers(t *testing.T) {
	head := "Content-Type: text/plain\r\n\r\n"
	half := fastcgi.AppendStream(nil, fastcgi.TypeStdout, 1, []byte(head+"half"))
	tests := []struct {
		name   string
		reply  []byte // nil: never
		status int
		err    string // part of what is logged
	}{
		{"closes at once", []byte{}, 502, "EOF"},
		{"closes within a record", half[:len(half)-20], 502, "EOF"},
		{"answers nothing", stdout(""), 502, "err="},
		{"never answers", nil, 504, "no answer for 1s"},
		{"wrong request id", []byte("\x01\x06\x00\x07\x00\x04\x00\x00abcd\x01\x03\x00\x07\x00\x08\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 502, "7"},
		{"wrong version", []byte("\x02\x06\x00\x01\x00\x00\x00\x00"), 502, "version 2"},
		{"speaks HTTP", []byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), 502, "version"},
		{"refuses: overloaded", fastcgi.AppendEndRequest(nil, 1, fastcgi.End{Status: fastcgi.Overloaded}), 503, "OVERLOADED"},
		{"head without an end", stdout("Content-Type: text/plain\r\n"), 502, "head"},
		{"head of nonsense", stdout("\x00\x01nonsense\r\n\r\n"), 502, "malformed"},
		{"two lengths", stdout("Content-Length: 1\r\nContent-Length: 2\r\n\r\n"), 502, "malformed"},
		{"transfer-encoding", stdout("Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 502, "malformed"},
		{"status of nonsense", stdout("Status: hello\r\n\r\n"), 502, "malformed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := script(t, func(map[string]string) []byte { return tt.reply })
			g := newRig(t, nil, w.addr)
			resp := g.want(tt.status, "", "POST", "/secret-path?secret-query", strings.NewReader("a body"))
			if n := w.requests.Load(); n != 1 {
				t.Errorf("the worker was asked %d times for a POST, want once", n)
			}
			g.logged("level=ERROR", "status="+resp.Status[:3], "backend=app", "worker=unix:"+w.addr, tt.err, "hint=", "path=/secret-path")
			if strings.Contains(g.log.String(), "secret-query") {
				t.Error("the query is in the log")
			}
			// The gateway lives. (A POST could meet the connection that the
			// worker is just closing.)
			g.want(tt.status, "", "GET", "/", nil)
		})
	}
}

func TestNobodyListens(t *testing.T) {
	g := newRig(t, nil, socket(t))
	g.want(502, "", "GET", "/", nil)
	g.logged("request failed", "backend=app", "worker=unix:", "no such file", "sluice ping")
}

func TestAnotherWorkerIsAsked(t *testing.T) {
	tests := []struct {
		name, method string
		reply        []byte
		status       int
	}{
		{"GET, closed without an answer", "GET", []byte{}, 200},
		{"POST, closed without an answer", "POST", []byte{}, 502}, // it may have been done
		{"POST, refused", "POST", fastcgi.AppendEndRequest(nil, 1, fastcgi.End{Status: fastcgi.Overloaded}), 200},
		{"GET, closed after the head", "GET", fastcgi.AppendStream(nil, fastcgi.TypeStdout, 1, []byte("A: b\r\n")), 502},
		{"GET, nonsense", "GET", stdout("nonsense\r\n\r\n"), 502},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bad := script(t, func(map[string]string) []byte { return tt.reply })
			good := worker(t, hello)
			g := newRig(t, nil, bad.addr, good)
			g.want(tt.status, "", tt.method, "/", nil)
			if bad.requests.Load() == 0 {
				t.Error("the bad worker was not asked: the test shows nothing")
			}
			if tt.status == 200 {
				g.logged("level=WARN", "asking again", "backend=app", "worker=unix:"+bad.addr)
			}
		})
	}
}

func TestDeadWorkerIsPassedOver(t *testing.T) {
	g := newRig(t, nil, socket(t), worker(t, hello))
	for range 3 {
		g.want(200, "hello", "POST", "/", strings.NewReader("a body")) // nothing had been sent
	}
}

// A request that ends every worker must not end all of them.
func TestAttemptsAreBounded(t *testing.T) {
	var all []*scripted
	var addrs []string
	for range 5 {
		w := script(t, func(map[string]string) []byte { return []byte{} })
		all, addrs = append(all, w), append(addrs, w.addr)
	}
	g := newRig(t, nil, addrs...)
	g.want(502, "", "GET", "/", nil)
	asked := 0
	for _, w := range all {
		asked += int(w.requests.Load())
	}
	if asked != maxAttempts {
		t.Errorf("%d workers were asked, want %d", asked, maxAttempts)
	}
}

// A request is not to blame for workers that somebody kills; but neither goes it
// to all of them.
func TestKilledWorkersAreBounded(t *testing.T) {
	for _, tt := range []struct {
		lose   int // of five workers
		killed bool
		status int
		asked  int
	}{
		{3, true, 200, 4},
		{5, true, 502, maxAttempts + maxKilled},
		{5, false, 502, maxAttempts},
	} {
		var addrs []string
		var asked atomic.Int64
		for range 5 {
			w := script(t, func(map[string]string) []byte {
				if asked.Add(1) <= int64(tt.lose) {
					return []byte{}
				}
				return stdout("Content-Type: text/plain\r\n\r\nhello")
			})
			addrs = append(addrs, w.addr)
		}
		g := newRig(t, nil, addrs...)
		g.backend.Killed = func(_ context.Context, at pool.Endpoint, since time.Time) bool {
			if since.IsZero() || !slices.Contains(addrs, at.Address) {
				t.Errorf("it is asked of %v since %v", at, since)
			}
			return tt.killed
		}
		g.want(tt.status, "", "GET", "/", nil)
		if n := int(asked.Load()); n != tt.asked {
			t.Errorf("%+v: %d workers were asked", tt, n)
		}
	}
}

// Workers that refuse a request have not been ended by it; but they are not all
// asked, either.
func TestRefusalsAreBounded(t *testing.T) {
	for _, tt := range []struct{ refuse, status, asked int }{
		{3, 200, 3},
		{4, 200, 4},
		{5, 503, 5},
		{6, 503, 5},
	} {
		t.Run(fmt.Sprint(tt.refuse), func(t *testing.T) {
			asked := 0
			g := answers(t, func(_ context.Context, _, address string, _ *cgi.Request) (*cgi.Response, error) {
				if asked == tt.refuse {
					return answer(1), nil
				}
				asked++
				return nil, &fastcgi.Error{Op: "answer", Addr: address, Err: errors.New("overloaded"), Refused: true, SafeToRetry: true}
			}, "/a", "/b", "/c", "/d", "/e", "/f", "/g")
			p := new(paper)
			g.h.ServeCGI(t.Context(), p, get("/"))
			if p.status != tt.status || asked != tt.asked {
				t.Errorf("status %d after %d refusals, want %d after %d", p.status, asked, tt.status, tt.asked)
			}
		})
	}
}

// A client that finds the queue full, or has waited as long as it may, is told
// when to come again.
func TestNoWorker(t *testing.T) {
	tests := []struct {
		name   string
		config pool.Config
		ahead  int // requests that wait already
		logged string
	}{
		{"in time", pool.Config{Name: "app", QueueTimeout: time.Millisecond}, 0, "no worker in 1ms"},
		{"queue full", pool.Config{Name: "app", MaxQueue: 2}, 2, "is full: 2 requests wait"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := pool.New(tt.config)
			defer p.Close()
			var ahead sync.WaitGroup
			defer ahead.Wait()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			for range tt.ahead {
				ahead.Go(func() { p.Acquire(ctx, 0, nil) })
			}
			for p.Load().Queued < tt.ahead {
				runtime.Gosched()
			}
			g := newRig(t, func(g *rig) { g.backend.Pool = p })
			resp := g.want(503, "", "GET", "/", nil)
			if got := resp.Header.Get("Retry-After"); got != retryAfter {
				t.Errorf("Retry-After is %q, want %q", got, retryAfter)
			}
			g.logged("request failed", "status=503", "backend=app", tt.logged)
		})
	}
}

// Where it is known when there may be a worker again, the client is told, and
// the operator why there is none.
func TestNoWorkerForLong(t *testing.T) {
	p := pool.New(pool.Config{Name: "app"})
	defer p.Close()
	p.Expect(pool.Outlook{Next: time.Now().Add(90 * time.Second), Err: errors.New("exit status 7")})
	g := newRig(t, func(g *rig) { g.backend.Pool = p })
	resp := g.want(503, "", "GET", "/", nil)
	if got := resp.Header.Get("Retry-After"); got != "90" {
		t.Errorf("Retry-After is %q, want 90", got)
	}
	g.logged("request failed", "status=503", "backend=app", "has no worker", "exit status 7", "hint=")
}

func TestRetryAfter(t *testing.T) {
	for after, want := range map[time.Duration]string{
		0: retryAfter, -time.Second: retryAfter, 1: "1", time.Second: "1", time.Second + 1: "2", time.Minute: "60",
	} {
		if got := (&refusal{after: after}).retryAfter(); got != want {
			t.Errorf("after %v: %q, want %q", after, got, want)
		}
	}
}

func TestScriptsThatPrintNonsenseDoNotCoolWorkersDown(t *testing.T) {
	w := worker(t, hello)
	nonsense := script(t, func(map[string]string) []byte { return stdout("nonsense\r\n\r\n") })
	g := newRig(t, nil, nonsense.addr, w)
	g.want(502, "", "GET", "/", nil)
	for _, s := range g.backend.Pool.Status().Workers {
		if s.Failures != 0 {
			t.Errorf("worker %s has failed %d times, want 0", s.Address, s.Failures)
		}
	}
}

func TestMethods(t *testing.T) {
	g := newRig(t, nil, worker(t, func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		w.WriteHeader(200, nil)
		w.Write([]byte(r.Method))
	}))
	for _, m := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND", "get"} {
		g.want(200, m, m, "/", nil)
	}
	resp := g.want(405, "", "TRACE", "/", nil)
	if resp.Header.Get("Allow") != allMethods {
		t.Errorf("Allow is %q", resp.Header.Get("Allow"))
	}
	if resp := g.want(200, "", http.MethodHead, "/", nil); resp.ContentLength > 0 {
		t.Errorf("HEAD: Content-Length %d", resp.ContentLength)
	}
}
