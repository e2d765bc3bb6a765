package fastcgi_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/sluice-gateway/sluice/internal/testlog"
)

// A peer is a program that people run. Each serves the application that
// testdata/peers/echo.c describes.
type peer struct {
	name      string
	processes int    // requests that it serves at the same time
	keeps     bool   // it leaves a connection open when it is asked to
	values    string // its answer to GET_VALUES; empty if there is none
	start     func(t *testing.T) (network, address string)
	late      bool              // its END_REQUEST leaves after the end of the answer, in a write of its own
	script    string            // what it is asked to run; most do not look at it
	hides     []string          // params that its applications cannot see
	cannot    map[string]string // the cases that it cannot do, and why
}

var peers = []peer{
	{name: "php-fpm", processes: 4, keeps: true, values: "FCGI_MPXS_CONNS=0", start: startFPM},
	{name: "php-cgi", processes: 1, keeps: true, values: "FCGI_MAX_CONNS=0 FCGI_MAX_REQS=0 FCGI_MPXS_CONNS=0", start: startPHPCGI},
	{name: "php-cgi -b", processes: 2, keeps: true, values: "FCGI_MAX_CONNS=2 FCGI_MAX_REQS=2 FCGI_MPXS_CONNS=0", start: startPHPCGIBound},
	{name: "libfcgi", processes: 2, keeps: true, start: startC},
	{name: "FCGI.pm", processes: 2, keeps: true, start: startPerl},
	{name: "ruby-fcgi", processes: 2, start: startRuby, cannot: map[string]string{
		"abort of the answer":             "it sends an answer when that is complete",
		"abort of the body":               "it dies of a connection that ends before the request does",
		"values":                          "it dies of a connection without a request",
		"exit in the middle of an answer": "it sends an answer when that is complete",
	}},
	{name: "uWSGI", processes: 2, start: startUWSGI, cannot: map[string]string{
		"STDERR": "wsgi.errors is the log of uWSGI",
	}},
	{name: "fcgiwrap", processes: 2, keeps: true, start: startFcgiwrap, script: "echo.pl", cannot: map[string]string{
		"abort of the answer":             "it sends an answer when that is complete, or 8 KiB of it",
		"exit in the middle of an answer": "a CGI program ends its answer by ending, no matter how",
	}},
	{name: "net/http/fcgi", processes: 20, keeps: true, values: "FCGI_MPXS_CONNS=1", start: startNetHTTPFCGI, late: true,
		hides: []string{"SCRIPT_NAME"}, cannot: map[string]string{
			"STDERR": "a handler has no way to write to it",
		}},
	{name: "sluice", processes: 20, keeps: true, values: "FCGI_MAX_CONNS=2048 FCGI_MAX_REQS=512 FCGI_MPXS_CONNS=1", start: startSluice},
}

// peerCases are what every peer is asked. The last one costs it a process.
var peerCases = []struct {
	name string
	test func(p *running, t *testing.T)
}{
	{"hello", func(p *running, t *testing.T) { p.want(t, "hello", answer{200, "", "hello"}) }},
	{"params", (*running).testParams},
	{"POST of 3 MiB", func(p *running, t *testing.T) { p.testSum(t, []byte(mebibytes[:3<<20])) }},
	{"POST of 0 bytes", func(p *running, t *testing.T) { p.testSum(t, []byte{}) }},
	{"GET without a body", func(p *running, t *testing.T) { p.testSum(t, nil) }},
	{"answer of 10 MiB", func(p *running, t *testing.T) { p.want(t, "big", answer{200, "", mebibytes}) }},
	{"status 404", func(p *running, t *testing.T) { p.want(t, "missing", answer{404, "", "missing"}) }},
	{"Location", func(p *running, t *testing.T) { p.want(t, "moved", answer{302, "http://example.org/there", ""}) }},
	{"large head", (*running).testLargeHead},
	{"STDERR", (*running).testStderr},
	{"one request for each process", func(p *running, t *testing.T) { p.testAtOnce(t, p.processes) }},
	{"more requests than processes", func(p *running, t *testing.T) { p.testAtOnce(t, 20) }},
	{"connections", (*running).testConnections},
	{"abort of the answer", (*running).testAbortAnswer},
	{"abort of the body", (*running).testAbortBody},
	{"values", (*running).testValues},
	{"exit in the middle of an answer", (*running).testExit},
}

func TestPeers(t *testing.T) {
	dir := shortDir(t)
	for _, script := range []string{"echo.php", "echo.pl"} {
		copyProgram(t, filepath.Join("testdata/peers", script), filepath.Join(dir, script))
	}
	for _, p := range peers {
		t.Run(p.name, func(t *testing.T) {
			network, address := p.start(t)
			for _, c := range peerCases {
				t.Run(c.name, func(t *testing.T) {
					if why, ok := p.cannot[c.name]; ok {
						t.Skip(why)
					}
					c.test(&running{p, network, address, dir}, t)
				})
			}
		})
	}
}

