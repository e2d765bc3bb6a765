package fastcgi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

const ends1 = ` STDOUT(1) END(1 REQUEST_COMPLETE)`

func TestServerReplies(t *testing.T) {
	long := strings.Repeat("x", 100)
	tests := []struct {
		name    string
		handler func(t *testing.T, w cgi.ResponseWriter)
		want    string
	}{
		{"nothing", func(*testing.T, cgi.ResponseWriter) {}, `STDOUT(1 "Status: 200 OK\r\n\r\n")` + ends1},
		{"head", func(t *testing.T, w cgi.ResponseWriter) {
			if err := w.WriteHeader(418, cgi.Header{{Name: "b", Value: "2\t2"}, {Name: "A", Value: "1"}, {Name: "b", Value: ""}}); err != nil {
				t.Error(err)
			}
			if err := w.WriteHeader(200, nil); err == nil {
				t.Error("second WriteHeader: no error")
			}
		}, `STDOUT(1 "Status: 418 I'm a teapot\r\nb: 2\t2\r\nA: 1\r\nb: \r\n\r\n")` + ends1},
		{"status without a name", func(t *testing.T, w cgi.ResponseWriter) { w.WriteHeader(999, nil) }, `STDOUT(1 "Status: 999 status code 999\r\n\r\n")` + ends1},
		{"fields of one connection", func(t *testing.T, w cgi.ResponseWriter) {
			w.WriteHeader(200, cgi.Header{{Name: "Connection", Value: "close"}, {Name: "status", Value: "500"}, {Name: "Transfer-Encoding", Value: "chunked"}, {Name: "X-Status", Value: "1"}, {Name: "stratus", Value: "2"}})
		}, `STDOUT(1 "Status: 200 OK\r\nX-Status: 1\r\nstratus: 2\r\n\r\n")` + ends1},
		{"status that cannot be sent", func(t *testing.T, w cgi.ResponseWriter) {
			for _, status := range []int{-200, 0, 99, 101, 1000} {
				if err := w.WriteHeader(status, nil); !errors.Is(err, cgi.ErrMalformed) {
					t.Errorf("WriteHeader(%d) = %v", status, err)
				}
			}
		}, `STDOUT(1 "Status: 200 OK\r\n\r\n")` + ends1},
		{"bad fields, then good ones", func(t *testing.T, w cgi.ResponseWriter) {
			for _, f := range []cgi.Field{{Name: "A", Value: "1\r\nB: 2"}, {Name: "A", Value: "\x00"}, {Name: "A", Value: "\x7f"}, {Name: "A B", Value: ""}, {Name: "", Value: ""}, {Name: "A:", Value: ""}, {Name: "A\n", Value: ""}} {
				if err := w.WriteHeader(200, cgi.Header{{Name: "X", Value: "1"}, f}); !errors.Is(err, cgi.ErrMalformed) {
					t.Errorf("WriteHeader(%q) = %v", f, err)
				}
			}
			w.WriteHeader(204, cgi.Header{{Name: "Y", Value: "1"}})
		}, `STDOUT(1 "Status: 204 No Content\r\nY: 1\r\n\r\n")` + ends1},
		{"bad fields and no more", func(t *testing.T, w cgi.ResponseWriter) {
			w.WriteHeader(200, cgi.Header{{Name: "A\n", Value: ""}})
			if _, err := io.WriteString(w, "body"); !errors.Is(err, cgi.ErrMalformed) {
				t.Errorf("Write = %v", err)
			}
		}, `STDOUT(1 "Status: 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nInternal Server Error\n")` + ends1},
		{"no body allowed", func(t *testing.T, w cgi.ResponseWriter) {
			w.WriteHeader(304, nil)
			n, err := io.WriteString(w, "body")
			m, err2 := w.(io.ReaderFrom).ReadFrom(strings.NewReader("body"))
			if n != 4 || err != nil || m != 4 || err2 != nil {
				t.Error(n, err, m, err2)
			}
		}, `STDOUT(1 "Status: 304 Not Modified\r\n\r\n")` + ends1},
		{"flush", func(t *testing.T, w cgi.ResponseWriter) {
			for _, s := range []string{"", "a", "", "b"} {
				w.Write([]byte(s))
				if err := w.Flush(); err != nil {
					t.Error(err)
				}
			}
		}, `STDOUT(1 "Status: 200 OK\r\n\r\n") STDOUT(1 "a") STDOUT(1 "b")` + ends1},
		{"what does not fit goes with what was gathered", func(t *testing.T, w cgi.ResponseWriter) {
			for range 82 {
				io.WriteString(w, long)
			}
		}, `STDOUT(1 "Status: 200 OK\r\n\r\n` + strings.Repeat(long, 81) + `") STDOUT(1 "` + long + `")` + ends1},
		{"abort", func(t *testing.T, w cgi.ResponseWriter) {
			io.WriteString(w, "part")
			w.Abort()
			if _, err := io.WriteString(w, "x"); err == nil {
				t.Error("Write after Abort: no error")
			}
		}, `STDOUT(1 "Status: 200 OK\r\n\r\npart") closed`},
		{"abort before anything", func(t *testing.T, w cgi.ResponseWriter) { w.Abort() }, `closed`},
		{"goexit", func(t *testing.T, w cgi.ResponseWriter) {
			w.Flush()
			runtime.Goexit()
		}, `STDOUT(1 "Status: 200 OK\r\n\r\n") closed`},
		{"stderr", func(t *testing.T, w cgi.ResponseWriter) {
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() { fmt.Fprint(cgi.Stderr(w), "note") })
			}
			wg.Wait()
			cgi.Stderr(w).Write(nil)
		}, `STDERR(1 "note") STDERR(1 "note") STDERR(1 "note") STDOUT(1 "Status: 200 OK\r\n\r\n") STDERR(1)` + ends1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) { tt.handler(t, w) })}
			inBubble(t, s, func(t *testing.T, dial func() *web) {
				w := dial()
				w.send(wholeK1)
				if got := w.replies(); got != tt.want {
					t.Errorf("replies = %s\nwant %s", got, tt.want)
				}
			})
		})
	}
}

