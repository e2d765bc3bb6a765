package scgi

import (
	"context"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/dial"
)

// An application is what a test does with the connection of a request.
type application func(nc net.Conn)

// listenFor runs an application for each connection until the test ends.
func listenFor(t *testing.T, network string, app application) net.Addr {
	t.Helper()
	l := listenOn(t, network)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			nc.SetDeadline(time.Now().Add(patience))
			running.Go(func() { defer nc.Close(); app(nc) })
		}
	})
	t.Cleanup(func() { l.Close(); running.Wait() })
	return l.Addr()
}

// readRequest reads the headers, and what comes together with them.
func readRequest(nc net.Conn) (params []cgi.Field, rest string) {
	var d Decoder
	b := make([]byte, 1<<16)
	for {
		n, err := nc.Read(b)
		used, done, ferr := d.Feed(b[:n])
		if err != nil || ferr != nil {
			return nil, ""
		}
		if done {
			rest = string(b[used:n])
			break
		}
	}
	for {
		name, value, ok := d.Next()
		if !ok {
			return params, rest
		}
		params = append(params, cgi.Field{Name: string(name), Value: string(value)})
	}
}

// says is an application that reads the headers and says that.
func says(answer string) application {
	return func(nc net.Conn) {
		readRequest(nc)
		io.WriteString(nc, answer)
	}
}

func newGet() *cgi.Request { return &cgi.Request{Method: "GET", Target: "/"} }

func TestClientAnswers(t *testing.T) {
	tests := []struct {
		name   string
		method string
		answer string
		status int
		body   string
		err    string // of RoundTrip or of the body; ADDR is the address
	}{
		{"whole", "GET", "Status: 404 Not Found\r\n\r\nhello", 404, "hello", ""},
		{"empty", "GET", "Status: 200\n\n", 200, "", ""},
		{"Content-Length reached", "GET", "Content-Length: 5\n\nhello", 200, "hello", ""},
		{"Content-Length 0", "GET", "Content-Length: 0\n\n", 200, "", ""},
		{"longer than announced", "GET", "Content-Length: 5\n\nhello, world", 200, "hello, world", ""},
		{"Content-Length not reached", "GET", "Content-Length: 6\n\nhello", 200, "hello", "scgi: receive ADDR: connection closed before the end of the response: unexpected EOF"},
		{"HEAD", "HEAD", "Content-Length: 6\n\n", 200, "", ""},
		{"204", "GET", "Status: 204\nContent-Length: 6\n\n", 204, "", ""},
		{"304", "GET", "Status: 304\nContent-Length: 6\n\n", 304, "", ""},
		{"interim", "GET", "Status: 103\nLink: a\n\nStatus: 200\n\nhello", 200, "hello", ""},
		{"nothing", "GET", "", 0, "", "scgi: receive ADDR: connection closed before the end of the response: unexpected EOF"},
		{"half a head", "GET", "Status: 200\n", 0, "", "scgi: receive ADDR: connection closed before the end of the response: unexpected EOF"},
		{"interim only", "GET", "Status: 103\n\n", 0, "", "scgi: receive ADDR: connection closed before the end of the response: unexpected EOF"},
		{"bad head", "GET", "hello\n\n", 0, "", `scgi: receive ADDR: cgi: malformed: "hello" is not a header field`},
		{"head too large", "GET", "A: " + strings.Repeat("x", 100) + "\n\n", 0, "", "scgi: receive ADDR: cgi: response head too large: more than 99 bytes"},
		{"too many fields", "GET", "A: 1\nB: 2\nC: 3\n\n", 0, "", "scgi: receive ADDR: cgi: response head too large: more than 2 fields"},
	}
	for _, network := range []string{"unix", "tcp"} {
		for _, tt := range tests {
			t.Run(network+" "+tt.name, func(t *testing.T) {
				addr := listenFor(t, network, says(tt.answer))
				client := &Client{MaxHead: 99, MaxFields: 2}
				interim := 0
				r := newGet()
				r.Method = tt.method
				r.Informational = func(status int, h cgi.Header) { interim = status }
				var status int
				var body []byte
				resp, err := client.RoundTrip(t.Context(), network, addr.String(), r)
				if err == nil {
					status = resp.Status
					body, err = io.ReadAll(resp.Body)
					resp.Body.Close()
					if _, err := resp.Body.Read(make([]byte, 1)); err != ErrClosed {
						t.Errorf("Read after Close: %v, want ErrClosed", err)
					}
				}
				want := strings.ReplaceAll(tt.err, "ADDR", dial.Name(network, addr.String()))
				if text(err) != want || status != tt.status || string(body) != tt.body {
					t.Errorf("%d %q %v\nwant %d %q %v", status, body, err, tt.status, tt.body, want)
				}
				if (interim == 103) != strings.Contains(tt.answer, "103") {
					t.Errorf("interim response %d", interim)
				}
				failed, ok := errors.AsType[*cgi.Error](err)
				if ok && (failed.Protocol != "scgi" || failed.Sent == 0 || failed.SafeToRetry != (tt.answer == "") || failed.Stale || failed.Refused || failed.Timeout()) {
					t.Errorf("error %+v", failed)
				}
			})
		}
	}
}

