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
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// onUnix serves on a unix socket until the end of the test.
func onUnix(t *testing.T, s *Server) (address string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "s") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	address = filepath.Join(dir, "s")
	l, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		<-served
	})
	return address
}

// Where there is no room for a body that is not read, be it that the quota is
// used up or that no file can be made, its web server waits, and nothing is
// lost; unless others on the connection would wait, too.
func TestServerWithoutRoom(t *testing.T) {
	const size = 20 << 20 // more than spillMemory
	for name, set := range map[string]func(s *Server){
		"quota":     func(s *Server) { s.MaxSpill = 1 },
		"no folder": func(s *Server) { s.SpillDir = "/nonexistent" },
	} {
		t.Run(name, func(t *testing.T) {
			release := make(chan struct{})
			s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				<-release
				n, err := io.Copy(io.Discard, r.Body)
				fmt.Fprint(w, n, err)
			})}
			set(s)
			address := onUnix(t, s)
			if _, err := Values(t.Context(), "unix", address, MpxsConn); err != nil { // now nobody waits who need not
				t.Fatal(err)
			}
			c := &Client{}
			defer c.Close()
			type result struct {
				body string
				err  error
			}
			done := make(chan result)
			go func() {
				_, body, err := fetch(t.Context(), c, address, post(cgi.BytesBody(make([]byte, size)), size))
				done <- result{body, err}
			}()
			for s.limit.bodies.Memory() < spillMemory-(1<<20) {
				time.Sleep(time.Millisecond)
			}
			select {
			case got := <-done:
				t.Fatalf("before the body was read: %+v", got)
			case <-time.After(50 * time.Millisecond):
			}
			close(release)
			if got := <-done; got.body != fmt.Sprint(size, nil) || got.err != nil {
				t.Errorf("got %+v", got)
			}
		})
	}
}

// A web server that goes away while its body waits for the handler is noticed,
// although nothing of it is read.
func TestServerHeldBackAndLeft(t *testing.T) {
	lost := make(chan error, 1)
	begun := make(chan struct{})
	s := &Server{MaxBodyAhead: 100, BodyTimeout: -1, Handler: cgi.HandlerFunc(func(ctx context.Context, _ cgi.ResponseWriter, _ *cgi.Request) {
		close(begun)
		<-ctx.Done()
		lost <- context.Cause(ctx)
	})}
	nc, err := net.Dial("unix", onUnix(t, s))
	if err != nil {
		t.Fatal(err)
	}
	head := beginK1 + get1 + endParams1
	nc.SetWriteDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.WriteString(nc, head+strings.Repeat(stdin1(strings.Repeat("x", 200)), 100)); err != nil {
		t.Fatal(err)
	}
	<-begun
	time.Sleep(2 * vigilDelay) // the driver waits, and somebody looks
	nc.Close()
	select {
	case err := <-lost:
		if !errors.Is(err, ErrConnectionLost) {
			t.Errorf("cause = %v, want %v", err, ErrConnectionLost)
		}
	case <-time.After(20 * time.Second):
		t.Error("the handler was not told")
	}
}

// A web server that gives no credit is waited for as long as one that does not
// read, and its other requests have as long to end as they have when any
// response is broken.
func TestServerWithoutCredit(t *testing.T) {
	for name, deadline := range map[string]time.Duration{"timeout": 0, "deadline of the handler": 3 * time.Second} {
		t.Run(name, func(t *testing.T) {
			failed := make(map[string]error)
			var after time.Duration
			begin := time.Now()
			h := cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				if _, long := r.Param("LONG"); !long {
					time.Sleep(6 * time.Second)
					io.WriteString(w, "hello")
					return
				}
				if deadline > 0 {
					w.(interface{ SetWriteDeadline(time.Time) error }).SetWriteDeadline(time.Now().Add(deadline))
				}
				_, failed["write"] = w.Write(make([]byte, 10_000))
				after = time.Since(begin)
			})
			s := &Server{WriteTimeout: 4 * time.Second, Handler: h}
			inBubble(t, s, func(t *testing.T, dial func() *web) {
				begin = time.Now()
				w := dial()
				w.send(recWindow(25) + recGet(2, true) + recGet(1, true, "LONG", ""))
				time.Sleep(30 * time.Second)
				got := w.replies()
				if !strings.Contains(got, ok2) || strings.Contains(got, "END(1 ") || !strings.HasSuffix(got, "closed") {
					t.Errorf("replies = %s, want the second whole, the first without its end", got)
				}
				want := 4 * time.Second
				if deadline > 0 {
					want = deadline
				}
				if !isTimeout(failed["write"]) || after < want || after > want+10*watchTick {
					t.Errorf("Write = %v after %v, want a timeout after %v", failed["write"], after, want)
				}
			})
		})
	}
}

