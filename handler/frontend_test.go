package handler

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/cgi/cgihttp"
)

// lines hands each line of a log to the test. One record is one Write.
type lines chan string

func (l lines) Write(p []byte) (int, error) {
	_, line, _ := strings.Cut(string(p), "] ") // after the time
	l <- strings.TrimSuffix(line, "\n")
	return len(p), nil
}

// TestBehindHTTP: what net/http does and what the log says are the same.
func TestBehindHTTP(t *testing.T) {
	log := make(lines, 1)
	entered := make(chan struct{})
	app := func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		switch r.Path() {
		case "/hello":
			w.WriteHeader(200, cgi.Header{{Name: "Content-Length", Value: "5"}})
			io.WriteString(w, "hello")
		case "/panic":
			panic("no")
		case "/cut":
			w.WriteHeader(200, cgi.Header{{Name: "Content-Length", Value: "5"}})
			io.WriteString(w, "hel")
			w.Abort()
		case "/slow":
			close(entered)
			<-ctx.Done() // the client gives up
		}
	}
	s := httptest.NewServer(&cgihttp.FrontEnd{Handler: AccessLog(cgi.HandlerFunc(app), slog.New(NewCombined(log)))})
	defer s.Close()
	tests := []struct {
		name, request, status, line string
	}{
		{"get", "GET /hello", "HTTP/1.1 200 OK", `"GET /hello HTTP/1.1" 200 5 "-" "-"`},
		{"head", "HEAD /hello", "HTTP/1.1 200 OK", `"HEAD /hello HTTP/1.1" 200 - "-" "-"`},
		{"said nothing", "GET /?a=%22", "HTTP/1.1 200 OK", `"GET /?a=%22 HTTP/1.1" 200 - "-" "-"`},
		{"panic", "GET /panic", "HTTP/1.1 500 Internal Server Error", `"GET /panic HTTP/1.1" 500 - "-" "-"`},
		{"aborted", "GET /cut", "HTTP/1.1 200 OK", `"GET /cut HTTP/1.1" 200 3 "-" "-"`},
		{"client gone", "GET /slow", "", `"GET /slow HTTP/1.1" 499 - "-" "-"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := net.Dial("tcp", s.Listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			io.WriteString(c, tt.request+" HTTP/1.1\r\nHost: x\r\n\r\n")
			if tt.status == "" {
				<-entered
				c.Close()
			} else if got, err := bufio.NewReader(c).ReadString('\n'); strings.TrimSpace(got) != tt.status {
				t.Errorf("status line %q, %v, want %q", got, err, tt.status)
			}
			if got := <-log; got != tt.line {
				t.Errorf("log: %s\nwant %s", got, tt.line)
			}
		})
	}
}
