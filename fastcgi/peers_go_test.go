package fastcgi_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/fcgi"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi/cgihttp"
	"github.com/sluice-gateway/sluice/fastcgi"
)

// startSluice serves echo with our own server.
func startSluice(t *testing.T) (network, address string) {
	address = filepath.Join(shortDir(t), "a.sock")
	l, err := fastcgi.Listen("unix:" + address)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, http.HandlerFunc(echo))
	return "unix", address
}

// asNetHTTPFCGI is the argument that makes the test binary such a peer.
const asNetHTTPFCGI = "serve-net-http-fcgi"

// startNetHTTPFCGI starts the test binary once more, because a handler that
// panics ends a process that serves with net/http/fcgi.
func startNetHTTPFCGI(t *testing.T) (network, address string) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return startOnDescriptor0(t, 1, self, asNetHTTPFCGI)
}

// serveNetHTTPFCGI serves the listening socket on descriptor 0. It does not return.
func serveNetHTTPFCGI() {
	err := fcgi.Serve(nil, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("do") != "params" {
			echo(w, r)
			return
		}
		params := fcgi.ProcessEnv(r)
		params["REQUEST_METHOD"], params["REQUEST_URI"], params["QUERY_STRING"] = r.Method, r.URL.RequestURI(), r.URL.RawQuery
		params["SERVER_PROTOCOL"], params["HTTP_HOST"] = r.Proto, r.Host
		params["REMOTE_ADDR"], params["REMOTE_PORT"], _ = net.SplitHostPort(r.RemoteAddr)
		for name, values := range r.Header {
			params["HTTP_"+strings.ToUpper(strings.ReplaceAll(name, "-", "_"))] = strings.Join(values, ", ")
		}
		for name, value := range params {
			fmt.Fprintf(w, "%s=%s\n", name, value)
		}
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// echo is the application of testdata/peers/echo.c as an http.Handler.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	switch r.URL.Query().Get("do") {
	case "sum":
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		io.WriteString(w, sum(body))
	case "big":
		io.WriteString(w, mebibytes)
	case "missing":
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, "missing")
	case "moved":
		w.Header().Set("Location", "http://example.org/there")
		w.WriteHeader(http.StatusFound)
	case "note":
		fmt.Fprintln(cgihttp.Stderr(r), "a note to the log")
		io.WriteString(w, "noted")
	case "hello":
		io.WriteString(w, "hello")
	case "head":
		w.Header().Set("X-Large", strings.Repeat("x", 30_000))
		for i := 1; i < 100; i++ {
			w.Header().Set(fmt.Sprintf("X-%d", i), fmt.Sprint(i))
		}
		io.WriteString(w, "head")
	case "exit":
		io.WriteString(w, "begun\n")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case "slow":
		io.WriteString(w, "begun\n")
		http.NewResponseController(w).Flush()
		for range 200 {
			select {
			case <-r.Context().Done():
				return
			case <-time.After(10 * time.Millisecond):
			}
			if _, err := io.WriteString(w, "."); err != nil {
				return
			}
			http.NewResponseController(w).Flush()
		}
	default:
		for name, value := range cgihttp.Params(r) {
			fmt.Fprintf(w, "%s=%s\n", name, value)
		}
	}
}
