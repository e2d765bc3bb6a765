package scgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/testlog"
)

func TestServerConversations(t *testing.T) {
	echo := func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		if r.Body == nil {
			fmt.Fprintf(w, "%d no body", r.ContentLength)
			return
		}
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %q %v", r.ContentLength, b, err)
	}
	params := func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		fmt.Fprintf(w, "%v %s %s %q %q", r.Role, r.Method, r.Target, r.Header, r.Received)
	}
	const field = "CONTENT_LENGTH\x000\x00SCGI\x001\x00REQUEST_METHOD\x00GET\x00REQUEST_URI\x00/a?b\x00HTTP_X_A\x001\x00HTTP_X_A\x002\x00"
	tests := []struct {
		name    string
		server  *Server
		handler cgi.HandlerFunc // sayHello if nil
		in      string
		want    string
	}{
		{"GET", nil, nil, get, ok200 + "hello closed"},
		{"params", nil, params, headers(field), ok200 + `responder GET /a?b [{"X-A" "1"} {"X-A" "2"}] [{"CONTENT_LENGTH" "0"} {"SCGI" "1"} {"REQUEST_METHOD" "GET"} {"REQUEST_URI" "/a?b"} {"HTTP_X_A" "1"} {"HTTP_X_A" "2"}] closed`},
		{"no body", nil, echo, get, ok200 + "0 no body closed"},
		{"body", nil, echo, post5 + "abcde", ok200 + `5 "abcde" <nil> closed`},
		{"body that is not read", nil, nil, post5 + "abcde", ok200 + "hello closed"},
		{"body longer than said", nil, echo, post5 + "abcdef", ok200 + `5 "abcde" <nil> closed`},

		{"not SCGI", nil, nil, "GET / HTTP/1.1\r\n\r\n", bad400},
		{"FastCGI", nil, nil, "\x01\x01\x00\x01\x00\x08\x00\x00", bad400},
		{"no SCGI", nil, nil, headers("CONTENT_LENGTH\x000\x00REQUEST_METHOD\x00GET\x00"), bad400},
		{"no method", nil, nil, headers("CONTENT_LENGTH\x000\x00SCGI\x001\x00"), bad400},
		{"most bytes of params", &Server{MaxParams: 43}, nil, get, ok200 + "hello closed"},
		{"one byte more", &Server{MaxParams: 42}, nil, get, bad431},
		{"most params", &Server{MaxPairs: 3}, nil, get, ok200 + "hello closed"},
		{"one param more", &Server{MaxPairs: 2}, nil, get, bad431},
		{"no limits", &Server{MaxConns: -1, MaxParams: -1, MaxPairs: -1, ParamsTimeout: -1, WriteTimeout: -1}, nil, get, ok200 + "hello closed"},
		{"no handler", nil, func(context.Context, cgi.ResponseWriter, *cgi.Request) { panic("none") }, get, bad500},
		{"panic before anything was sent", nil, func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			io.WriteString(w, "some")
			panic("as handlers may")
		}, get, bad500},
		{"panic later", nil, func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			io.WriteString(w, "some")
			w.(interface{ Flush() error }).Flush()
			io.WriteString(w, "more")
			panic("as handlers may")
		}, get, ok200 + "some closed"},
		{"Goexit", nil, func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) { runtime.Goexit() }, get, bad500},
		{"Abort before anything was sent", nil, func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			io.WriteString(w, "some")
			w.Abort()
		}, get, " closed"},
		{"Abort when all was written", nil, func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			w.WriteHeader(200, cgi.Header{{Name: "Content-Length", Value: "4"}})
			w.Flush()
			io.WriteString(w, "some")
			w.Abort()
		}, get, "Status: 200 OK\r\nContent-Length: 4\r\n\r\n closed"},
		{"bad head", nil, func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			w.WriteHeader(200, cgi.Header{{Name: "A", Value: "1\r\nB: 2"}})
		}, get, bad500},
		{"nothing written", nil, func(context.Context, cgi.ResponseWriter, *cgi.Request) {}, get, ok200 + " closed"},
		{"body passed on", nil, func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) { io.Copy(w, r.Body) }, post5 + "abcde", ok200 + "abcde closed"},
		{"body read by bytes", nil, func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			b := make([]byte, 1)
			for {
				n, err := r.Body.Read(b)
				w.Write(b[:n])
				if err != nil {
					fmt.Fprint(w, " ", err)
					return
				}
			}
		}, post5 + "abcde", ok200 + "abcde EOF closed"},
		{"body cancelled", nil, func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			r.Body.Cancel()
			_, err := r.Body.Read(make([]byte, 9))
			fmt.Fprint(w, err)
		}, post5, ok200 + "scgi: read request body: cancelled closed"},
	}
	for _, tt := range tests {
		for _, size := range []int{1 << 20, 1} {
			t.Run(fmt.Sprintf("%s/%d", tt.name, size), func(t *testing.T) {
				s := &Server{}
				if tt.server != nil {
					s.MaxConns, s.MaxParams, s.MaxPairs = tt.server.MaxConns, tt.server.MaxParams, tt.server.MaxPairs
					s.ParamsTimeout, s.WriteTimeout = tt.server.ParamsTimeout, tt.server.WriteTimeout
				}
				s.Handler = tt.handler
				if tt.handler == nil {
					s.Handler = cgi.HandlerFunc(sayHello)
				}
				inBubble(t, s, func(t *testing.T, dial func() *web) {
					for range 2 { // the second finds the memory of the first
						w := dial()
						for in := tt.in; in != ""; {
							n := min(size, len(in))
							if _, err := io.WriteString(w, in[:n]); err != nil {
								break // closed, and more was to come
							}
							in = in[n:]
						}
						if got := w.answer(); got != tt.want {
							t.Errorf("answer = %q\nwant %q", got, tt.want)
						}
					}
				})
			})
		}
	}
}

