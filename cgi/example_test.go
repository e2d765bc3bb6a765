package cgi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"os"
	"strings"

	"github.com/sluice-gateway/sluice/cgi"
)

// A handler that reads its request, and says what it thinks of it to the log of
// the web server.
func ExampleHandler() {
	h := cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		logger := slog.New(slog.NewTextHandler(cgi.Stderr(w), nil))
		if r.Method != "POST" || r.Body == nil {
			w.WriteHeader(405, cgi.Header{{Name: "Allow", Value: "POST"}})
			return
		}
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			logger.Error("upload broken off", "err", err)
			w.Abort() // the answer, too: nobody shall take it for whole
			return
		}
		w.WriteHeader(200, cgi.Header{{Name: "Content-Type", Value: "text/plain"}})
		fmt.Fprintf(w, "%d bytes for %s\n", n, r.Path())
	})
	// A web server starts the program with an environment like this one.
	var answer strings.Builder
	program := cgi.Program{
		Env: []string{
			"GATEWAY_INTERFACE=CGI/1.1", "REQUEST_METHOD=POST", "SERVER_PROTOCOL=HTTP/1.1",
			"REQUEST_URI=/upload?x=1", "CONTENT_LENGTH=4",
		},
		Stdin: strings.NewReader("body"), Stdout: &answer, Stderr: os.Stderr,
	}
	if err := program.Serve(context.Background(), h); err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.ReplaceAll(answer.String(), "\r\n", "\n"))
	// Output:
	// Status: 200 OK
	// Content-Type: text/plain
	//
	// 4 bytes for /upload
}

// A program that a web server starts for each request, or once as a FastCGI
// application.
func ExampleServe() {
	hello := cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
		io.WriteString(w, "hello\n")
	})
	err := cgi.Serve(context.Background(), hello)
	if errors.Is(err, cgi.ErrNotCGI) {
		fmt.Println("no CGI program: serve FastCGI on descriptor 0 here")
	} else if err != nil {
		os.Exit(1) // so that the web server can tell
	}
	// Output:
	// no CGI program: serve FastCGI on descriptor 0 here
}

// What an application is told of a request.
func ExampleRequest_Params() {
	r := &cgi.Request{
		Method: "GET", Target: "/app.php/a%20b?x=1", Proto: "HTTP/1.1", Host: "example.org",
		RemoteAddr: "192.0.2.1", ServerPort: "80",
		Header: cgi.Header{{Name: "Accept", Value: "text/html"}, {Name: "Proxy", Value: "never passed on"}},
		Script: cgi.Script{Root: "/var/www", Filename: "/var/www/app.php", Name: "/app.php", PathInfo: "/a b"},
		Extra:  []cgi.Field{{Name: "APP_ENV", Value: "production"}},
	}
	for name, value := range r.Params() {
		switch name {
		case "REQUEST_URI", "QUERY_STRING", "SCRIPT_NAME", "SCRIPT_FILENAME", "PATH_INFO", "APP_ENV":
			fmt.Printf("%s=%s\n", name, value)
		}
		if strings.HasPrefix(name, "HTTP_") {
			fmt.Printf("%s=%s\n", name, value)
		}
	}
	// Unordered output:
	// REQUEST_URI=/app.php/a%20b?x=1
	// QUERY_STRING=x=1
	// SCRIPT_NAME=/app.php
	// SCRIPT_FILENAME=/var/www/app.php
	// PATH_INFO=/a b
	// HTTP_HOST=example.org
	// HTTP_ACCEPT=text/html
	// APP_ENV=production
}

// The same from the application's side.
func ExampleFromParams() {
	r, err := cgi.FromParams([]cgi.Field{
		{Name: "REQUEST_METHOD", Value: "GET"},
		{Name: "REQUEST_URI", Value: "/a%20b?x=1"},
		{Name: "HTTP_ACCEPT_LANGUAGE", Value: "de"},
		{Name: "APP_ENV", Value: "production"},
	})
	if err != nil {
		log.Fatal(err)
	}
	env, _ := r.Param("APP_ENV")
	fmt.Println(r.Method, r.Path(), r.Query(), r.Header.Get("Accept-Language"), env)
	// Output:
	// GET /a%20b x=1 de production
}

// The head of an answer comes in pieces, and something of the body with the
// last one.
func ExampleHeadParser() {
	var p cgi.HeadParser
	for _, piece := range []string{"Status: 404 Not", " Found\r\nContent-Type: te", "xt/plain\r\n\r\nno such page\n"} {
		n, done, err := p.Feed([]byte(piece))
		if err != nil {
			log.Fatal(err)
		}
		if !done {
			continue
		}
		head, err := p.Head()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(head.Status, head.Header.Get("Content-Type"), head.ContentLength)
		fmt.Print("body: ", piece[n:])
	}
	// Output:
	// 404 text/plain -1
	// body: no such page
}

func ExampleAppendHead() {
	head, err := cgi.AppendHead(nil, 302, cgi.Header{{Name: "Location", Value: "https://example.org/"}})
	fmt.Printf("%q %v\n", head, err)
	_, err = cgi.AppendHead(nil, 302, cgi.Header{{Name: "Location", Value: "/\r\nSet-Cookie: forged"}})
	fmt.Println(errors.Is(err, cgi.ErrMalformed))
	// Output:
	// "Status: 302 Found\r\nLocation: https://example.org/\r\n\r\n" <nil>
	// true
}
