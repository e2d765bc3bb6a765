package scgi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/testpeer"
	"github.com/sluice-gateway/sluice/internal/testproc"
	"github.com/sluice-gateway/sluice/scgi"
)

// A front is a web server that people run, in front of our Server. start makes
// it listen on a unix socket.
type front struct {
	name  string
	looks bool // whether the client is there, also while nothing happens
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
	{"early answer", (*behind).testEarlyAnswer},
	{"many requests", (*behind).testMany},
	{"broken answer", (*behind).testBroken},
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

const patience = 20 * time.Second

// behind is a Server behind a front.
type behind struct {
	front
	network string
	server  *scgi.Server
	client  *http.Client
	causes  chan error // why the context of /drip was done
	begun   chan bool  // /wait or /idle has begun
	release chan bool  // and may end
}

func startBehind(t *testing.T, f front, network string) *behind {
	b := &behind{front: f, network: network, causes: make(chan error, 1), begun: make(chan bool, 1), release: make(chan bool)}
	address := "127.0.0.1:0"
	if network == "unix" {
		address = "unix:" + filepath.Join(testproc.ShortDir(t), "a.sock")
	}
	l, err := scgi.Listen(address)
	if err != nil {
		t.Fatal(err)
	}
	b.server = &scgi.Server{Handler: cgi.HandlerFunc(b.answer)}
	done := make(chan error, 1)
	go func() { done <- b.server.Serve(l) }() // until Close
	t.Cleanup(func() {
		b.server.Close()
		if err := <-done; !errors.Is(err, scgi.ErrClosed) {
			t.Errorf("Serve = %v", err)
		}
	})
	socket := f.start(t, l.Addr())
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}
	b.client = &http.Client{Transport: transport, Timeout: patience}
	t.Cleanup(transport.CloseIdleConnections)
	return b
}

// answer is the application.
func (b *behind) answer(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	switch r.Path() {
	case "/a%20b":
		length, _ := r.Param("CONTENT_LENGTH")
		fmt.Fprintf(w, "%s %s %s %s", r.Method, r.Target, length, r.Header.Get("X-A"))
	case "/sum":
		body := ""
		if r.Body != nil {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				fmt.Fprint(w, err)
			}
			body = string(b)
		}
		io.WriteString(w, sum(body))
	case "/big":
		io.WriteString(w, pattern)
	case "/early":
		w.WriteHeader(413, nil)
		io.WriteString(w, "early")
	case "/broken":
		w.WriteHeader(200, cgi.Header{{Name: "Content-Length", Value: "10"}})
		io.WriteString(w, "some")
		w.Flush()
		w.Abort()
	case "/drip": // until nobody listens any more
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			io.WriteString(w, "drop\n")
			w.Flush()
			<-tick.C
		}
		b.causes <- context.Cause(ctx)
	case "/idle": // and so does this, without a word
		b.begun <- true
		<-ctx.Done()
		b.causes <- context.Cause(ctx)
	case "/wait":
		b.begun <- true
		select {
		case <-b.release:
			io.WriteString(w, "drained")
		case <-ctx.Done():
		}
	}
}

// do returns the status and the body of an answer.
func (b *behind) do(method, target string, body io.Reader) (string, error) {
	r, err := http.NewRequest(method, "http://example.org"+target, body)
	if err != nil {
		return "", err
	}
	r.Header.Set("X-A", "1")
	resp, err := b.client.Do(r)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	return fmt.Sprint(resp.StatusCode, " ", string(got)), err
}

func (b *behind) testQuery(t *testing.T) {
	const want = `200 GET /a%20b?q=1&q=%C3%BC&r 0 1`
	if got, err := b.do("GET", "/a%20b?q=1&q=%C3%BC&r", nil); err != nil || got != want {
		t.Errorf("answer = %q, %v, want %q", got, err, want)
	}
}

func (b *behind) testPost(t *testing.T) {
	body := pattern[3 : 1<<20]
	for name, r := range map[string]io.Reader{"with a length": strings.NewReader(body), "chunked": io.MultiReader(strings.NewReader(body))} {
		if got, err := b.do("POST", "/sum", r); err != nil || got != "200 "+sum(body) {
			t.Errorf("%s: %q, %v, want %q", name, got, err, sum(body))
		}
	}
}

func (b *behind) testLongAnswer(t *testing.T) {
	if got, err := b.do("GET", "/big", nil); err != nil || got != "200 "+pattern {
		t.Errorf("%d bytes, %v, want %d", len(got), err, len(pattern))
	}
}

// testEarlyAnswer answers before the body has come, which fronts send before
// they read.
func (b *behind) testEarlyAnswer(t *testing.T) {
	var got string
	var err error
	for range 10 { // net/http may see that it cannot write on before it sees the answer
		if got, err = b.do("POST", "/early", strings.NewReader(pattern)); err == nil {
			break
		}
	}
	if err != nil || got != "413 early" {
		t.Errorf("answer = %q, %v", got, err)
	}
}

// testMany makes 200 requests from 4 clients.
func (b *behind) testMany(t *testing.T) {
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 50 {
				if got, err := b.do("POST", "/sum", strings.NewReader(pattern[:i])); err != nil || got != "200 "+sum(pattern[:i]) {
					t.Errorf("%q, %v, want %q", got, err, sum(pattern[:i]))
				}
			}
		})
	}
	wg.Wait()
}

