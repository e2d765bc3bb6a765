package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

func TestServerConversations(t *testing.T) {
	echo := func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		if r.Body == nil {
			fmt.Fprint(w, "no body")
			return
		}
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%d %q %v", r.ContentLength, b, err)
	}
	refused431 := `STDOUT(1 "Status: 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nRequest Header Fields Too Large\n") STDOUT(1) END(1 REQUEST_COMPLETE)`
	refused400 := `STDOUT(1 "Status: 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nBad Request\n") STDOUT(1) END(1 REQUEST_COMPLETE)`
	body := func(content string) string {
		return `STDOUT(1 "Status: 200 OK\r\n\r\n` + content + `") STDOUT(1) END(1 REQUEST_COMPLETE)`
	}
	tests := []struct {
		name    string
		server  *Server
		handler cgi.HandlerFunc // sayHello if nil
		in      string
		want    string
	}{
		{"kept connection", nil, nil, wholeK1, ok1},
		{"connection not kept", nil, nil, wholeN1, ok1 + " closed"},
		{"two requests, one after the other", nil, nil, wholeK1 + wholeK2, ok1 + " " + ok2},
		{"param over two records", nil, nil, beginK1 + params1("\x0e\x03REQUEST_") + params1("METHODGET") + endParams1 + endStdin1, ok1},
		{"authorizer", nil, nil, "\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x02\x01\x00\x00\x00\x00\x00", "END(1 UNKNOWN_ROLE)"},
		{"filter, connection not kept", nil, nil, "\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x03\x00\x00\x00\x00\x00\x00", "END(1 UNKNOWN_ROLE) closed"},
		{"no role at all", nil, nil, "\x01\x01\x00\x01\x00\x08\x00\x00" + "\xff\xff\x01\x00\x00\x00\x00\x00", "END(1 UNKNOWN_ROLE)"},
		{"refused request goes on", nil, nil, "\x01\x01\x00\x01\x00\x08\x00\x00" + "\x00\x02\x01\x00\x00\x00\x00\x00" + get1 + endParams1 + endStdin1 + wholeK2, "END(1 UNKNOWN_ROLE) " + ok2},

		{"values", nil, nil, "\x01\x09\x00\x00\x00\x1f\x01\x00" + "\x0d\x00FCGI_MAX_REQS" + "\x0e\x00FCGI_MAX_CONNS" + "\x00", `GET_VALUES_RESULT(0 "\r\x03FCGI_MAX_REQS512\x0e\x04FCGI_MAX_CONNS2048")`},
		{"values, one unknown, one twice", nil, nil, "\x01\x09\x00\x00\x00\x27\x00\x00" + "\x01\x00X" + "\x0f\x00FCGI_MPXS_CONNS" + "\x0f\x02FCGI_MPXS_CONNS??", `GET_VALUES_RESULT(0 "\x0f\x01FCGI_MPXS_CONNS1")`},
		{"values of nothing", nil, nil, "\x01\x09\x00\x00\x00\x00\x00\x00", `GET_VALUES_RESULT(0 "")`},
		{"values, malformed", nil, nil, "\x01\x09\x00\x00\x00\x02\x00\x00\x0d\x00", "closed"},
		{"unknown management type", nil, nil, "\x01\x4d\x00\x00\x00\x03\x00\x00abc" + wholeK1, `UNKNOWN_TYPE(0 "M\x00\x00\x00\x00\x00\x00\x00") ` + ok1},
		{"answers to no question", nil, nil, "\x01\x0a\x00\x00\x00\x00\x00\x00" + "\x01\x0b\x00\x00\x00\x08\x00\x00\x4d\x00\x00\x00\x00\x00\x00\x00" + wholeK1, ok1},
		{"unknown type of a request", nil, nil, beginK1 + "\x01\x4d\x00\x01\x00\x03\x00\x00abc" + get1 + endParams1 + endStdin1, ok1},
		{"data stream", nil, nil, beginK1 + get1 + endParams1 + "\x01\x08\x00\x01\x00\x01\x00\x00x" + endStdin1, ok1},
		{"records of no request", nil, nil, get1 + endParams1 + stdin1("x") + endStdin1 + abort1 + wholeK1, ok1},
		{"stdin ended twice", nil, nil, wholeK1 + endStdin1 + wholeK2, ok1 + " " + ok2},

		{"abort before the params end", nil, nil, beginK1 + get1 + abort1 + wholeK2, "END(1 REQUEST_COMPLETE) " + ok2},
		{"abort before stdin, connection not kept", nil, nil, beginN1 + get1 + endParams1 + abort1, "END(1 REQUEST_COMPLETE) closed"},

		{"version 2", nil, nil, "\x02" + wholeK1[1:], "closed"},
		{"short BEGIN_REQUEST", nil, nil, "\x01\x01\x00\x01\x00\x07\x00\x00" + "\x00\x01\x01\x00\x00\x00\x00", "closed"},
		{"BEGIN_REQUEST with id 0", nil, nil, "\x01\x01\x00\x00\x00\x08\x00\x00" + "\x00\x01\x01\x00\x00\x00\x00\x00", "closed"},
		{"BEGIN_REQUEST of an active request", nil, nil, beginK1 + beginK1, "closed"},
		{"stdin before params", nil, nil, beginK1 + endStdin1, "closed"},
		{"params after their end", nil, nil, beginK1 + get1 + endParams1 + get1, "closed"},
		{"malformed after a reply", nil, nil, "\x01\x09\x00\x00\x00\x00\x00\x00" + "\x02" + wholeK1[1:], `GET_VALUES_RESULT(0 "") closed`},

		{"params run past the end", nil, nil, beginK1 + params1("\x0e\x04REQUEST_METHODGET") + endParams1 + endStdin1 + wholeK2, refused400 + " " + ok2},
		{"lengths that overflow", nil, nil, beginK1 + params1("\xff\xff\xff\xff\xff\xff\xff\xffx") + endParams1, refused400},
		{"no method", nil, nil, beginK1 + params1("\x01\x01AB") + endParams1 + endStdin1, refused400},
		{"length is no number", nil, nil, beginN1 + get1 + params1("\x0e\x02CONTENT_LENGTH-1") + endParams1, refused400 + " closed"},
		{"most bytes of params", &Server{MaxParams: 19}, nil, wholeK1, ok1},
		{"one byte more", &Server{MaxParams: 18}, nil, wholeK1 + wholeK2[:0], refused431},
		{"bytes over several records", &Server{MaxParams: 27}, nil, beginK1 + get1 + params1("\x01\x06Avalue") + params1("\x00\x00") + endParams1 + stdin1("x") + endStdin1, refused431},
		{"most params", &Server{MaxPairs: 2}, nil, beginK1 + get1 + params1("\x01\x00A") + endParams1 + endStdin1, ok1},
		{"one param more", &Server{MaxPairs: 1}, nil, beginK1 + get1 + params1("\x01\x00A") + endParams1 + endStdin1, refused431},
		{"more than one on the connection", &Server{MaxConnActive: 1}, nil, beginK1 + wholeK2 + get1 + endParams1 + endStdin1, "END(2 CANT_MPX_CONN) " + ok1},
		{"too many on the connection", &Server{MaxConnActive: 2}, nil,
			beginK1 + recGet(2, true)[:16] + recGet(3, true) + get1 + endParams1 + endStdin1 + recGet(2, true)[16:], "END(3 OVERLOADED) " + ok1 + " " + ok2},
		{"too many at all", &Server{MaxActive: 1}, nil, beginK1 + wholeK2 + get1 + endParams1 + endStdin1 + wholeK2[:0], "END(2 OVERLOADED) " + ok1},

		{"no body", nil, echo, wholeK1, body("no body")},
		{"empty body", nil, echo, beginK1 + get1 + params1("\x0e\x01CONTENT_LENGTH0") + endParams1 + endStdin1, body("no body")},
		{"body", nil, echo, beginK1 + get1 + params1("\x0e\x01CONTENT_LENGTH5") + endParams1 + stdin1("ab") + stdin1("cde") + endStdin1, body(`5 \"abcde\" <nil>`)},
		{"body of unknown length", nil, echo, beginK1 + get1 + endParams1 + stdin1("ab") + stdin1("cde") + endStdin1, body(`-1 \"abcde\" <nil>`)},
		{"body shorter than said", nil, echo, beginK1 + get1 + params1("\x0e\x01CONTENT_LENGTH5") + endParams1 + stdin1("ab") + endStdin1, body(`5 \"ab\" unexpected EOF`)},
		{"body longer than said", nil, echo, beginK1 + get1 + params1("\x0e\x01CONTENT_LENGTH1") + endParams1 + stdin1("ab") + endStdin1, body(`1 \"a\" <nil>`)},
		{"body where none was said", nil, echo, beginK1 + get1 + params1("\x0e\x01CONTENT_LENGTH0") + endParams1 + stdin1("ab") + endStdin1, body("no body")},
	}
	for _, tt := range tests {
		for _, size := range []int{1 << 20, 1} {
			t.Run(fmt.Sprintf("%s/%d", tt.name, size), func(t *testing.T) {
				s := &Server{}
				if tt.server != nil {
					s.MaxParams, s.MaxPairs = tt.server.MaxParams, tt.server.MaxPairs
					s.MaxActive, s.MaxConnActive = tt.server.MaxActive, tt.server.MaxConnActive
				}
				s.Handler = tt.handler
				if tt.handler == nil {
					s.Handler = cgi.HandlerFunc(sayHello)
				}
				inBubble(t, s, func(t *testing.T, dial func() *web) {
					w := dial()
					for in := tt.in; in != ""; {
						n := min(size, len(in))
						if _, err := io.WriteString(w, in[:n]); err != nil {
							break // closed, and more was to come
						}
						in = in[n:]
					}
					if got := sorted(w.replies()); got != sorted(tt.want) {
						t.Errorf("replies = %s\nwant %s", got, tt.want)
					}
				})
			})
		}
	}
}

