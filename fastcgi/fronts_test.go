package fastcgi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/sluice-gateway/sluice/internal/testpeer"
)

// A front is a web server that people run, in front of our Server. start makes
// it listen on a unix socket.
type front struct {
	name  string
	keeps bool // it keeps connections to the application
	start func(t *testing.T, application net.Addr) (socket string)
}

var fronts = []front{
	{"nginx", true, startNginx},
	{"lighttpd", false, startLighttpd},
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
	{"client goes away", (*behind).testClientGoesAway},
	{"Shutdown", (*behind).testShutdown},
}

func TestFronts(t *testing.T) {
	for _, f := range fronts {
		for _, network := range []string{"unix", "tcp"} {
			t.Run(f.name+" "+network, func(t *testing.T) {
				b := startBehind(t, f, network)
				for _, c := range frontCases {
					t.Run(c.name, func(t *testing.T) { c.test(b, t) })
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
	causes   chan error   // why the context of /drip was done
	begun    chan bool    // /wait has begun
	release  chan bool    // and may end
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
	b.server = serve(t, countingListener{l, &b.accepted}, http.HandlerFunc(b.answer))
	socket := f.start(t, l.Addr())
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	b.client = &http.Client{Transport: transport, Timeout: 20 * time.Second}
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
				b.causes <- context.Cause(r.Context())
				return
			}
		}
	case "/wait":
		b.begun <- true
		select {
		case <-b.release:
			io.WriteString(w, "drained")
		case <-r.Context().Done():
		}
	default:
		echo(w, r)
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

// testMany makes 200 requests from 4 clients. A front that keeps connections
// needs no more of them than there are clients.
func (b *behind) testMany(t *testing.T) {
	const clients, requests = 4, 50
	before := b.accepted.Load()
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
	n := b.accepted.Load() - before
	if b.keeps && n > clients || !b.keeps && n != clients*requests {
		t.Errorf("%d requests took %d connections; the front keeps them: %v", clients*requests, n, b.keeps)
	}
}

func (b *behind) testClientGoesAway(t *testing.T) {
	resp, err := b.client.Get("http://example.org/drip")
	if err != nil {
		t.Fatal(err)
	}
	drop := make([]byte, len("drop\n"))
	if _, err := io.ReadFull(resp.Body, drop); err != nil || string(drop) != "drop\n" {
		t.Errorf("answer = %q, %v", drop, err)
	}
	resp.Body.Close() // and the connection with it
	select {
	case cause := <-b.causes:
		if !errors.Is(cause, fastcgi.ErrConnectionLost) && !errors.Is(cause, fastcgi.ErrAborted) {
			t.Errorf("cause = %v, want ErrConnectionLost or ErrAborted", cause)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the handler was not told that the client has gone")
	}
}

// testShutdown shuts the Server down in the middle of a request, which must be
// answered in full.
func (b *behind) testShutdown(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	answered := make(chan string, 1)
	go func() {
		got, err := b.get("/wait")
		answered <- fmt.Sprint(got, " ", err)
	}()
	select {
	case <-b.begun:
	case got := <-answered:
		t.Fatalf("answer = %q before the handler has begun", got)
	}
	down := make(chan error, 1)
	go func() { down <- b.server.Shutdown(ctx) }()
	select {
	case err := <-down:
		t.Errorf("Shutdown = %v, and did not wait for the handler", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(b.release)
	if got, want := <-answered, "drained <nil>"; got != want {
		t.Errorf("answer = %q, want %q", got, want)
	}
	if err := <-down; err != nil {
		t.Errorf("Shutdown = %v", err)
	}
	if got, err := b.get("/a%20b"); err == nil || !strings.HasPrefix(err.Error(), "50") {
		t.Errorf("answer after Shutdown = %q, %v, want status 502 or 503", got, err)
	}
}

// startNginx starts an nginx that neither buffers answers nor closes
// connections.
func startNginx(t *testing.T, application net.Addr) (socket string) {
	nginx := testpeer.Need(t, "nginx", "nginx-light")
	dir := shortDir(t)
	socket = filepath.Join(dir, "f.sock")
	server := application.String()
	if application.Network() == "unix" {
		server = "unix:" + server
	}
	var temp, params strings.Builder
	for _, kind := range []string{"client_body", "fastcgi", "proxy", "scgi", "uwsgi"} {
		fmt.Fprintf(&temp, "%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	for _, p := range []string{"REQUEST_METHOD $request_method", "REQUEST_URI $request_uri", "QUERY_STRING $query_string",
		"CONTENT_TYPE $content_type", "CONTENT_LENGTH $content_length", "SCRIPT_NAME $fastcgi_script_name",
		"SERVER_PROTOCOL $server_protocol", "SERVER_SOFTWARE nginx/$nginx_version", "HTTP_HOST $http_host"} {
		fmt.Fprintf(&params, "fastcgi_param %s;\n", p)
	}
	file := filepath.Join(dir, "nginx.conf")
	writeFile(t, file, fmt.Sprintf(`daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr notice;
events { worker_connections 64; }
http {
access_log off;
%[2]s
upstream app { server %[3]s; keepalive 8; }
server {
listen unix:%[4]s;
client_max_body_size 0;
location / {
fastcgi_pass app;
fastcgi_keep_conn on;
fastcgi_buffering off;
%[5]s
}}}
`, dir, &temp, server, socket, &params))
	startProgram(t, exec.Command(nginx, "-p", dir, "-e", "stderr", "-c", file)).awaitListening(t, "unix", socket)
	return socket
}

// startLighttpd starts a lighttpd that passes on what it gets at once.
func startLighttpd(t *testing.T, application net.Addr) (socket string) {
	lighttpd := testpeer.Need(t, "lighttpd", "lighttpd")
	dir := shortDir(t)
	socket = filepath.Join(dir, "f.sock")
	server := fmt.Sprintf(`"socket" => "%s"`, application)
	if tcp, ok := application.(*net.TCPAddr); ok {
		server = fmt.Sprintf(`"host" => "%s", "port" => %d`, tcp.IP, tcp.Port)
	}
	file := filepath.Join(dir, "lighttpd.conf")
	writeFile(t, file, fmt.Sprintf(`server.document-root = "%[1]s"
server.bind = "%[2]s"
server.upload-dirs = ("%[1]s")
server.stream-response-body = 1
server.modules = ("mod_fastcgi")
fastcgi.server = ("/" => ((%[3]s, "check-local" => "disable")))
`, dir, socket, server))
	startProgram(t, exec.Command(lighttpd, "-D", "-f", file)).awaitListening(t, "unix", socket)
	return socket
}