// What was sent: the headers in order, and the body.
func TestClientSends(t *testing.T) {
	long := strings.Repeat("0123456789", 100_000)
	unknown := cgi.BytesBody(nil)
	tests := []struct {
		name   string
		body   cgi.Body
		length int64
		sent   string // of the body
		want   string // CONTENT_LENGTH
		err    error
	}{
		{"no body", nil, 7, "", "0", nil},
		{"empty body", cgi.BytesBody(nil), 0, "", "0", nil},
		{"small body", cgi.BytesBody([]byte("hello")), 5, "hello", "5", nil},
		{"small body that comes", stream("hel", "lo"), 5, "hello", "5", nil},
		{"long body", cgi.BytesBody([]byte(long)), 1_000_000, long, "1000000", nil},
		{"long body that comes", stream(long[:7], long[7:]), 1_000_000, long, "1000000", nil},
		{"body longer than said", stream("hello, world"), 5, "hello", "5", nil},
		{"small body shorter than said", cgi.BytesBody([]byte("hello")), 6, "", "", io.ErrUnexpectedEOF},
		{"body shorter than said", stream("hello"), 6, "hello", "", io.ErrUnexpectedEOF},
		{"length not known", unknown, -1, "", "", ErrLengthRequired},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := make(chan string, 1)
			addr := listenFor(t, "unix", func(nc net.Conn) {
				params, rest := readRequest(nc)
				if len(params) < 2 {
					return
				}
				more, _ := io.ReadAll(io.LimitReader(nc, max(0, int64(len(tt.sent)-len(rest)))))
				got <- params[0].Name + "=" + params[0].Value + " " + params[1].Name + "=" + params[1].Value + " " + rest + string(more)
				if tt.err == nil {
					io.WriteString(nc, "Status: 200\n\nok")
				} else {
					io.Copy(io.Discard, nc)
				}
			})
			r := &cgi.Request{Method: "PUT", Target: "/", Body: tt.body, ContentLength: tt.length}
			resp, err := (&Client{}).RoundTrip(t.Context(), "unix", addr.String(), r)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error %v, want %v", err, tt.err)
			}
			if failed, ok := errors.AsType[*cgi.Error](err); ok && failed.SafeToRetry {
				t.Errorf("error %v is called safe to retry: its body is no fault of the application", err)
			}
			if err != nil {
				return
			}
			defer resp.Body.Close()
			if body, err := io.ReadAll(resp.Body); string(body) != "ok" || err != nil {
				t.Errorf("answer %q, %v", body, err)
			}
			if g, want := <-got, "CONTENT_LENGTH="+tt.want+" SCGI=1 "+tt.sent; g != want {
				t.Errorf("sent %.200q, want %.200q", g, want)
			}
		})
	}
}

// stream is a body whose pieces come one after the other, and then its end.
func stream(pieces ...string) cgi.Body {
	readers := make([]io.Reader, len(pieces))
	for i, p := range pieces {
		readers[i] = strings.NewReader(p)
	}
	return &streamBody{Reader: io.MultiReader(readers...), cancelled: make(chan bool)}
}

// A streamBody may also be cancelled.
type streamBody struct {
	io.Reader
	cancelled chan bool // closed by Cancel
	once      sync.Once
}

