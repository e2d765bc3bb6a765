package scgi_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"maps"
	"net"
	"os"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/scgi"
)

func hello(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	fmt.Fprintf(w, "hello from %s\n", r.Path())
}

// An application, for a web server that says "scgi_pass unix:/run/app.sock".
func ExampleServer() {
	l, err := scgi.Listen("unix:/run/app.sock")
	if err != nil {
		log.Fatal(err)
	}
	s := &scgi.Server{Handler: cgi.HandlerFunc(hello)}
	log.Fatal(s.Serve(l))
}

// A request, from the web server's end.
func ExampleClient() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	s := &scgi.Server{Handler: cgi.HandlerFunc(hello)}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()

	var client scgi.Client
	r := &cgi.Request{Method: "GET", Target: "/greeting", Proto: "HTTP/1.1", Host: "example.org"}
	resp, err := client.RoundTrip(context.Background(), "tcp", l.Addr().String(), r)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	io.Copy(os.Stdout, resp.Body)

	s.Shutdown(context.Background())
	fmt.Println(<-served)
	// Output:
	// 200
	// hello from /greeting
	// scgi: closed
}

func ExampleAppendHeaders() {
	params := maps.All(map[string]string{"REQUEST_METHOD": "POST"})
	b, err := scgi.AppendHeaders(nil, 5, params, 0)
	fmt.Printf("%q %v\n", append(b, "hello"...), err)
	// Output:
	// "44:CONTENT_LENGTH\x005\x00SCGI\x001\x00REQUEST_METHOD\x00POST\x00,hello" <nil>
}

func ExampleDecoder() {
	var d scgi.Decoder
	b := []byte("43:CONTENT_LENGTH\x000\x00SCGI\x001\x00REQUEST_METHOD\x00GET\x00,")
	for len(b) > 0 { // as they come
		n, done, err := d.Feed(b[:min(10, len(b))])
		if err != nil || done {
			break
		}
		b = b[n:]
	}
	for {
		name, value, ok := d.Next()
		if !ok {
			break
		}
		fmt.Printf("%s=%s\n", name, value)
	}
	// Output:
	// CONTENT_LENGTH=0
	// SCGI=1
	// REQUEST_METHOD=GET
}
