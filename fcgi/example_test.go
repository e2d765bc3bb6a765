package fcgi_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/sluice-gateway/sluice/fcgi"
)

func Example() {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s for %s\n", r.Method, r.URL.Path, fcgi.ProcessEnv(r)["REMOTE_USER"])
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go fcgi.Serve(l, handler)

	// What a web server does:
	var client fastcgi.Client
	defer client.Close()
	res, err := client.RoundTrip(context.Background(), "tcp", l.Addr().String(), &cgi.Request{
		Method: "GET", Target: "/hello", Proto: "HTTP/1.1", RemoteUser: "ann",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%d %s", res.Status, body)
	// Output: 200 GET /hello for ann
}

// An application that a web server starts, with the socket as its standard
// input.
func ExampleServe() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "hello")
	})
	log.Fatal(fcgi.Serve(nil, nil))
}