// TestCannot finds what stays in a row after its case has got another name.
func TestCannot(t *testing.T) {
	cases := make(map[string]bool)
	for _, c := range peerCases {
		cases["peer "+c.name] = true
	}
	for _, c := range frontCases {
		cases["front "+c.name] = true
	}
	check := func(kind, row string, cannot map[string]string) {
		for name := range cannot {
			if !cases[kind+" "+name] {
				t.Errorf("%s cannot do %q, which is no case", row, name)
			}
		}
	}
	for _, p := range peers {
		check("peer", p.name, p.cannot)
	}
	for _, f := range fronts {
		check("front", f.name, f.cannot)
	}
}

// mebibytes is the answer to do=big.
var mebibytes = strings.Repeat("0123456789abcdef", 10<<16)

// running is a peer that has been started.
type running struct {
	peer
	network, address string
	dir              string // of the scripts
}

type answer struct {
	status         int
	location, body string
}

// request asks for one thing of the application. A nil body is none.
func (p *running) request(do string, body []byte) *cgi.Request {
	script := cmp.Or(p.script, "echo.php")
	r := &cgi.Request{
		Method: "GET", Target: "/" + script + "?do=" + do, Proto: "HTTP/1.1", Host: "example.org:8080",
		RemoteAddr: "192.0.2.1", RemotePort: "4711", ServerAddr: "192.0.2.2", ServerPort: "8080",
		Script: cgi.Script{Root: p.dir, Filename: filepath.Join(p.dir, script), Name: "/" + script},
	}
	if body != nil {
		r.Method, r.Body, r.ContentLength = "POST", cgi.BytesBody(body), int64(len(body))
		r.Header = cgi.Header{{Name: "Content-Type", Value: "application/octet-stream"}}
	}
	return r
}

// client returns a client of the test's own: a connection that it keeps
// occupies a process of the peer, so it must be closed before the next test.
func (p *running) client(t *testing.T) *fastcgi.Client {
	c := &fastcgi.Client{FirstByteTimeout: time.Minute, ReadTimeout: time.Minute} // machines are busy
	if !p.keeps {
		c.MaxIdle = -1 // or a request may meet the close of a connection that was to be kept
	}
	t.Cleanup(c.Close)
	return c
}

func (p *running) fetch(ctx context.Context, c *fastcgi.Client, r *cgi.Request) (answer, error) {
	resp, err := c.RoundTrip(ctx, p.network, p.address, r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.Status, resp.Header.Get("Location"), string(body)}, err
}

// want asks twice, so that a kept connection is used too.
func (p *running) want(t *testing.T, do string, want answer) {
	c := p.client(t)
	for range 2 {
		got, err := p.fetch(t.Context(), c, p.request(do, nil))
		if err != nil || got != want {
			t.Fatalf("do=%s: %d, Location %q, %d bytes %.100q, error %v, want %d, %q, %d bytes", do,
				got.status, got.location, len(got.body), got.body, err, want.status, want.location, len(want.body))
		}
	}
}

func (p *running) testParams(t *testing.T) {
	r := p.request("params&a=%41+b", nil)
	r.Header = cgi.Header{{Name: "X-Test", Value: "a, b"}, {Name: "Cookie", Value: "c=1"}, {Name: "Cookie", Value: "d=2"}, {Name: "Proxy", Value: "evil"}}
	long := strings.Repeat("long ", 8000) // more than the 127 bytes of a short length, and than one buffer
	r.Extra = []cgi.Field{{Name: "LONG", Value: long}, {Name: "L127", Value: long[:127]}, {Name: "L128", Value: long[:128]},
		{Name: "EMPTY"}, {Name: "REMOTE_USER", Value: "jürgen"}}
	got, err := p.fetch(t.Context(), p.client(t), r)
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]string)
	for line := range strings.Lines(got.body) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		seen[name] = value
	}
	for name, want := range map[string]string{
		"REQUEST_METHOD": "GET", "REQUEST_URI": r.Target, "QUERY_STRING": "do=params&a=%41+b",
		"SCRIPT_NAME": r.Script.Name, "SCRIPT_FILENAME": r.Script.Filename, "DOCUMENT_ROOT": p.dir,
		"SERVER_PROTOCOL": "HTTP/1.1", "GATEWAY_INTERFACE": "CGI/1.1", "SERVER_SOFTWARE": "sluice",
		"SERVER_NAME": "example.org", "SERVER_ADDR": "192.0.2.2", "SERVER_PORT": "8080",
		"REMOTE_ADDR": "192.0.2.1", "REMOTE_PORT": "4711", "REMOTE_USER": "jürgen",
		"LONG": long, "L127": long[:127], "L128": long[:128], "EMPTY": "",
		"HTTP_HOST": "example.org:8080", "HTTP_X_TEST": "a, b", "HTTP_COOKIE": "c=1; d=2",
	} {
		if value, ok := seen[name]; ok == slices.Contains(p.hides, name) || ok && value != want {
			t.Errorf("the application sees %s = %.100q (there: %v), want %.100q", name, value, ok, want)
		}
	}
	if value, ok := seen["HTTP_PROXY"]; ok {
		t.Errorf("the application sees HTTP_PROXY = %q, want none", value)
	}
}