// The write deadline of one handler costs its own response, and the others on
// the connection no more than any response that is broken.
func TestServerDeadlineOfOne(t *testing.T) {
	var cause error
	h := cgi.HandlerFunc(func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		if _, late := r.Param("LATE"); !late {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				cause = context.Cause(ctx)
			}
			io.WriteString(w, "hello")
			return
		}
		w.(interface{ SetWriteDeadline(time.Time) error }).SetWriteDeadline(time.Unix(1, 0))
		io.WriteString(w, "too late")
		if err := w.Flush(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Flush = %v", err)
		}
	})
	inBubble(t, &Server{Handler: h}, func(t *testing.T, dial func() *web) {
		w := dial()
		w.send(recGet(1, true) + recGet(2, true, "LATE", ""))
		time.Sleep(10 * time.Second)
		if got := w.replies(); got != ok1+" closed" || cause != nil {
			t.Errorf("replies = %s, cause %v", got, cause)
		}
	})
}

// A body that does not go on coming fails, and the request with it.
func TestServerBodyTimeout(t *testing.T) {
	h := cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", b, err)
	})
	inBubble(t, &Server{BodyTimeout: 5 * time.Second, Handler: h}, func(t *testing.T, dial func() *web) {
		w := dial()
		w.send(beginK1 + get1 + endParams1 + stdin1("a"))
		time.Sleep(4 * time.Second)
		w.send(stdin1("b"))
		time.Sleep(4 * time.Second)
		if got := w.replies(); got != "" {
			t.Errorf("in time: %s", got)
		}
		time.Sleep(2 * time.Second)
		if got := w.replies(); !strings.Contains(got, "ab fastcgi: request body: nothing has come for 5s") {
			t.Errorf("replies = %s", got)
		}
		w.send(endStdin1)
	})
}

// A body of unknown length that is announced does not keep its handler waiting.
func TestServerAnnouncedBody(t *testing.T) {
	var began time.Duration
	start := time.Now()
	h := cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		began = time.Since(start)
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", b, err)
	})
	inBubble(t, &Server{ParamsTimeout: time.Second, Handler: h}, func(t *testing.T, dial func() *web) {
		start = time.Now()
		w := dial()
		w.send(beginK1 + get1 + params1("\x16\x07HTTP_TRANSFER_ENCODINGchunked") + endParams1)
		time.Sleep(time.Minute)
		w.send(stdin1("body") + endStdin1)
		if got := w.replies(); !strings.Contains(got, "body <nil>") || began != 0 {
			t.Errorf("replies = %s; the handler began after %v", got, began)
		}
	})
}

// What a web server is told about multiplexing is what it may do.
func TestServerSaysItsLimits(t *testing.T) {
	tests := []struct {
		name string
		s    *Server
		want string
	}{
		{"defaults", &Server{}, "FCGI_MAX_REQS=512 FCGI_MPXS_CONNS=1"},
		{"one on a connection", &Server{MaxConnActive: 1}, "FCGI_MAX_REQS=1 FCGI_MPXS_CONNS=0"},
		{"one at all", &Server{MaxActive: 1}, "FCGI_MAX_REQS=1 FCGI_MPXS_CONNS=1"},
		{"no limits", &Server{MaxActive: -1, MaxConnActive: -1}, "FCGI_MAX_REQS=65535 FCGI_MPXS_CONNS=1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.s.Handler = cgi.HandlerFunc(sayHello)
			fields, err := Values(t.Context(), "unix", onUnix(t, tt.s), MaxReqs, MpxsConn)
			var got []string
			for _, f := range fields {
				got = append(got, f.Name+"="+f.Value)
			}
			if s := strings.Join(got, " "); s != tt.want || err != nil {
				t.Errorf("values = %s, %v, want %s", s, err, tt.want)
			}
		})
	}
}

// The log says which rule ended a connection.
func TestServerLogsTheRule(t *testing.T) {
	names := func(n int) (content string) {
		for i := range n {
			content += string([]byte{4, 0}) + fmt.Sprintf("N%03d", i)
		}
		return content
	}
	many := names(maxValues + 1)
	tests := []struct{ name, in, want string }{
		{"many names", "\x01\x09\x00\x00" + string([]byte{byte(len(many) >> 8), byte(len(many))}) + "\x00\x00" + many, "too"},
		{"half a header", "\x01\x01", "the rest of a record did not come for 30s"},
		{"half the params", beginK1 + get1, "the end of the PARAMS of request 1 did not come for 30s"},
		{"no stdin", beginK1 + get1 + endParams1, "STDIN of a request, or its end, did not come for 30s"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log bytes.Buffer
			s := &Server{Handler: cgi.HandlerFunc(sayHello), Log: slog.New(slog.NewTextHandler(&log, nil))}
			inBubble(t, s, func(t *testing.T, dial func() *web) {
				w := dial()
				w.send(tt.in)
				time.Sleep(time.Minute)
				synctest.Wait()
				if got := w.replies(); got != "closed" || !strings.Contains(log.String(), "connection closed") || !strings.Contains(log.String(), tt.want) {
					t.Errorf("replies = %s, log %s", got, &log)
				}
			})
		})
	}
}

