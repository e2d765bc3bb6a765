// restart: an application that takes its time to start, and says when it has.
//
//	restart MILLISECONDS FILE
//
// It writes the time (nanoseconds since 1970) into FILE right before it begins to accept. /die ends it with status 3.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/cgi/cgihttp"
	"github.com/sluice-gateway/sluice/fastcgi"
)

func main() {
	ms, err := strconv.Atoi(os.Args[1])
	check(err)
	l, err := fastcgi.Listen("fd:0")
	check(err)
	time.Sleep(time.Duration(ms) * time.Millisecond)
	check(os.WriteFile(os.Args[2], []byte(strconv.FormatInt(time.Now().UnixNano(), 10)), 0o644))
	check((&fastcgi.Server{Handler: cgihttp.Handler(http.HandlerFunc(answer))}).Serve(l))
}

func answer(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/die" {
		os.Exit(3)
	}
	io.WriteString(w, "hello")
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