func (b *streamBody) Cancel() { b.once.Do(func() { close(b.cancelled) }) }

// stalled is a body that never comes.
func stalled() cgi.Body {
	b := &streamBody{cancelled: make(chan bool)}
	b.Reader = readerFunc(func([]byte) (int, error) { <-b.cancelled; return 0, errors.New("cancelled") })
	return b
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestClientRefusesToSend(t *testing.T) {
	tests := []struct {
		name string
		r    cgi.Request
		want error
		text string
	}{
		{"length not known", cgi.Request{Method: "POST", Body: stalled(), ContentLength: -1}, ErrLengthRequired, "scgi: send unix:/nowhere: scgi: the length of the request body must be known"},
		{"NUL", cgi.Request{Method: "G\x00T"}, ErrMalformed, `scgi: send unix:/nowhere: scgi: malformed: a NUL in the param "REQUEST_METHOD"`},
		{"twice", cgi.Request{Received: []cgi.Field{{Name: "A"}, {Name: "A"}}}, ErrMalformed, `scgi: send unix:/nowhere: scgi: malformed: the param "A" comes twice`},
		{"too long", cgi.Request{Method: strings.Repeat("M", 2000)}, ErrTooLong, "scgi: send unix:/nowhere: scgi: headers too long: more than 1000 bytes"},
		{"authorizer", cgi.Request{Role: cgi.Authorizer}, nil, "scgi: send unix:/nowhere: scgi has no role authorizer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := (&Client{MaxParams: 1000}).RoundTrip(t.Context(), "unix", "/nowhere", &tt.r)
			if text(err) != tt.text || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("error %v, want %v", err, tt.text)
			}
			if failed, ok := errors.AsType[*cgi.Error](err); !ok || failed.SafeToRetry || failed.Sent != 0 {
				t.Errorf("error %+v: no application could take this", failed)
			}
		})
	}
}

func TestClientDial(t *testing.T) {
	gone := filepath.Join(t.TempDir(), "a")
	_, err := (&Client{}).RoundTrip(t.Context(), "unix", gone, newGet())
	if failed, ok := errors.AsType[*cgi.Error](err); !ok || failed.Op != "dial" || !failed.SafeToRetry || !errors.Is(err, syscall.ENOENT) {
		t.Errorf("error %v", err)
	}
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(why)
	if _, err := (&Client{}).RoundTrip(ctx, "unix", gone, newGet()); err != why {
		t.Errorf("error %v, want the context's", err)
	}
}

// A connection of the caller's own making may block from the first byte on.
func TestClientDialsAsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		client := &Client{Dial: func(_ context.Context, network, address string) (net.Conn, error) {
			if network != "tls" || address != "a" {
				t.Errorf("Dial(%q, %q)", network, address)
			}
			return ours, nil
		}}
		_, err := client.RoundTrip(t.Context(), "tls", "a", newGet())
		if want := "scgi: send a: the application did not read on for 30s"; text(err) != want {
			t.Errorf("error %v, want %v", err, want)
		}
	})
}

// What is lost before any answer may be asked again, if it is a question.
func TestClientSafeToRetry(t *testing.T) {
	tests := []struct {
		name   string
		method string
		app    application
		want   bool
	}{
		{"GET", "GET", says(""), true},
		{"POST", "POST", says(""), false},
		{"GET, reset", "GET", func(nc net.Conn) { readRequest(nc); reset(nc) }, true},
		{"GET, answer begun", "GET", says("S"), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := listenFor(t, "tcp", tt.app)
			r := newGet()
			r.Method = tt.method
			_, err := (&Client{}).RoundTrip(t.Context(), "tcp", addr.String(), r)
			if failed, ok := errors.AsType[*cgi.Error](err); !ok || failed.SafeToRetry != tt.want || failed.Op != "receive" {
				t.Errorf("error %v, want SafeToRetry %v", err, tt.want)
			}
		})
	}
}

// A reset in the middle of an answer without a length is no end.
func TestClientReset(t *testing.T) {
	for _, head := range []string{"Status: 200\n\n", "Content-Length: 10\n\n"} {
		addr := listenFor(t, "tcp", func(nc net.Conn) {
			readRequest(nc)
			io.WriteString(nc, head+"hello")
			time.Sleep(20 * time.Millisecond) // a reset may overtake what was sent
			reset(nc)
		})
		resp, err := (&Client{}).RoundTrip(t.Context(), "tcp", addr.String(), newGet())
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if string(body) != "hello" || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%q, %v, want hello and a reset", body, err)
		}
		resp.Body.Close()
	}
}