// sum is the answer to do=sum.
func sum(body []byte) string {
	h := fnv.New64a()
	h.Write(body)
	return fmt.Sprintf("%d %016x", len(body), h.Sum64())
}

func (p *running) testSum(t *testing.T, body []byte) {
	c := p.client(t)
	for range 2 {
		p.checkSum(t, c, body)
	}
}

func (p *running) checkSum(t *testing.T, c *fastcgi.Client, body []byte) {
	want := answer{200, "", sum(body)}
	if got, err := p.fetch(t.Context(), c, p.request("sum", body)); err != nil || got != want {
		t.Errorf("sum of %d bytes = %v, %v, want %v", len(body), got, err, want)
	}
}

func (p *running) testStderr(t *testing.T) {
	var log testlog.Buffer
	c := p.client(t)
	c.Log = slog.New(slog.NewTextHandler(&log, nil))
	want := answer{200, "", "noted"}
	if got, err := p.fetch(t.Context(), c, p.request("note", nil)); err != nil || got != want {
		t.Errorf("answer = %v, %v, want %v", got, err, want)
	}
	// Some send STDERR after the end of STDOUT.
	for deadline := time.Now().Add(20 * time.Second); log.String() == "" && time.Now().Before(deadline); {
		time.Sleep(time.Millisecond)
	}
	if s := log.String(); strings.Count(s, "\n") != 1 || !strings.Contains(s, "a note to the log") {
		t.Errorf("log = %q, want one line with the note", s)
	}
}

// testAtOnce makes 20 requests, some of them at the same time. Where there are
// more than processes, a kept connection must not lock the others out.
func (p *running) testAtOnce(t *testing.T, limit int) {
	c := p.client(t)
	slots := make(chan struct{}, limit)
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			p.checkSum(t, c, []byte(mebibytes[i:1000*i]))
		})
	}
	wg.Wait()
}

// testConnections makes requests one after the other. If the end of one may
// come late, the next one may find no connection that it could use.
func (p *running) testConnections(t *testing.T) {
	const requests = 20
	through := *p
	var accepted func() int
	through.network, through.address, accepted = countingRelay(t, p.network, p.address)
	c := p.client(t)
	for range requests {
		through.checkSum(t, c, []byte("x"))
	}
	least, most := requests, requests
	switch {
	case p.late:
		least, most = 1, requests-1
	case p.keeps:
		least, most = 1, 1
	}
	if n := accepted(); n < least || n > most {
		t.Errorf("%d requests took %d connections, want %d to %d", requests, n, least, most)
	}
}

// testValues asks for the variables of the specification. libfcgi reads the
// question and stays silent, so it gets less time.
func (p *running) testValues(t *testing.T) {
	patience := 20 * time.Second
	if p.values == "" {
		patience = 200 * time.Millisecond
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	values, err := fastcgi.Values(ctx, p.network, p.address, fastcgi.MaxConns, fastcgi.MaxReqs, fastcgi.MpxsConn)
	if p.values == "" {
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("values = %v, %v, want no answer", values, err)
		}
		p.checkUsable(t, p.client(t))
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range values {
		got = append(got, f.Name+"="+f.Value)
	}
	slices.Sort(got)
	if got := strings.Join(got, " "); got != p.values {
		t.Errorf("values = %q, want %q", got, p.values)
	}
}

func (p *running) testLargeHead(t *testing.T) {
	resp, err := p.client(t).RoundTrip(t.Context(), p.network, p.address, p.request("head", nil))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || string(body) != "head" {
		t.Errorf("body = %q, %v", body, err)
	}
	if got := resp.Header.Get("X-Large"); got != strings.Repeat("x", 30_000) {
		t.Errorf("X-Large has %d bytes, want 30000", len(got))
	}
	for i := 1; i < 100; i++ {
		if got := resp.Header.Get(fmt.Sprintf("X-%d", i)); got != fmt.Sprint(i) {
			t.Errorf("X-%d = %q", i, got)
		}
	}
}