// The last piece of a body is not there before it is, however long it had to
// wait for room.
func TestServerLastPieceWaits(t *testing.T) {
	const ahead, size = 100, unproven*100 + 100
	s := &Server{MaxBodyAhead: ahead, Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		time.Sleep(5 * time.Millisecond)
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, " ", err)
	})}
	address := onUnix(t, s)
	for range 20 {
		nc, err := net.Dial("unix", address)
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(20 * time.Second))
		head := recBegin(1, RoleResponder, false) + recParams(1, "REQUEST_METHOD", "POST", "CONTENT_LENGTH", fmt.Sprint(size))
		body := recStream(TypeStdin, 1, strings.Repeat("x", size-ahead)) + recStream(TypeStdin, 1, strings.Repeat("y", ahead)) + recEnd(TypeStdin, 1)
		io.WriteString(nc, head+body)
		answer, err := io.ReadAll(nc)
		nc.Close()
		if want := fmt.Sprint(size, " ", nil); !strings.Contains(string(answer), want) || err != nil {
			t.Fatalf("answer = %q, %v, want %s", answer, err, want)
		}
	}
}

// A web server that is still writing its body when the handler has answered is
// not cut off, neither before nor after somebody has begun to look whether it
// has gone.
func TestServerAnswersHeldBack(t *testing.T) {
	for _, after := range []time.Duration{vigilDelay / 4, 2 * vigilDelay} {
		s := &Server{MaxBodyAhead: 1000, Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			time.Sleep(after)
			io.WriteString(w, "hello")
		})}
		address := onUnix(t, s)
		for range 10 {
			nc, err := net.Dial("unix", address)
			if err != nil {
				t.Fatal(err)
			}
			nc.SetDeadline(time.Now().Add(20 * time.Second))
			_, werr := io.WriteString(nc, recPost(1, false, strings.Repeat("x", 1<<20)))
			answer, err := io.ReadAll(nc)
			nc.Close()
			if werr != nil || err != nil || !strings.Contains(string(answer), "hello") {
				t.Fatalf("after %v: write: %v, read: %v, answer of %d bytes", after, werr, err, len(answer))
			}
		}
	}
}

// A web server that has shown that it sends several requests at a time does not
// have them wait for a body that there is no room for: that one fails.
func TestServerWithoutRoomBesideOthers(t *testing.T) {
	release := make(chan struct{})
	s := &Server{MaxSpill: 1, Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		if r.Method == "POST" {
			<-release
		}
		io.WriteString(w, "hello")
	})}
	nc, err := net.Dial("unix", onUnix(t, s))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	defer close(release)
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	go func() { // ends with the connection
		io.WriteString(nc, recBegin(2, RoleResponder, true)+recGet(1, true)+recParams(2)+recEnd(TypeStdin, 2))
		io.WriteString(nc, recPost(3, true, strings.Repeat("x", 24<<20), "REQUEST_METHOD", "POST"))
		io.WriteString(nc, recGet(4, true))
	}()
	var d Decoder
	for buf := make([]byte, 64<<10); ; {
		n, err := nc.Read(buf)
		if err != nil {
			t.Fatalf("no answer to the request behind the body: %v", err)
		}
		for b := buf[:n]; ; {
			p, rest, ok, err := d.Next(b)
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				break
			}
			if b = rest; p.ID == 4 {
				return
			}
		}
	}
}

// That somebody has asked whether he may multiplex changes nothing for those who
// do not.
func TestServerDeadlineAfterAQuestion(t *testing.T) {
	took := make(chan time.Duration, 1)
	s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
		begin := time.Now()
		w.(interface{ SetWriteDeadline(time.Time) error }).SetWriteDeadline(begin.Add(100 * time.Millisecond))
		var err error
		for err == nil {
			_, err = w.Write(make([]byte, 1<<20))
		}
		took <- time.Since(begin)
	})}
	address := onUnix(t, s)
	if _, err := Values(t.Context(), "unix", address, MpxsConn); err != nil {
		t.Fatal(err)
	}
	nc, err := net.Dial("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	io.WriteString(nc, recGet(1, true))
	select {
	case <-took:
	case <-time.After(20 * time.Second):
		t.Error("a write with a deadline of 100ms goes on")
	}
}

// What is longer than it was announced is cut with a word in the log.
func TestServerLogsLongBody(t *testing.T) {
	var log bytes.Buffer
	s := &Server{Log: slog.New(slog.NewTextHandler(&log, nil)), Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		b, err := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %v", b, err)
	})}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		w := dial()
		w.send(recPost(1, true, "0123456789", "CONTENT_LENGTH", "5"))
		if got := w.replies(); !strings.Contains(got, "01234 <nil>") {
			t.Errorf("replies = %s", got)
		}
	})
	if n := strings.Count(log.String(), "request body cut"); n != 1 {
		t.Errorf("said %d times, want once: %s", n, &log)
	}
}