// A small reply leaves in one write.
func TestServerSmallReplyIsOneWrite(t *testing.T) {
	s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		w.WriteHeader(404, cgi.Header{{Name: "X-A", Value: "1"}})
		for range 8 {
			io.WriteString(w, strings.Repeat("x", 1000))
		}
	})}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		w := dial()
		w.send(get)
		if got, want := w.answer(), "Status: 404 Not Found\r\nX-A: 1\r\n\r\n"+strings.Repeat("x", 8000)+" closed"; got != want {
			t.Errorf("answer = %s", got)
		}
		if w.writes != 1 {
			t.Errorf("%d writes, want 1", w.writes)
		}
	})
}

func TestServerMaxConns(t *testing.T) {
	s := &Server{Handler: cgi.HandlerFunc(sayHello), MaxConns: 1}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		first := dial()
		second := make(chan *web)
		go func() { second <- dial() }()
		synctest.Wait()
		select {
		case <-second:
			t.Fatal("a second connection was accepted")
		default:
		}
		first.send(get)
		w := <-second
		w.send(get)
		if got := w.answer(); got != ok200+"hello closed" {
			t.Errorf("answer = %s", got)
		}
	})
}

func TestServerMaxRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Handler: cgi.HandlerFunc(sayHello), MaxRequests: 2}
		l := newPipeListener()
		served := make(chan error)
		go func() { served <- s.Serve(l) }()
		for range 2 {
			ours, theirs := net.Pipe()
			l.conns <- theirs
			w := newWeb(t, ours)
			w.send(get)
			if got := w.answer(); got != ok200+"hello closed" {
				t.Errorf("answer = %s", got)
			}
			w.Close()
			<-w.done
		}
		if err := <-served; err != ErrRetired {
			t.Errorf("Serve = %v, want ErrRetired", err)
		}
	})
}

func TestServerParamsTimeout(t *testing.T) {
	tests := []struct {
		name, in string
		closed   bool
		logged   int
	}{
		{"silent", "", true, 0},
		{"half a length", "4", true, 1},
		{"half the headers", get[:20], true, 1},
		{"no comma", get[:len(get)-1], true, 1},
		{"body not sent", post5, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log testlog.Buffer
			s := &Server{Log: log.Logger(), Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				io.Copy(io.Discard, r.Body)
			})}
			inBubble(t, s, func(t *testing.T, dial func() *web) {
				w := dial()
				w.send(tt.in)
				time.Sleep(DefaultParamsTimeout - time.Second)
				if got := w.answer(); got != "" {
					t.Errorf("answer = %s, too early", got)
				}
				time.Sleep(2 * time.Second)
				if got := w.answer(); (got == " closed") != tt.closed {
					t.Errorf("answer = %q, want closed: %v", got, tt.closed)
				}
			})
			if got := log.With("connection closed", "a request did not come to the end of its headers in time"); len(got) != tt.logged {
				t.Errorf("logged %q, want %d lines", log.String(), tt.logged)
			}
		})
	}
}