// A long body and a long head come in records that are as large as they can
// be, and nothing of them is lost.
func TestServerLongReplies(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 30_000)
	writers := map[string]func(w cgi.ResponseWriter){
		"one write": func(w cgi.ResponseWriter) { w.Write(content) },
		"writes of 7 bytes": func(w cgi.ResponseWriter) {
			for rest := content; len(rest) > 0; rest = rest[min(7, len(rest)):] {
				w.Write(rest[:min(7, len(rest))])
			}
		},
		"reader":           func(w cgi.ResponseWriter) { w.(io.ReaderFrom).ReadFrom(bytes.NewReader(content)) },
		"reader by a byte": func(w cgi.ResponseWriter) { io.Copy(w, &oneByte{content[:1000]}); w.Write(content[1000:]) },
		"head of two rows": nil,
		"everything at all": func(w cgi.ResponseWriter) {
			w.Write(content[:5])
			w.Flush()
			w.Write(content[5:100_000])
			w.Write(content[100_000:])
		},
	}
	for name, write := range writers {
		t.Run(name, func(t *testing.T) {
			want := "Status: 200 OK\r\n\r\n" + string(content)
			s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
				if write == nil {
					w.WriteHeader(200, cgi.Header{{Name: "X", Value: string(content)}})
					return
				}
				write(w)
			})}
			if write == nil {
				want = "Status: 200 OK\r\nX: " + string(content) + "\r\n\r\n"
			}
			inBubble(t, s, func(t *testing.T, dial func() *web) {
				w := dial()
				w.send(wholeK1)
				synctest.Wait()
				var d Decoder
				var got []byte
				var last Piece
				for b := w.got.Bytes(); ; {
					p, rest, ok, err := d.Next(b)
					if err != nil {
						t.Fatal(err)
					}
					if !ok {
						break
					}
					if p.Type == TypeStdout {
						got = append(got, p.Content...)
					}
					b, last = rest, p
				}
				if string(got) != want || last.Type != TypeEndRequest {
					t.Errorf("%d bytes of STDOUT, last record %v, want %d bytes and END_REQUEST", len(got), last.Type, len(want))
				}
			})
		})
	}
}

type oneByte struct{ left []byte }

func (r *oneByte) Read(p []byte) (int, error) {
	if len(r.left) == 0 {
		return 0, io.EOF
	}
	p[0] = r.left[0]
	r.left = r.left[1:]
	return 1, nil
}

