package fastcgi

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

func TestMisbehaviour(t *testing.T) {
	stdout := func(s string) []byte { return AppendStream(nil, TypeStdout, 1, []byte(s)) }
	cat := func(bs ...[]byte) []byte { return bytes.Join(bs, nil) }
	end := AppendEndRequest(nil, 1, End{})
	tests := []struct {
		name  string
		bytes []byte
		want  string // in the error of the head; "" if the head comes
		body  string // in the error of the body; "" if it is whole
		retry bool   // for a POST without body
	}{
		{"close without a byte", nil, "before the end of the response", "", false},
		{"END at once", end, "END_REQUEST without a response", "", false},
		{"empty STDOUT and END", cat(AppendEnd(nil, TypeStdout, 1), end), "END_REQUEST without a response", "", false},
		{"END in the head", cat(stdout("Content-Ty"), end), "before the head", "", false},
		{"close in the head", stdout("Content-Ty"), "before the end of the response", "", false},
		{"OVERLOADED", AppendEndRequest(nil, 1, End{Status: Overloaded}), "OVERLOADED", "", true},
		{"CANT_MPX_CONN", AppendEndRequest(nil, 1, End{Status: CantMultiplex}), "CANT_MPX_CONN", "", true},
		{"UNKNOWN_ROLE", AppendEndRequest(nil, 1, End{Status: UnknownRole}), "UNKNOWN_ROLE", "", false},
		{"close without END", stdout(hello), "", "before the end of the response", false},
		{"close inside a record", stdout(hello)[:20], "inside a record", "", false},
		{"close inside the padding", append(AppendHeader(nil, TypeStdout, 1, 1, 9), "xyz"...), "inside a record", "", false},
		{"end of STDOUT, then close", cat(stdout(hello), AppendEnd(nil, TypeStdout, 1)), "", "", false},
		{"announced length, then close", stdout("Content-Length: 2\n\nok"), "", "", false},
		{"wrong request id", AppendStream(nil, TypeStdout, 7, []byte(hello)), "for request 7", "", false},
		{"request id 0", AppendStream(nil, TypeStdout, 0, []byte(hello)), "request id 0", "", false},
		{"version 0", append([]byte{0}, stdout(hello)[1:]...), "version 0", "", false},
		{"unknown type with our id", AppendHeader(nil, 11, 1, 0, 0), "sent UNKNOWN_TYPE", "", false},
		{"unknown management type", cat(AppendHeader(nil, 99, 0, 0, 0), answerBytes(hello)), "", "", false},
		{"GET_VALUES_RESULT first", cat(AppendHeader(nil, TypeGetValuesResult, 0, 0, 0), answerBytes(hello)), "", "", false},
		{"STDOUT after its end", cat(stdout(hello), AppendEnd(nil, TypeStdout, 1), stdout("x"), end), "", "", false}, // it was whole by then
		{"END of 3 bytes", cat(stdout("A: b\n\n"), AppendHeader(nil, TypeEndRequest, 1, 3, 0), []byte("abc")), "", "END_REQUEST of 3 bytes", false},
		{"STDERR only", cat(AppendStream(nil, TypeStderr, 1, []byte("x")), end), "END_REQUEST without a response", "", false},
		{"STDERR of 240 kB first", cat(AppendStream(nil, TypeStderr, 1, make([]byte, 240e3)), answerBytes(hello)), "", "", false},
		{"padding of 255", cat(AppendHeader(nil, TypeStdout, 1, uint16(len(hello)), 255), []byte(hello), make([]byte, 255), end), "", "", false},
		{"head of 80 KiB", stdout("A: " + strings.Repeat("x", 80<<10) + "\n\n"), "too large", "", false},
		{"NUL in the head", stdout("A: b\x00c\n\n"), "control character", "", false},
		{"request goes back", AppendStream(nil, TypeStdin, 1, []byte("x")), "sent STDIN", "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := startApp(t, func(n int, c *appConn) {
				if _, _, ok := c.request(); ok {
					c.Write(tt.bytes)
				}
			})
			c := newClient(t, &Client{FirstByteTimeout: 5 * time.Second, ReadTimeout: 5 * time.Second})
			r := get("/")
			r.Method = "POST"
			resp, body, err := fetch(t.Context(), c, a.addr, r)
			want := tt.want + tt.body
			switch {
			case want == "" && err != nil:
				t.Fatalf("fetch error = %v, want none", err)
			case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
				t.Fatalf("fetch = %v, %q, error %v, want an error with %q", resp, body, err, want)
			case (resp == nil) != (tt.want != ""):
				t.Errorf("response = %v, error %v", resp, err)
			}
			var e *Error
			if tt.want != "" && (!errors.As(err, &e) || e.SafeToRetry != tt.retry) {
				t.Errorf("error %v: SafeToRetry is not %v", err, tt.retry)
			}
		})
	}
}

