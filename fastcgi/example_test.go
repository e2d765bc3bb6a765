package fastcgi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
)

func greet(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	fmt.Fprintf(w, "hello from %s\n", r.Path())
}

// startExample runs an application for an example, until stop is called.
func startExample(s *fastcgi.Server) (address string, stop func()) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	return l.Addr().String(), func() {
		s.Shutdown(context.Background())
		<-served
	}
}

// An application, for a web server that says "fastcgi_pass unix:/run/app.sock".
// When it is to end, it answers the requests that it has first.
func ExampleServer() {
	l, err := fastcgi.Listen("unix:/run/app.sock")
	if err != nil {
		log.Fatal(err)
	}
	s := &fastcgi.Server{Handler: cgi.HandlerFunc(greet)}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	ended := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		ended <- s.Shutdown(ctx)
	})
	if err := s.Serve(l); err != fastcgi.ErrClosed {
		log.Fatal(err)
	}
	if err := <-ended; err != nil {
		log.Fatal(err)
	}
}

// A request, from the web server's end.
func ExampleClient() {
	address, stop := startExample(&fastcgi.Server{Handler: cgi.HandlerFunc(greet)})
	defer stop()

	var client fastcgi.Client // keeps its connections; one for the whole process
	defer client.Close()
	r := &cgi.Request{Method: "GET", Target: "/greeting", Proto: "HTTP/1.1", Host: "example.org"}
	resp, err := client.RoundTrip(context.Background(), "tcp", address, r)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	io.Copy(os.Stdout, resp.Body)
	// Output:
	// 200
	// hello from /greeting
}

// What an error says about the request: whether it can be sent again, to this
// application or to another.
func ExampleClient_RoundTrip_errors() {
	client := fastcgi.Client{FirstByteTimeout: 10 * time.Second}
	defer client.Close()
	r := &cgi.Request{Method: "POST", Target: "/order", Proto: "HTTP/1.1", Host: "example.org"}
	_, err := client.RoundTrip(context.Background(), "unix", "/nonexistent/app.sock", r)
	if failed, ok := errors.AsType[*fastcgi.Error](err); ok {
		fmt.Println(failed)
		fmt.Println("again:", failed.SafeToRetry, "timeout:", failed.Timeout(), "refused:", failed.Refused)
	}
	// Output:
	// fastcgi: dial unix:/nonexistent/app.sock: connect: no such file or directory
	// again: true timeout: false refused: false
}

// A php-fpm serves a file that it can see under its own name for it.
func ExampleClient_RoundTrip_php() {
	var client fastcgi.Client
	defer client.Close()
	r := &cgi.Request{
		Method: "GET", Target: "/index.php/a/path?x=1", Proto: "HTTP/1.1", Host: "example.org",
		RemoteAddr: "192.0.2.1", RemotePort: "50000", ServerAddr: "192.0.2.2", ServerPort: "80",
		Script: cgi.Script{
			Root: "/var/www", Filename: "/var/www/index.php",
			Name: "/index.php", PathInfo: "/a/path",
		},
	}
	resp, err := client.RoundTrip(context.Background(), "unix", "/run/php/php-fpm.sock", r)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	io.Copy(os.Stdout, resp.Body)
}

// An authorizer says whether a request may go on, and as whose.
func ExampleServer_authorizer() {
	address, stop := startExample(&fastcgi.Server{Authorizer: cgi.HandlerFunc(
		func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			if r.Header.Get("Cookie") != "session=1" {
				w.WriteHeader(403, nil)
				return
			}
			cgi.Allow(w, cgi.Field{Name: "REMOTE_USER", Value: "ann"})
		})})
	defer stop()
	var client fastcgi.Client
	defer client.Close()
	for _, cookie := range []string{"session=1", "session=2"} {
		resp, err := client.RoundTrip(context.Background(), "tcp", address, &cgi.Request{
			Role: cgi.Authorizer, Method: "GET", Target: "/secret", Proto: "HTTP/1.1", Host: "example.org",
			Header: cgi.Header{{Name: "Cookie", Value: cookie}},
		})
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(resp.Allows(), maps.Collect(resp.Variables()))
		resp.Body.Close()
	}
	// Output:
	// true map[REMOTE_USER:ann]
	// false map[]
}

// What an application says about itself.
func ExampleValues() {
	address, stop := startExample(&fastcgi.Server{Handler: cgi.HandlerFunc(greet), MaxConns: 100})
	defer stop()
	values, err := fastcgi.Values(context.Background(), "tcp", address, fastcgi.MaxConns, fastcgi.MpxsConn)
	if err != nil {
		log.Fatal(err)
	}
	for _, v := range values {
		fmt.Printf("%s=%s\n", v.Name, v.Value)
	}
	// Output:
	// FCGI_MAX_CONNS=100
	// FCGI_MPXS_CONNS=1
}

// The bytes of an answer, as they go over the wire, and back.
func ExampleDecoder() {
	b := fastcgi.AppendStream(nil, fastcgi.TypeStdout, 1, []byte("Status: 204\r\n\r\n"))
	b = fastcgi.AppendEnd(b, fastcgi.TypeStdout, 1)
	b = fastcgi.AppendEndRequest(b, 1, fastcgi.End{})

	var d fastcgi.Decoder
	for len(b) > 0 {
		p, rest, ok, err := d.Next(b)
		if err != nil || !ok {
			log.Fatal("an end in the middle of a record", err)
		}
		fmt.Printf("%v for request %d: %q, ends the stream: %v\n", p.Type, p.ID, p.Content, p.Ends)
		b = rest
	}
	// Output:
	// STDOUT for request 1: "Status: 204\r\n\r\n", ends the stream: false
	// STDOUT for request 1: "", ends the stream: true
	// END_REQUEST for request 1: "\x00\x00\x00\x00\x00\x00\x00\x00", ends the stream: false
}
