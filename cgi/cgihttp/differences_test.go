package cgihttp

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
)

// Trailers never reach the web server, whatever way and time they are set.
func TestTrailersAreDropped(t *testing.T) {
	tests := []struct {
		name string
		h    http.HandlerFunc
	}{
		{"announced, set at the end", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum, X-Other")
			io.WriteString(w, "body")
			w.Header().Set("X-Sum", "1")
			w.Header().Set("X-Other", "1")
		}},
		{"announced twice, set at once", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Add("Trailer", "X-Other")
			w.Header().Add("Trailer", "x-sum")
			w.Header().Set("X-Sum", "1")
			io.WriteString(w, "body")
		}},
		{"announced, no WriteHeader", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			w.Header().Set("X-Sum", "1")
		}},
		{"prefix at once", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
			io.WriteString(w, "body")
		}},
		{"prefix after a flush", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "body")
			w.(http.Flusher).Flush()
			w.Header().Set(http.TrailerPrefix+"X-Sum", "1")
		}},
		{"in an interim response", func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Trailer", "X-Sum")
			w.Header().Set("X-Sum", "1")
			w.WriteHeader(103)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			calls := strings.ToLower(serve(tt.h, get("/")).calls.String())
			if strings.Contains(calls, "x-sum") || strings.Contains(calls, "trailer") {
				t.Errorf("calls:\n%s", calls)
			}
			res, err := startHTTPApp(t, tt.h).Get("http://h/")
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.Header["X-Sum"] != nil || res.Trailer != nil {
				t.Errorf("header %v, trailer %v", res.Header, res.Trailer)
			}
		})
	}
}

// A client that waits for 100 gets it when the handler reads the body, and
// gets an answer without it from a handler that does not.
func TestExpectContinue(t *testing.T) {
	tests := []struct {
		name, want string
		h          http.HandlerFunc
	}{
		{"read", "HTTP/1.1 100 Continue\r\n", func(w http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			fmt.Fprintf(w, "%s: %s %v", r.Header.Get("Expect"), b, err)
		}},
		{"not read", "HTTP/1.1 413 Request Entity Too Large\r\n", func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(413)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := dialRaw(t, startServer(t, &FrontEnd{Handler: Handler(tt.h)}))
			c.send("PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\n")
			line, err := c.r.ReadString('\n')
			if line != tt.want || err != nil {
				t.Fatalf("first line %q, %v, want %q", line, err, tt.want)
			}
			if !strings.Contains(line, "100") {
				return
			}
			c.r.ReadString('\n') // the empty line
			c.send("body")
			if _, got := c.response("PUT"); got != "100-continue: body <nil>" {
				t.Errorf("answer %q", got)
			}
		})
	}
}

// 103 is passed on to the web servers that take it, and kept from nginx, which
// would take it for the response.
func TestEarlyHints(t *testing.T) {
	tr := startApp(t, Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "l")
		w.WriteHeader(103)
		io.WriteString(w, "ok")
	})))
	for software, want := range map[string]string{cgi.Software: "103 map[Link:[l]]; 200", "nginx/1.22.1": "200"} {
		tr.Prepare = func(r *cgi.Request, _ *http.Request) {
			r.Extra = append(r.Extra, cgi.Field{Name: "SERVER_SOFTWARE", Value: software})
		}
		got := ""
		r, _ := http.NewRequestWithContext(httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				got += fmt.Sprint(code, " ", h, "; ")
				return nil
			},
		}), "GET", "http://h/", nil)
		res, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if got += fmt.Sprint(res.StatusCode); got != want {
			t.Errorf("%s: got %s, want %s", software, got, want)
		}
	}
}

// A panic is a status 500 as long as nothing has been sent, and a broken body
// afterwards; http.ErrAbortHandler is never an answer.
func TestPanicsAtTheOtherEnd(t *testing.T) {
	flushed := func(w http.ResponseWriter, v any) {
		io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		panic(v)
	}
	tests := []struct {
		name string
		h    http.HandlerFunc
		want string
	}{
		{"before anything", func(w http.ResponseWriter, r *http.Request) { panic("oops") }, `500 "Internal Server Error\n" whole`},
		{"with a buffered part", func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "part")
			panic("oops")
		}, `500 "Internal Server Error\n" whole`},
		{"after a part", func(w http.ResponseWriter, r *http.Request) { flushed(w, "oops") }, `200 "part" broken`},
		{"abort before anything", func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }, "error"},
		{"abort after a part", func(w http.ResponseWriter, r *http.Request) { flushed(w, http.ErrAbortHandler) }, `200 "part" broken`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := "error"
			if res, err := startHTTPApp(t, tt.h).Post("http://h/", "a/b", http.NoBody); err == nil {
				b, err := io.ReadAll(res.Body)
				res.Body.Close()
				end := "whole"
				if err != nil {
					end = "broken"
				}
				got = fmt.Sprintf("%d %q %s", res.StatusCode, b, end)
			}
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// What is flushed is there while the handler runs.
func TestFlushArrives(t *testing.T) {
	goOn := make(chan bool)
	c := startHTTPApp(t, func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "first")
		if err := http.NewResponseController(w).Flush(); err != nil {
			t.Error(err)
		}
		<-goOn
		io.WriteString(w, "second")
	})
	res, err := c.Get("http://h/")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	first := make([]byte, 100)
	n, err := res.Body.Read(first)
	close(goOn)
	if rest, restErr := io.ReadAll(res.Body); string(first[:n]) != "first" || string(rest) != "second" || err != nil || restErr != nil {
		t.Errorf("read %q, %v, then %q, %v", first[:n], err, rest, restErr)
	}
}
