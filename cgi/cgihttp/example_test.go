package cgihttp_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/cgi/cgihttp"
	"github.com/sluice-gateway/sluice/fastcgi"
)

// An ordinary http.Handler as a FastCGI application, here on a socket of its
// own. A program that a web server starts calls fastcgi.Serve(nil, h) instead.
func ExampleHandler() {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _ := cgihttp.Param(r, "REMOTE_USER")
		fmt.Fprintf(w, "hello %s, you ask for %s", user, r.URL.Path)
	})

	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := &fastcgi.Server{Handler: cgihttp.Handler(h)}
	go server.Serve(l) // ends with Shutdown
	defer server.Shutdown(context.Background())

	// This is what a web server does.
	var client fastcgi.Client
	defer client.Close()
	resp, err := client.RoundTrip(context.Background(), "tcp", l.Addr().String(), &cgi.Request{
		Method: "GET", Target: "/x", Proto: "HTTP/1.1", Host: "example.org", RemoteUser: "ann",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(resp.Status, string(body), err)
	// Output: 200 hello ann, you ask for /x <nil>
}

// An http.Client that asks a FastCGI application for its pages, without a web
// server. For PHP it would be the socket of php-fpm.
func ExampleTransport() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := filepath.Join(dir, "app.sock")
	stop := startApplication(socket)
	defer stop()

	var fcgi fastcgi.Client
	defer fcgi.Close()
	client := &http.Client{Transport: &cgihttp.Transport{
		Client:  &fcgi,
		Network: "unix",
		Address: socket,
		Prepare: func(r *cgi.Request, hr *http.Request) {
			r.Script = cgi.Script{Filename: "/srv/www/index.php", Name: "/index.php", PathInfo: hr.URL.Path}
			r.RemoteAddr = "127.0.0.1"
		},
	}}
	resp, err := client.Get("http://example.org/news?page=2")
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	fmt.Println(resp.Status, string(body), err)
	// Output: 200 OK /index.php was asked for /news, page 2 <nil>
}

// startApplication starts what might as well be written in another language.
func startApplication(socket string) (stop func()) {
	l, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	server := &fastcgi.Server{Handler: cgihttp.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		script, _ := cgihttp.Param(r, "SCRIPT_NAME")
		path, _ := cgihttp.Param(r, "PATH_INFO")
		fmt.Fprintf(w, "%s was asked for %s, page %s", script, path, r.FormValue("page"))
	}))}
	go server.Serve(l) // ends with Close
	return func() { server.Close() }
}