// testBroken: the client must be able to tell.
func (b *behind) testBroken(t *testing.T) {
	if got, err := b.do("GET", "/broken", nil); err == nil && strings.HasPrefix(got, "200") {
		t.Errorf("answer = %q, and nothing is wrong with it", got)
	}
}

func (b *behind) testClientGoesAway(t *testing.T) {
	t.Run("while it is written to", func(t *testing.T) {
		resp, err := b.client.Get("http://example.org/drip")
		if err != nil {
			t.Fatal(err)
		}
		drop := make([]byte, len("drop\n"))
		if _, err := io.ReadFull(resp.Body, drop); err != nil || string(drop) != "drop\n" {
			t.Errorf("answer = %q, %v", drop, err)
		}
		resp.Body.Close() // and the connection with it
		b.wantCause(t)
	})
	if !b.looks || b.network != "unix" {
		return // over TCP it would take the system more than a minute
	}
	t.Run("while nothing happens", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, "GET", "http://example.org/idle", nil)
		if err != nil {
			t.Fatal(err)
		}
		asked := make(chan error, 1)
		go func() { _, err := b.client.Do(r); asked <- err }()
		<-b.begun
		cancel()
		<-asked
		b.wantCause(t)
	})
}

func (b *behind) wantCause(t *testing.T) {
	select {
	case cause := <-b.causes:
		if !errors.Is(cause, scgi.ErrConnectionLost) {
			t.Errorf("cause = %v, want ErrConnectionLost", cause)
		}
	case <-time.After(patience):
		t.Fatal("the handler was not told that the client has gone")
	}
}

// testShutdown shuts the Server down in the middle of a request, which must be
// answered in full.
func (b *behind) testShutdown(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	answered := make(chan string, 1)
	go func() {
		got, err := b.do("GET", "/wait", nil)
		answered <- fmt.Sprint(got, " ", err)
	}()
	<-b.begun
	down := make(chan error, 1)
	go func() { down <- b.server.Shutdown(ctx) }()
	select {
	case err := <-down:
		t.Errorf("Shutdown = %v, and did not wait for the handler", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(b.release)
	if got, want := <-answered, "200 drained <nil>"; got != want {
		t.Errorf("answer = %q, want %q", got, want)
	}
	if err := <-down; err != nil {
		t.Errorf("Shutdown = %v", err)
	}
	if got, err := b.do("GET", "/a%20b", nil); err != nil || !strings.HasPrefix(got, "50") {
		t.Errorf("answer after Shutdown = %q, %v, want status 502 or 503", got, err)
	}
}

// startNginx starts an nginx that does not buffer answers. It must buffer
// requests: with scgi_request_buffering off, those before nginx/nginx#1118 send
// as CONTENT_LENGTH how much of the body they have so far.
func startNginx(t *testing.T, application net.Addr) (socket string) {
	nginx := testpeer.Need(t, "nginx", "nginx-light")
	dir := testproc.ShortDir(t)
	socket = filepath.Join(dir, "f.sock")
	server := application.String()
	if application.Network() == "unix" {
		server = "unix:" + server
	}
	var temp, params strings.Builder
	for _, kind := range []string{"client_body", "fastcgi", "proxy", "scgi", "uwsgi"} {
		fmt.Fprintf(&temp, "%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	// Those of nginx's own file scgi_params.
	for _, p := range []string{"REQUEST_METHOD $request_method", "REQUEST_URI $request_uri", "QUERY_STRING $query_string",
		"CONTENT_TYPE $content_type", "DOCUMENT_URI $document_uri", "DOCUMENT_ROOT $document_root", "SCGI 1", "SERVER_PROTOCOL $server_protocol",
		"REQUEST_SCHEME $scheme", "HTTPS $https if_not_empty", "REMOTE_ADDR $remote_addr", "REMOTE_PORT $remote_port", "SERVER_PORT $server_port", "SERVER_NAME $server_name"} {
		fmt.Fprintf(&params, "scgi_param %s;\n", p)
	}
	writeFile(t, filepath.Join(dir, "nginx.conf"), fmt.Sprintf(`daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr notice;
events { worker_connections 64; }
http {
access_log off;
%[2]s
server {
listen unix:%[4]s;
client_max_body_size 0;
location / {
scgi_pass %[3]s;
scgi_buffering off;
%[5]s
}}}
`, dir, &temp, server, socket, &params))
	cmd := exec.Command(nginx, "-p", dir, "-e", "stderr", "-c", filepath.Join(dir, "nginx.conf"))
	testproc.Start(t, cmd).AwaitListening(t, "unix", socket)
	return socket
}

// startLighttpd starts a lighttpd that passes on what it gets at once.
func startLighttpd(t *testing.T, application net.Addr) (socket string) {
	lighttpd := testpeer.Need(t, "lighttpd", "lighttpd")
	dir := testproc.ShortDir(t)
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
server.max-keep-alive-idle = 1
server.modules = ("mod_scgi")
scgi.server = ("/" => ((%[3]s, "check-local" => "disable")))
`, dir, socket, server))
	testproc.Start(t, exec.Command(lighttpd, "-D", "-f", file)).AwaitListening(t, "unix", socket)
	return socket
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}