// sorted puts the replies to request 2 behind those to request 1: handlers run
// at the same time.
func sorted(replies string) string {
	var others, two []string
	for _, r := range strings.SplitAfter(replies, ") ") {
		r = strings.TrimSpace(r)
		if strings.HasPrefix(r, "STDOUT(2") || strings.HasPrefix(r, "END(2 ") {
			two = append(two, r)
		} else {
			others = append(others, r)
		}
	}
	return strings.Join(append(others, two...), " ")
}

// A small reply leaves in one write: head, body, the end of STDOUT, the end of
// STDERR if it was used, and END_REQUEST.
func TestServerSmallReplyIsOneWrite(t *testing.T) {
	s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		w.WriteHeader(404, cgi.Header{{Name: "X-A", Value: "1"}})
		for range 8 {
			io.WriteString(w, strings.Repeat("x", 1000))
		}
	})}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		w := dial()
		for range 3 {
			w.send(wholeK1)
			synctest.Wait()
			if w.writes != 1 {
				t.Errorf("%d writes, want 1", w.writes)
			}
			if got, want := w.replies(), `STDOUT(1 "Status: 404 Not Found\r\nX-A: 1\r\n\r\n`+strings.Repeat("x", 8000)+`") STDOUT(1) END(1 REQUEST_COMPLETE)`; got != want {
				t.Errorf("replies = %s", got)
			}
		}
	})
}