// A write that the web server does not take ends the request.
func TestServerWriteTimeout(t *testing.T) {
	tests := []struct {
		name    string
		timeout time.Duration
		handler time.Duration // deadline that the handler sets
		want    time.Duration
	}{
		{"default", 0, 0, DefaultServerWriteTimeout},
		{"of the server", time.Second, 0, time.Second},
		{"of the handler", 0, 3 * time.Second, 3 * time.Second},
		{"of the handler alone", -1, 3 * time.Second, 3 * time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var cause chan error
			s := &Server{WriteTimeout: tt.timeout, Handler: cgi.HandlerFunc(func(ctx context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
				if tt.handler > 0 {
					w.(interface{ SetWriteDeadline(time.Time) error }).SetWriteDeadline(time.Now().Add(tt.handler))
				}
				start := time.Now()
				_, err := w.Write(make([]byte, 100_000))
				if took := time.Since(start); took != tt.want || !errors.Is(err, ErrConnectionLost) {
					t.Errorf("Write: %v after %v, want ErrConnectionLost after %v", err, took, tt.want)
				}
				cause <- context.Cause(ctx)
			})}
			synctest.Test(t, func(t *testing.T) {
				cause = make(chan error, 1)
				l := newPipeListener()
				served := make(chan error)
				go func() { served <- s.Serve(l) }()
				ours, theirs := net.Pipe()
				l.conns <- theirs
				io.WriteString(ours, get) // and does not read
				if err := <-cause; !errors.Is(err, ErrConnectionLost) {
					t.Errorf("cause = %v, want ErrConnectionLost", err)
				}
				s.Close()
				<-served
				ours.Close()
			})
		})
	}
}

// What a handler writes to cgi.Stderr goes to the log, a line an event.
func TestServerStderr(t *testing.T) {
	var log testlog.Buffer
	var late io.Writer
	s := &Server{Log: log.Logger(), Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
		late = cgi.Stderr(w)
		io.WriteString(late, "one\ntw")
		io.WriteString(late, "o\nthree")
	})}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		w := dial()
		w.send(get)
		w.answer()
	})
	for _, text := range []string{"text=one", "text=two", "text=three"} {
		if got := log.With(`msg="application stderr"`, text, "method=GET", "path=/"); len(got) != 1 {
			t.Errorf("%d lines with %s: %s", len(got), text, log.String())
		}
	}
	if _, err := io.WriteString(late, "four"); err != errEnded {
		t.Errorf("Write after the handler has returned: %v, want %v", err, errEnded)
	}
}

// Whoever holds on to what belongs to a request that is over is told so.
func TestServerAfterTheHandler(t *testing.T) {
	var w cgi.ResponseWriter
	var body cgi.Body
	var ctx context.Context
	s := &Server{Handler: cgi.HandlerFunc(func(c context.Context, rw cgi.ResponseWriter, r *cgi.Request) {
		w, body, ctx = rw, r.Body, c
		context.AfterFunc(c, func() {})
	})}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		peer := dial()
		peer.send(post5)
		if got := peer.answer(); got != ok200+" closed" {
			t.Errorf("answer = %s", got)
		}
		_, werr := w.Write([]byte("x"))
		_, rerr := w.(io.ReaderFrom).ReadFrom(strings.NewReader("x"))
		for _, err := range []error{w.WriteHeader(200, nil), werr, rerr, w.Flush()} {
			if err != errEnded {
				t.Errorf("error %v, want %v", err, errEnded)
			}
		}
		w.Abort()
		body.Cancel()
		if _, err := body.Read(make([]byte, 1)); err != errReadEnded {
			t.Errorf("Read: %v, want %v", err, errReadEnded)
		}
		if ctx.Err() != context.Canceled {
			t.Errorf("context: %v, want it cancelled", ctx.Err())
		}
	})
}

// A body that another goroutine still reads when the handler returns does not
// hold the answer back.
func TestServerBodyReadBeyondTheHandler(t *testing.T) {
	read := make(chan error, 1)
	s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		body := r.Body
		go func() {
			_, err := io.Copy(io.Discard, struct{ io.Reader }{body})
			read <- err
		}()
		time.Sleep(time.Second)
		io.WriteString(w, "hello")
	})}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		w := dial()
		w.send(post5 + "ab")
		time.Sleep(2 * time.Second)
		if got := w.answer(); got != ok200+"hello closed" {
			t.Errorf("answer = %s", got)
		}
		if err := <-read; err != errReadEnded {
			t.Errorf("the reader got %v, want %v", err, errReadEnded)
		}
	})
}

func TestServerEndsWithItsListener(t *testing.T) {
	s := &Server{Handler: cgi.HandlerFunc(sayHello)}
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := s.Serve(l); !errors.Is(err, net.ErrClosed) || !strings.HasPrefix(err.Error(), "scgi: serve: ") {
		t.Errorf("Serve = %v, want one that wraps %v", err, net.ErrClosed)
	}
	s.Close()
	if err := s.Serve(newPipeListener()); err != ErrClosed {
		t.Errorf("Serve after Close = %v, want ErrClosed", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close = %v", err)
	}
	if _, err := Listen("nowhere"); err == nil || !strings.HasPrefix(err.Error(), "scgi: listen: ") {
		t.Errorf("Listen(nowhere) = %v", err)
	}
}
