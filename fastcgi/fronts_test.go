package fastcgi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/fastcgi"
)

// A front is a web server that people run, in front of our Server.
type front struct {
	name        string
	keeps       bool // it keeps connections to the application
	multiplexes bool // it has several requests on one of them at the same time
	start       func(t *testing.T, application net.Addr) (network, address string)
	cannot      map[string]string // the cases that it cannot do, and why
}

// What several of them cannot do.
const (
	deaf    = "it does not look at its client before the application says something"
	buffers = "it takes all of a body before it asks the application"
)

var fronts = []front{
	{name: "nginx", keeps: true, start: startNginx, cannot: map[string]string{
		"client goes away in its body": buffers,
	}},
	{name: "lighttpd", start: startLighttpd, cannot: map[string]string{
		"client goes away in its body": buffers,
	}},
	{name: "Apache", start: startApache, cannot: map[string]string{
		"client goes away in silence": deaf,
	}},
	{name: "Apache with enablereuse", keeps: true, start: startApacheReuse, cannot: map[string]string{
		"client goes away in silence": deaf,
	}},
	{name: "HAProxy", keeps: true, start: startHAProxy, cannot: map[string]string{
		"client goes away in silence": deaf,
	}},
	{name: "HAProxy with mpxs-conns", keeps: true, multiplexes: true, start: startHAProxyMultiplexing, cannot: map[string]string{
		"client goes away in silence":  deaf,
		"one of two clients goes away": "it aborts no request that it has sent to its end",
	}},
	{name: "H2O", start: startH2O, cannot: map[string]string{
		"client goes away in silence":  deaf,
		"client goes away in its body": buffers,
	}},
	{name: "Caddy", start: startCaddy, cannot: map[string]string{
		"client goes away in silence": deaf,
	}},
}

// frontCases are what every front is asked. The last one ends the Server.
var frontCases = []struct {
	name string
	test func(b *behind, t *testing.T)
}{
	{"GET with a query", (*behind).testQuery},
	{"POST of 1 MiB", (*behind).testPost},
	{"answer of 10 MiB", (*behind).testLongAnswer},
	{"many requests", (*behind).testMany},
	{"requests beside a long one", (*behind).testBeside},
	{"client goes away", (*behind).testClientGoesAway},
	{"client goes away in silence", (*behind).testClientGoesAwayInSilence},
	{"one of two clients goes away", (*behind).testOneOfTwoGoesAway},
	{"client goes away in its body", (*behind).testClientGoesAwayInItsBody},
	{"Shutdown", (*behind).testShutdown},
}

func TestFronts(t *testing.T) {
	for _, f := range fronts {
		for _, network := range []string{"unix", "tcp"} {
			t.Run(f.name+" "+network, func(t *testing.T) {
				b := startBehind(t, f, network)
				for _, c := range frontCases {
					t.Run(c.name, func(t *testing.T) {
						if why, ok := f.cannot[c.name]; ok {
							t.Skip(why)
						}
						c.test(b, t)
					})
				}
			})
		}
	}
}

// behind is a Server behind a front.
type behind struct {
	front
	server   *fastcgi.Server
	client   *http.Client
	accepted atomic.Int32 // connections from the front
	causes   chan error   // why the context of a request was done
	begun    chan bool    // /wait or /body has begun
	release  chan bool    // /wait may end
}

func startBehind(t *testing.T, f front, network string) *behind {
	b := &behind{front: f, causes: make(chan error, 1), begun: make(chan bool, 1), release: make(chan bool)}
	address := "127.0.0.1:0"
	if network == "unix" {
		address = "unix:" + filepath.Join(shortDir(t), "a.sock")
	}
	l, err := fastcgi.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	if path := l.Addr().String(); network == "unix" {
		if err := os.Chmod(path, 0o666); err != nil { // a front that is started by root gives that up
			t.Fatal(err)
		}
	}
	b.server = serve(t, countingListener{l, &b.accepted}, http.HandlerFunc(b.answer))
	frontNetwork, frontAddress := f.start(t, l.Addr())
	transport := &http.Transport{
		IdleConnTimeout: time.Second, // before any front closes the connection, which could meet a request
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, frontNetwork, frontAddress)
		},
	}
	b.client = &http.Client{Transport: transport, Timeout: time.Minute}
	t.Cleanup(transport.CloseIdleConnections)
	return b
}

// countingListener counts what it accepts.
type countingListener struct {
	net.Listener
	n *atomic.Int32
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.n.Add(1)
	}
	return c, err
}

// answer is the application.
func (b *behind) answer(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/a b":
		fmt.Fprintf(w, "%s %s %q", r.Method, r.RequestURI, r.URL.Query()["q"])
	case "/drip": // until nobody listens any more
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			io.WriteString(w, "drop\n")
			http.NewResponseController(w).Flush()
			select {
			case <-tick.C:
			case <-r.Context().Done():
				b.lost(r)
				return
			}
		}
	case "/wait":
		tell(b.begun, true)
		select {
		case <-b.release:
			io.WriteString(w, "drained")
		case <-r.Context().Done():
			b.lost(r)
		}
	case "/body": // which does not come to its end
		io.ReadFull(r.Body, make([]byte, 1))
		tell(b.begun, true)
		io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
		b.lost(r)
	default:
		echo(w, r)
	}
}