func TestServerMaxConns(t *testing.T) {
	s := &Server{Handler: cgi.HandlerFunc(sayHello), MaxConns: 1}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		first := dial()
		first.send(wholeK1)
		if got := first.replies(); got != ok1 {
			t.Errorf("replies = %s", got)
		}
		second := make(chan *web)
		go func() { second <- dial() }()
		synctest.Wait()
		select {
		case <-second:
			t.Fatal("a second connection was accepted")
		default:
		}
		first.Close()
		w := <-second
		w.send(wholeK1)
		if got := w.replies(); got != ok1 {
			t.Errorf("replies = %s", got)
		}
	})
}

// A failingListener fails some times before it accepts.
type failingListener struct {
	*pipeListener
	errs []error
}

func (l *failingListener) Accept() (net.Conn, error) {
	if len(l.errs) > 0 {
		err := l.errs[0]
		l.errs = l.errs[1:]
		return nil, err
	}
	return l.pipeListener.Accept()
}

func TestServerFieldsThatAreZeroOrNegative(t *testing.T) {
	s := &Server{Handler: cgi.HandlerFunc(sayHello), MaxConns: -1, MaxActive: -1, MaxConnActive: -1, MaxParams: -1, MaxPairs: -1, MaxBodyAhead: -1, ParamsTimeout: -1, WriteTimeout: -1}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		w := dial()
		w.send(beginK1)
		time.Sleep(time.Hour)
		w.send(get1 + endParams1 + endStdin1)
		if got := w.replies(); got != ok1 {
			t.Errorf("replies = %s", got)
		}
	})
}