// Whatever comes after END_REQUEST must not become the answer to the next
// request.
func TestTrailingBytesAreNotReused(t *testing.T) {
	a := startApp(t, func(n int, c *appConn) {
		for {
			if _, _, ok := c.request(); !ok {
				return
			}
			c.Write(append(answerBytes(hello), answerBytes("A: b\n\nforged")...))
		}
	})
	c := newClient(t, &Client{})
	for range 3 {
		if _, body, err := fetch(t.Context(), c, a.addr, get("/")); err != nil || body != "hello" {
			t.Fatalf("fetch = %q, %v, want hello", body, err)
		}
	}
}

// A request that was sent on a kept connection which then closes is not sent
// again by the client: it may have been what ended the application. The error
// says whether that is safe, and that the application need not be ill.
func TestStaleConnection(t *testing.T) {
	for method, stale := range map[string]bool{"GET": true, "POST": false} {
		t.Run(method, func(t *testing.T) {
			asked := make(chan int, 10)
			a := startApp(t, func(n int, c *appConn) {
				if _, _, ok := c.request(); ok {
					asked <- n
					c.answer(hello)
				}
				if n > 0 {
					helloApp(n, c)
				} else if _, _, ok := c.request(); ok { // and then close: it was read, and maybe done
					asked <- n
				}
			})
			c := newClient(t, &Client{})
			if _, _, err := fetch(t.Context(), c, a.addr, get("/")); err != nil {
				t.Fatal(err)
			}
			r := get("/")
			r.Method = method
			_, _, err := fetch(t.Context(), c, a.addr, r)
			failed, ok := errors.AsType[*Error](err)
			if !ok || failed.Stale != stale || failed.SafeToRetry != stale {
				t.Errorf("error %v: stale and safe to retry: %v, want %v", err, ok && failed.SafeToRetry, stale)
			}
			if n := len(asked); n != 2 {
				t.Errorf("the application was asked %d times for 2 requests", n)
			}
			if _, _, err := fetch(t.Context(), c, a.addr, get("/")); err != nil {
				t.Errorf("the next request: %v", err)
			}
		})
	}
}

func TestIdleConnectionThatClosesIsForgotten(t *testing.T) {
	closed := make(chan bool)
	a := startApp(t, func(n int, c *appConn) {
		if _, _, ok := c.request(); ok {
			c.answer(hello)
		}
		if n == 0 {
			c.Close()
			closed <- true
			return
		}
		helloApp(n, c)
	})
	c := newClient(t, &Client{})
	if _, _, err := fetch(t.Context(), c, a.addr, get("/")); err != nil {
		t.Fatal(err)
	}
	<-closed
	h := c.host("unix", a.addr)
	for deadline := time.Now().Add(5 * time.Second); ; {
		h.mu.Lock()
		n := len(h.idle)
		h.mu.Unlock()
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a connection that the application closed is still kept")
		}
	}
	r := get("/")
	r.Method = "POST"
	if _, _, err := fetch(t.Context(), c, a.addr, r); err != nil {
		t.Errorf("POST after the close: %v", err)
	}
}

func TestCancelClosesConnection(t *testing.T) {
	gone := make(chan bool, 1)
	a := startApp(t, func(n int, c *appConn) {
		c.request()
		_, err := c.piece() // blocks until the connection is closed
		gone <- err != nil
	})
	c := newClient(t, &Client{})
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	_, _, err := fetch(ctx, c, a.addr, get("/"))
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error = %v, want context.Canceled", err)
	}
	if !<-gone {
		t.Error("the application got something else than a close")
	}
}

