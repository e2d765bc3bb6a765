package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// What the standard library's net/http/fcgi (Go 1.26) gets wrong, found by
// running it. Its Accept that fails is TestServerWaitsOutShortage.
func TestServerAgainstNetHTTPFcgi(t *testing.T) {
	rows := []struct {
		name    string
		handler func(t *testing.T, ctx context.Context, w cgi.ResponseWriter, r *cgi.Request)
		talk    func(t *testing.T, dial func() *web)
	}{
		{"a panic ends the process", func(t *testing.T, ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			if len(r.Received) == 1 {
				io.WriteString(w, "part")
				w.Flush()
			}
			panic("oops")
		}, func(t *testing.T, dial func() *web) {
			w := dial()
			w.send(wholeK1)
			if got := w.replies(); got != `STDOUT(1 "Status: 200 OK\r\n\r\npart") closed` {
				t.Errorf("panic after a part: %s", got)
			}
			w = dial()
			w.send(beginK1 + get1 + params1("\x01\x01XY") + endParams1 + endStdin1)
			if got := w.replies(); got != `STDOUT(1 "Status: 500 Internal Server Error\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nInternal Server Error\n") STDOUT(1) END(1 REQUEST_COMPLETE)` {
				t.Errorf("panic before anything: %s", got)
			}
		}},

		{"an abort after the end of stdin is ignored", func(t *testing.T, ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			io.WriteString(w, "not to be sent")
			<-ctx.Done()
			_, err := io.WriteString(w, "nor this")
			if cause := context.Cause(ctx); cause != ErrAborted || err != ErrAborted || w.Flush() != ErrAborted {
				t.Errorf("cause %v, Write %v, want ErrAborted", cause, err)
			}
		}, func(t *testing.T, dial func() *web) {
			w := dial()
			w.send(wholeK1)
			w.send(abort1 + abort1)
			if got := w.replies(); got != "STDOUT(1) END(1 REQUEST_COMPLETE)" {
				t.Errorf("replies = %s, want nothing but the ends", got)
			}
			w.send(wholeK1 + abort1)
			if got := w.replies(); got != "STDOUT(1) END(1 REQUEST_COMPLETE)" {
				t.Errorf("replies to the next request = %s", got)
			}
		}},

		{"an abort before the end of stdin is not read, then answered twice", func(t *testing.T, ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			<-ctx.Done()
			if _, err := io.ReadAll(r.Body); err != ErrAborted {
				t.Errorf("Read = %v, want ErrAborted", err)
			}
		}, func(t *testing.T, dial func() *web) {
			w := dial()
			w.send(beginK1 + get1 + endParams1 + stdin1("some"))
			w.send(abort1)
			if got := w.replies(); got != "STDOUT(1) END(1 REQUEST_COMPLETE)" {
				t.Errorf("replies = %s", got)
			}
		}},

		{"the loss of the web server is not told", func(t *testing.T, ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			start := time.Now()
			<-ctx.Done()
			_, err := io.WriteString(w, "x")
			if cause := context.Cause(ctx); !errors.Is(cause, ErrConnectionLost) || !errors.Is(err, ErrConnectionLost) || time.Since(start) != time.Minute {
				t.Errorf("cause %v, Write %v after %v, want ErrConnectionLost after a minute", cause, err, time.Since(start))
			}
		}, func(t *testing.T, dial func() *web) {
			w := dial()
			w.send(wholeK1)
			time.Sleep(time.Minute)
			w.Close()
			synctest.Wait()
		}},

		{"a body that is not read holds up another request", func(t *testing.T, ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			if r.Body != nil {
				time.Sleep(3 * time.Second)
				n, err := io.Copy(io.Discard, r.Body)
				fmt.Fprint(w, n, err)
				return
			}
			io.WriteString(w, "hello")
		}, func(t *testing.T, dial func() *web) {
			w := dial()
			w.send(beginK1 + get1 + endParams1 + stdin1(strings.Repeat("x", 60_000)) + stdin1(strings.Repeat("x", 60_000)) + wholeK2)
			if got := w.replies(); got != ok2 {
				t.Errorf("at once: %s, want the other reply", got)
			}
			w.send(endStdin1)
			time.Sleep(3 * time.Second)
			if got := w.replies(); got != `STDOUT(1 "Status: 200 OK\r\n\r\n120000 <nil>") STDOUT(1) END(1 REQUEST_COMPLETE)` {
				t.Errorf("after 3 s: %s", got)
			}
		}},

		{"a request that closes the connection takes others with it", func(t *testing.T, ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			if len(r.Received) == 2 {
				time.Sleep(time.Second)
			}
			io.WriteString(w, "hello")
		}, func(t *testing.T, dial func() *web) {
			w := dial()
			w.send(beginK1 + get1 + params1("\x01\x01XY") + endParams1 + endStdin1)
			w.send(beginN2 + get2 + endParams2 + endStdin2)
			if got := w.replies(); got != ok2 {
				t.Errorf("at once: %s, want the short reply and an open connection", got)
			}
			time.Sleep(time.Second)
			if got := w.replies(); got != ok1+" closed" {
				t.Errorf("after a second: %s", got)
			}
		}},

		{"an id may begin again while it is active", func(t *testing.T, ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			<-ctx.Done()
			if !errors.Is(context.Cause(ctx), ErrConnectionLost) || !errors.Is(context.Cause(ctx), ErrMalformed) {
				t.Errorf("cause %v", context.Cause(ctx))
			}
		}, func(t *testing.T, dial func() *web) {
			w := dial()
			w.send(wholeK1)
			w.send(wholeK1)
			if got := w.replies(); got != "closed" {
				t.Errorf("replies = %s, want a closed connection", got)
			}
		}},

		{"questions are not answered, or not read", nil, func(t *testing.T, dial func() *web) {
			w := dial()
			w.send("\x01\x09\x00\x00\x00\x11\x00\x00" + "\x0f\x00FCGI_MPXS_CONNS" + "\x01\xff\x00\x00\x00\x00\x00\x00")
			if got := w.replies(); got != `GET_VALUES_RESULT(0 "\x0f\x01FCGI_MPXS_CONNS1") UNKNOWN_TYPE(0 "\xff\x00\x00\x00\x00\x00\x00\x00")` {
				t.Errorf("replies = %s", got)
			}
		}},

		{"params without end fill the memory", nil, func(t *testing.T, dial func() *web) {
			w := dial()
			w.send(beginK1)
			for range 64 {
				w.send(params1(strings.Repeat("x", 4096)))
			}
			if got := w.replies(); got != "" {
				t.Errorf("at 256 KiB: %s", got)
			}
			w.send(params1("x"))
			if got := w.replies(); !strings.HasPrefix(got, `STDOUT(1 "Status: 431 `) || !strings.HasSuffix(got, "END(1 REQUEST_COMPLETE)") {
				t.Errorf("one byte more: %s", got)
			}
			for range 64 {
				w.send(params1(strings.Repeat("x", 4096)))
			}
			w.send(wholeK2)
			if got := w.replies(); got != ok2 {
				t.Errorf("next request: %s", got)
			}
		}},

		{"1xx is final, and there are no deadlines and no ReaderFrom", func(t *testing.T, ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			if err := w.WriteHeader(103, cgi.Header{{Name: "Link", Value: "</a>"}}); err != nil {
				t.Error(err)
			}
			if err := w.(interface{ SetWriteDeadline(time.Time) error }).SetWriteDeadline(time.Now().Add(time.Hour)); err != nil {
				t.Error(err)
			}
			if n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("hello")); n != 5 || err != nil {
				t.Error(n, err)
			}
		}, func(t *testing.T, dial func() *web) {
			w := dial()
			w.send(beginK1 + get1 + params1("\x0f\x0cSERVER_SOFTWAREsluice/1.0.0") + endParams1 + endStdin1)
			if got := w.replies(); got != `STDOUT(1 "Status: 103 Early Hints\r\nLink: </a>\r\n\r\n") `+ok1 {
				t.Errorf("behind sluice: %s", got)
			}
			w.send(beginK1 + get1 + params1("\x0f\x0cSERVER_SOFTWAREnginx/1.22.1") + endParams1 + endStdin1)
			if got := w.replies(); got != ok1 {
				t.Errorf("behind nginx, which takes a 103 for the response: %s", got)
			}
		}},

		{"most params cannot be reached", func(t *testing.T, ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			fmt.Fprint(w, r.Received)
		}, func(t *testing.T, dial func() *web) {
			w := dial()
			w.send(beginK1 + get1 + params1("\x09\x02PATH_INFO/p"+"\x01\x011x"+"\x01\x011y"+"\x0b\x00SCRIPT_NAME") + endParams1 + endStdin1)
			if got := w.replies(); !strings.Contains(got, "[{REQUEST_METHOD GET} {PATH_INFO /p} {1 x} {1 y} {SCRIPT_NAME }]") {
				t.Errorf("replies = %s", got)
			}
		}},

		{"stdin before the end of the params starts an empty request", func(t *testing.T, ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			t.Error("the handler was called")
		}, func(t *testing.T, dial func() *web) {
			w := dial()
			w.send(beginK1 + get1 + stdin1("x"))
			if got := w.replies(); got != "closed" {
				t.Errorf("replies = %s", got)
			}
		}},

		{"two lengths overflow an int of 32 bits", func(t *testing.T, ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			t.Error("the handler was called")
		}, func(t *testing.T, dial func() *web) {
			w := dial()
			w.send(beginK1 + params1("\xff\xff\xff\xff"+"\xff\xff\xff\xff"+"x") + endParams1 + endStdin1)
			if got := w.replies(); !strings.HasPrefix(got, `STDOUT(1 "Status: 400 `) {
				t.Errorf("replies = %s", got)
			}
		}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			inBubble(t, &Server{Handler: cgi.HandlerFunc(func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				if row.handler == nil {
					sayHello(ctx, w, r)
					return
				}
				row.handler(t, ctx, w, r)
			})}, row.talk)
		})
	}
}