func TestServerHeadHasNoBody(t *testing.T) {
	s := &Server{Handler: cgi.HandlerFunc(sayHello)}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		w := dial()
		w.send(beginK1 + params1("\x0e\x04REQUEST_METHODHEAD") + endParams1 + endStdin1)
		if got, want := w.replies(), `STDOUT(1 "Status: 200 OK\r\n\r\n")`+ends1; got != want {
			t.Errorf("replies = %s, want %s", got, want)
		}
	})
}

// A response that must be broken closes its connection, but others on it have
// some time to end.
func TestServerAbortBesideOthers(t *testing.T) {
	for _, tt := range []struct {
		name  string
		takes time.Duration
		want  string
	}{
		{"others end in time", breakGrace - time.Second, ok2 + " closed"},
		{"others take too long", breakGrace + time.Second, "closed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := &Server{Handler: cgi.HandlerFunc(func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				if len(r.Received) == 2 {
					w.Abort()
					return
				}
				select {
				case <-time.After(tt.takes):
				case <-ctx.Done():
					if !errors.Is(context.Cause(ctx), ErrConnectionLost) {
						t.Errorf("cause = %v", context.Cause(ctx))
					}
				}
				io.WriteString(w, "hello")
			})}
			inBubble(t, s, func(t *testing.T, dial func() *web) {
				w := dial()
				w.send(wholeK2)
				w.send(beginK1 + get1 + params1("\x01\x01XY") + endParams1 + endStdin1)
				if got := w.replies(); got != "" {
					t.Errorf("at once: %s, want nothing and an open connection", got)
				}
				w.send(beginK1)
				if got := w.replies(); got != "END(1 OVERLOADED)" {
					t.Errorf("a further request: %s, want OVERLOADED", got)
				}
				time.Sleep(breakGrace)
				if got := w.replies(); got != tt.want {
					t.Errorf("later: %s, want %s", got, tt.want)
				}
			})
		})
	}
}

// A web server that does not read its answer is given up.
func TestServerWriteTimeout(t *testing.T) {
	tests := []struct {
		name    string
		timeout time.Duration // of the Server
		own     time.Duration // set by the handler
		size    int
		want    time.Duration
	}{
		{"default", 0, 0, 100_000, DefaultServerWriteTimeout},
		{"configured", time.Second, 0, 100_000, time.Second},
		{"the handler's", time.Hour, time.Minute, 100_000, time.Minute},
		{"the handler's is later", time.Second, time.Minute, 100_000, time.Second},
		{"the handler's, for a small reply", 0, time.Minute, 10, time.Minute},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				done := make(chan bool) // of the bubble, or its clock would stand still
				s := &Server{WriteTimeout: tt.timeout, Handler: cgi.HandlerFunc(func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
					defer close(done)
					start := time.Now()
					if tt.own > 0 {
						w.(interface{ SetWriteDeadline(time.Time) error }).SetWriteDeadline(start.Add(tt.own))
					}
					w.Write(make([]byte, tt.size))
					err := w.Flush()
					if took := time.Since(start); !errors.Is(err, ErrConnectionLost) || !errors.Is(context.Cause(ctx), os.ErrDeadlineExceeded) || took != tt.want {
						t.Errorf("Flush = %v, cause %v after %v, want a timeout after %v", err, context.Cause(ctx), took, tt.want)
					}
				})}
				l := newPipeListener()
				go s.Serve(l)
				ours, theirs := net.Pipe()
				l.conns <- theirs
				io.WriteString(ours, wholeK1)
				<-done
				s.Close()
				ours.Close()
			})
		})
	}
}

func TestServerLogs(t *testing.T) {
	var log bytes.Buffer
	s := &Server{Log: slog.New(slog.NewTextHandler(&log, nil)), MaxParams: 100, Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		panic("oops")
	})}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		w := dial()
		for _, in := range []string{wholeK1, beginK1 + params1(strings.Repeat("x", 101)), "\x07" + wholeK1[1:8]} {
			w.send(in)
			w.replies() // so that the id is free again
		}
	})
	for _, want := range []string{
		`level=ERROR msg="handler panicked" method=GET path=/ panic=oops`,
		`msg="request refused" peer=pipe status=431 err="fastcgi: params too long: more than 100 bytes"`,
		`msg="connection closed" peer=pipe err="fastcgi: malformed: record of protocol version 7, want 1"`,
	} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("log lacks %s:\n%s", want, &log)
		}
	}
	if n := strings.Count(log.String(), "\n"); n != 3 {
		t.Errorf("%d lines:\n%s", n, &log)
	}
}