func TestTimeouts(t *testing.T) {
	hold := make(chan struct{})
	defer close(hold)
	a := startApp(t, func(n int, c *appConn) {
		params, _, _ := c.request()
		if params["REQUEST_URI"] == "/half" {
			c.Write(AppendStream(nil, TypeStdout, c.id, []byte("A: b\n\nhalf")))
		}
		for params["REQUEST_URI"] == "/chatty" { // STDERR is no answer
			if _, err := c.Write(AppendStream(nil, TypeStderr, c.id, []byte("busy\n"))); err != nil {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		<-hold
	})
	c := newClient(t, &Client{FirstByteTimeout: 30 * time.Millisecond, ReadTimeout: 30 * time.Millisecond})
	for target, want := range map[string]string{"/none": "no answer for 30ms", "/chatty": "no answer for 30ms", "/half": "no further byte of the answer for 30ms"} {
		_, _, err := fetch(t.Context(), c, a.addr, get(target))
		var e *Error
		if !errors.As(err, &e) || !e.Timeout() || e.SafeToRetry || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error = %v, want a timeout with %q that is not retried", target, err, want)
		}
	}
}

func TestDialErrors(t *testing.T) {
	c := newClient(t, &Client{})
	_, _, err := fetch(t.Context(), c, "/nonexistent/x.sock", get("/"))
	var e *Error
	if !errors.As(err, &e) || e.Op != "dial" || !e.SafeToRetry {
		t.Errorf("error = %v, want a dial error that is safe to retry", err)
	}
	if want := "fastcgi: dial unix:/nonexistent/x.sock: connect: no such file or directory"; err.Error() != want {
		t.Errorf("error = %q, want %q", err, want)
	}
}

func TestParamsTooLongAreRefused(t *testing.T) {
	a := startApp(t, helloApp)
	c := newClient(t, &Client{})
	r := get("/")
	r.Header = cgi.Header{{Name: "X", Value: strings.Repeat("x", 300<<10)}}
	_, _, err := fetch(t.Context(), c, a.addr, r)
	var e *Error
	if !errors.Is(err, ErrTooLong) || !errors.As(err, &e) || e.SafeToRetry {
		t.Errorf("error = %v, want ErrTooLong, not retried", err)
	}
	if n := a.conns.Load(); n != 0 {
		t.Errorf("connections = %d, want 0", n)
	}
}

// The time for the first byte begins when the request has been sent.
func TestUploadIsNoTimeForTheAnswer(t *testing.T) {
	const limit = 400 * time.Millisecond
	a := startApp(t, func(n int, c *appConn) {
		if _, _, ok := c.request(); ok {
			time.Sleep(limit / 2)
			c.answer(hello)
		}
	})
	c := newClient(t, &Client{FirstByteTimeout: limit})
	body := &slowBody{pause: limit * 9 / 10, left: 2}
	if _, _, err := fetch(t.Context(), c, a.addr, post(body, 2)); err != nil {
		t.Error(err)
	}
}

// A slowBody gives a byte after each pause.
type slowBody struct {
	pause time.Duration
	left  int
}

func (b *slowBody) Cancel() {}
func (b *slowBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	time.Sleep(b.pause)
	b.left--
	p[0] = 'x'
	return 1, nil
}

// An application that refuses on a kept connection is not taken for one that
// had closed it.
func TestRefusedIsNotStale(t *testing.T) {
	a := startApp(t, func(n int, c *appConn) {
		if _, _, ok := c.request(); ok {
			c.answer(hello)
		}
		if _, _, ok := c.request(); ok {
			c.Write(AppendEndRequest(nil, c.id, End{Status: Overloaded}))
		}
		c.request()
	})
	c := newClient(t, &Client{})
	if _, _, err := fetch(t.Context(), c, a.addr, get("/")); err != nil {
		t.Fatal(err)
	}
	_, _, err := fetch(t.Context(), c, a.addr, get("/"))
	if failed, ok := errors.AsType[*Error](err); !ok || !failed.Refused || failed.Stale || !failed.SafeToRetry {
		t.Errorf("error %v, want a refusal that is safe to retry and not stale", err)
	}
}