func TestServerParamsTimeout(t *testing.T) {
	tests := []struct {
		name, in string
		closed   bool
	}{
		{"nothing sent", "", false},
		{"half a header", beginK1[:3], true},
		{"begun", beginK1, true},
		{"params not ended", beginK1 + get1, true},
		{"no stdin", beginK1 + get1 + endParams1, true},
		{"body not sent", beginK1 + get1 + params1("\x0e\x01CONTENT_LENGTH5") + endParams1, false},
		{"complete", wholeK1, false},
		{"one of two", beginK1 + wholeK2, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				if r.Body != nil {
					io.Copy(io.Discard, r.Body)
				}
			})}
			inBubble(t, s, func(t *testing.T, dial func() *web) {
				w := dial()
				w.send(tt.in)
				time.Sleep(DefaultParamsTimeout - time.Second)
				if got := w.replies(); strings.Contains(got, "closed") {
					t.Errorf("closed early: %s", got)
				}
				if tt.name == "one of two" {
					w.send(wholeK2) // does not give the other one more time
				}
				time.Sleep(2 * time.Second)
				if closed := strings.Contains(w.replies(), "closed"); closed != tt.closed {
					t.Errorf("closed = %v, want %v", closed, tt.closed)
				}
			})
		})
	}
}

func TestServerWaitsOutShortage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &failingListener{newPipeListener(), []error{syscall.EMFILE, syscall.ENFILE, syscall.ECONNABORTED}}
		s := &Server{Handler: cgi.HandlerFunc(sayHello)}
		start := time.Now()
		served := make(chan error)
		go func() { served <- s.Serve(l) }()
		ours, theirs := net.Pipe()
		l.conns <- theirs
		if got, want := time.Since(start), 35*time.Millisecond; got != want {
			t.Errorf("accepted after %v, want %v: 5, 10 and 20 ms", got, want)
		}
		w := newWeb(t, ours)
		w.send(wholeK1)
		if got := w.replies(); got != ok1 {
			t.Errorf("replies = %s", got)
		}
		ours.Close()
		<-w.done
		s.Close()
		if err := <-served; err != ErrClosed {
			t.Errorf("Serve = %v, want ErrClosed", err)
		}
	})
}

func TestServerEndsWithItsListener(t *testing.T) {
	broken := errors.New("broken")
	s := &Server{Handler: cgi.HandlerFunc(sayHello)}
	l := &failingListener{newPipeListener(), []error{broken}}
	if err := s.Serve(l); !errors.Is(err, broken) {
		t.Errorf("Serve = %v, want one that wraps %v", err, broken)
	}
	select {
	case <-l.closed:
	default:
		t.Error("the listener was left open")
	}
	s.Close()
	if err := s.Serve(newPipeListener()); err != ErrClosed {
		t.Errorf("Serve after Close = %v, want ErrClosed", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("second Close = %v", err)
	}
}