// An early answer ends the sending, whether the application or the client is
// waited for.
func TestClientEarlyAnswer(t *testing.T) {
	for _, network := range []string{"unix", "tcp"} {
		for name, body := range map[string]cgi.Body{"client stalls": stalled(), "application does not read": cgi.BytesBody(make([]byte, 100<<20))} {
			t.Run(network+" "+name, func(t *testing.T) {
				release := make(chan bool)
				addr := listenFor(t, network, func(nc net.Conn) {
					readRequest(nc)
					io.WriteString(nc, "Status: 413\nContent-Length: 5\n\nhello")
					<-release
				})
				defer close(release)
				r := &cgi.Request{Method: "POST", Target: "/", Body: body, ContentLength: 100 << 20}
				resp, err := (&Client{}).RoundTrip(t.Context(), network, addr.String(), r)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(resp.Body); resp.Status != 413 || string(got) != "hello" || err != nil {
					t.Errorf("%d %q %v", resp.Status, got, err)
				}
				resp.Body.Close()
			})
		}
	}
}

// A slow reader slows the application: what is held for him is what the system
// holds in its sockets.
func TestClientBackpressure(t *testing.T) {
	const most = 16 << 20
	wrote := make(chan int, 1)
	addr := listenFor(t, "unix", func(nc net.Conn) {
		readRequest(nc)
		io.WriteString(nc, "Status: 200\n\n")
		n, piece := 0, make([]byte, 1<<16)
		nc.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		for n < most {
			m, err := nc.Write(piece)
			n += m
			if err != nil {
				break
			}
		}
		wrote <- n
	})
	resp, err := (&Client{}).RoundTrip(t.Context(), "unix", addr.String(), newGet())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if n := <-wrote; n >= 2<<20 {
		t.Errorf("the application wrote %d bytes that nobody has read", n)
	}
}

// ctx ends an exchange wherever it waits.
func TestClientContext(t *testing.T) {
	why := errors.New("why")
	tests := []struct {
		name   string
		answer string
		body   cgi.Body
	}{
		{"for the head", "", nil},
		{"for the body", "Status: 200\n\n", nil},
		{"for the client", "", stalled()},
		{"for the application to read", "", cgi.BytesBody(make([]byte, 100<<20))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			release := make(chan bool)
			addr := listenFor(t, "unix", func(nc net.Conn) {
				readRequest(nc)
				io.WriteString(nc, tt.answer)
				<-release
			})
			defer close(release)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer time.AfterFunc(20*time.Millisecond, func() { cancel(why) }).Stop()
			r := &cgi.Request{Method: "POST", Target: "/", Body: tt.body, ContentLength: 100 << 20}
			resp, err := (&Client{}).RoundTrip(ctx, "unix", addr.String(), r)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if err != why {
				t.Errorf("error %v, want the context's cause", err)
			}
		})
	}
}

// A flushCounter notes what was there at each Flush.
type flushCounter struct {
	strings.Builder
	flushed []string
}

func (f *flushCounter) Flush() error {
	f.flushed = append(f.flushed, f.String())
	return nil
}

// WriteTo flushes before each wait, and be it for the first byte of the body.
func TestClientWriteTo(t *testing.T) {
	got := make(chan bool)
	addr := listenFor(t, "unix", func(nc net.Conn) {
		readRequest(nc)
		for _, piece := range []string{"Status: 200\n\n", "one ", "two"} {
			io.WriteString(nc, piece)
			<-got
		}
	})
	resp, err := (&Client{}).RoundTrip(t.Context(), "unix", addr.String(), newGet())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	w := &flushCounter{}
	signal := tellingFlusher{w, got}
	n, err := io.Copy(signal, resp.Body)
	if n != 7 || err != nil || w.String() != "one two" || strings.Join(w.flushed, "|") != "|one |one two" {
		t.Errorf("%d, %v: %q, flushed %q", n, err, w.String(), w.flushed)
	}
}