// lost notes why nobody waits for the answer any more.
func (b *behind) lost(r *http.Request) { tell(b.causes, context.Cause(r.Context())) }

// tell does not block if nobody has listened the last time.
func tell[T any](c chan T, v T) {
	select {
	case c <- v:
	default:
	}
}

// get returns the body of an answer, whose status must be 200.
func (b *behind) get(target string) (string, error) { return b.do("GET", target, nil) }

func (b *behind) do(method, target string, body io.Reader) (string, error) {
	r, err := http.NewRequest(method, "http://example.org"+target, body)
	if err != nil {
		return "", err
	}
	resp, err := b.client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = errors.New(resp.Status)
	}
	return string(got), err
}

func (b *behind) testQuery(t *testing.T) {
	const want = `GET /a%20b?q=1&q=%C3%BC&r ["1" "ü"]`
	if got, err := b.get("/a%20b?q=1&q=%C3%BC&r"); err != nil || got != want {
		t.Errorf("answer = %q, %v, want %q", got, err, want)
	}
}

func (b *behind) testPost(t *testing.T) {
	body := []byte(mebibytes[:1<<20])
	body[4711] = 0
	for range 3 {
		if got, err := b.do("POST", "/echo?do=sum", bytes.NewReader(body)); err != nil || got != sum(body) {
			t.Errorf("sum = %q, %v, want %q", got, err, sum(body))
		}
	}
}

func (b *behind) testLongAnswer(t *testing.T) {
	if got, err := b.get("/echo?do=big"); err != nil || got != mebibytes {
		t.Errorf("%d bytes, %v, want %d", len(got), err, len(mebibytes))
	}
}

// testMany makes 200 requests from 4 clients.
func (b *behind) testMany(t *testing.T) {
	const clients, requests = 4, 50
	check := b.countConnections(t, clients, clients*requests)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for i := range requests {
				body := []byte(mebibytes[:i])
				if got, err := b.do("POST", "/echo?do=sum", bytes.NewReader(body)); err != nil || got != sum(body) {
					t.Errorf("sum = %q, %v, want %q", got, err, sum(body))
				}
			}
		})
	}
	wg.Wait()
	check()
}

// testBeside makes 10 requests, one after the other, while another one waits.
func (b *behind) testBeside(t *testing.T) {
	release := b.hold(t)
	check := b.countConnections(t, 1, 10)
	for range 10 {
		if got, err := b.get("/echo?do=hello"); err != nil || got != "hello" {
			t.Errorf("answer = %q, %v", got, err)
		}
	}
	check()
	release()
}

// countConnections returns what checks how many connections the front has made
// since: one for each request; or if it keeps them, no more than there are
// clients; or if it multiplexes, none but the one that it had.
func (b *behind) countConnections(t *testing.T, clients, requests int32) (check func()) {
	before := b.accepted.Load()
	return func() {
		t.Helper()
		least, most := requests, requests
		switch {
		case b.multiplexes:
			least, most = 0, 0
		case b.keeps:
			least, most = 0, clients
		}
		if n := b.accepted.Load() - before; n < least || n > most {
			t.Errorf("%d requests took %d new connections, want %d to %d", requests, n, least, most)
		}
	}
}

// hold makes a request that has begun when hold returns, and ends with release.
func (b *behind) hold(t *testing.T) (release func()) {
	t.Helper()
	answered := make(chan string, 1)
	go func() { // ends with the answer
		got, err := b.get("/wait")
		answered <- fmt.Sprint(got, " ", err)
	}()
	select {
	case <-b.begun:
	case got := <-answered:
		t.Fatalf("answer = %q before the handler has begun", got)
	}
	return func() {
		t.Helper()
		var got string
		select {
		case b.release <- true:
			got = <-answered
		case got = <-answered:
		}
		if want := "drained <nil>"; got != want {
			t.Errorf("answer = %q, want %q", got, want)
		}
	}
}

// testShutdown shuts the Server down in the middle of a request, which must be
// answered in full.
func (b *behind) testShutdown(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	release := b.hold(t)
	down := make(chan error, 1)
	go func() { down <- b.server.Shutdown(ctx) }()
	select {
	case err := <-down:
		release()
		t.Fatalf("Shutdown = %v, and did not wait for the handler", err)
	case <-time.After(50 * time.Millisecond):
	}
	release()
	if err := <-down; err != nil {
		t.Errorf("Shutdown = %v", err)
	}
	if got, err := b.get("/a%20b"); err == nil || !strings.HasPrefix(err.Error(), "50") {
		t.Errorf("answer after Shutdown = %q, %v, want status 502 or 503", got, err)
	}
}