// tellingFlusher tells the application of each Flush.
type tellingFlusher struct {
	*flushCounter
	flushes chan bool
}

func (f tellingFlusher) Flush() error {
	f.flushCounter.Flush()
	f.flushes <- true
	return nil
}

// exchangeInBubble runs an exchange over a pipe, on a clock of its own.
func exchangeInBubble(t *testing.T, client *Client, r *cgi.Request, app application, test func(resp *cgi.Response, err error)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		ended := make(chan bool)
		go func() { defer close(ended); defer theirs.Close(); app(theirs) }()
		head, err := client.encode(r)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := newExchange(t.Context(), client, ours, "unix", "a", r).run(head)
		test(resp, err)
		if resp != nil {
			resp.Body.Close()
		}
		<-ended
	})
}

func TestClientTimeouts(t *testing.T) {
	hang := func(nc net.Conn) { readRequest(nc); io.Copy(io.Discard, nc) }
	tests := []struct {
		name   string
		client Client
		body   func() cgi.Body
		app    application
		after  time.Duration
		want   string
	}{
		{"first byte", Client{}, nil, hang, DefaultFirstByteTimeout, "scgi: receive unix:a: no answer for 1m0s"},
		{"first byte, other limit", Client{FirstByteTimeout: 3 * time.Second, ReadTimeout: time.Second}, nil, hang, 3 * time.Second, "scgi: receive unix:a: no answer for 3s"},
		{"rest of the head", Client{FirstByteTimeout: time.Second, ReadTimeout: 5 * time.Second}, nil, func(nc net.Conn) {
			readRequest(nc)
			io.WriteString(nc, "Status: 200\n")
			io.Copy(io.Discard, nc)
		}, 5 * time.Second, "scgi: receive unix:a: no further byte of the answer for 5s"},
		{"rest of the body", Client{}, nil, func(nc net.Conn) {
			readRequest(nc)
			io.WriteString(nc, "Status: 200\n\nsome")
			time.Sleep(30 * time.Second)
			io.WriteString(nc, "more")
			io.Copy(io.Discard, nc)
		}, 90 * time.Second, "scgi: receive unix:a: no further byte of the answer for 1m0s"},
		{"not closed", Client{}, nil, func(nc net.Conn) {
			readRequest(nc)
			io.WriteString(nc, "Content-Length: 4\n\nsome")
			io.Copy(io.Discard, nc)
		}, endWait, ""},
		{"first byte after a slow body", Client{FirstByteTimeout: 3 * time.Second}, slowBody, hang, 13 * time.Second, "scgi: receive unix:a: no answer for 3s"},
		{"body not read", Client{}, slowBody, func(nc net.Conn) { readRequest(nc); time.Sleep(time.Hour) }, 40 * time.Second, "scgi: send unix:a: the application did not read on for 30s"},
		{"no limits", Client{FirstByteTimeout: -1, ReadTimeout: -1, WriteTimeout: -1}, nil, func(nc net.Conn) {
			readRequest(nc)
			time.Sleep(time.Hour)
			io.WriteString(nc, "Status: 200\n\n")
			time.Sleep(time.Hour)
		}, 2 * time.Hour, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := newGet()
			if tt.body != nil {
				r.Body, r.ContentLength = tt.body(), 2*surelyTaken
			}
			var start time.Time
			client := tt.client
			app := func(nc net.Conn) { start = time.Now(); tt.app(nc) }
			exchangeInBubble(t, &client, r, app, func(resp *cgi.Response, err error) {
				if err == nil {
					_, err = io.ReadAll(resp.Body)
				}
				if took := time.Since(start); text(err) != tt.want || took != tt.after {
					t.Errorf("%v after %v\nwant %v after %v", err, took, tt.want, tt.after)
				}
				if failed, ok := errors.AsType[*cgi.Error](err); ok && (!failed.Timeout() || failed.SafeToRetry) {
					t.Errorf("error %+v: want a timeout that is not safe to retry", failed)
				}
			})
		})
	}
}

// slowBody comes after 10 seconds.
func slowBody() cgi.Body {
	return &streamBody{cancelled: make(chan bool), Reader: readerFunc(func(p []byte) (int, error) {
		time.Sleep(10 * time.Second)
		return len(p), nil
	})}
}
