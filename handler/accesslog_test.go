package handler

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// logged calls a handler below an access log and returns its records, of which
// there is one, as JSON has it.
func logged(t *testing.T, ctx context.Context, w cgi.ResponseWriter, r *cgi.Request, f cgi.HandlerFunc) map[string]any {
	t.Helper()
	var out bytes.Buffer
	func() {
		defer func() { recover() }()
		AccessLog(f, slog.New(slog.NewJSONHandler(&out, nil))).ServeCGI(ctx, w, r)
	}()
	var rec map[string]any
	if err := json.Unmarshal(out.Bytes(), &rec); err != nil {
		t.Fatalf("log is %q: %v", out.String(), err)
	}
	return rec
}

// Every attribute, in order, and the time of arrival.
func TestRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(slog.NewJSONHandler(&out, nil))
		f := func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			time.Sleep(20 * time.Millisecond)
			w.WriteHeader(201, nil)
			time.Sleep(30 * time.Millisecond)
			w.Write([]byte("hello"))
			// As a handler does that asks itself for another page.
			r.Method, r.Target = "GET", "/other"
			w.(interface{ Note(...slog.Attr) }).Note(slog.String("backend", "php"))
		}
		r := &cgi.Request{
			Method: "POST", Target: "/a%20b?c=d", Proto: "HTTP/1.1", Host: "x.test:8080", RemoteAddr: "192.0.2.1", RemoteUser: "jane",
			Header: cgi.Header{{Name: "user-agent", Value: "curl\n"}, {Name: "Referer", Value: "http://y.test/"}},
		}
		stamp, _ := json.Marshal(time.Now())
		AccessLog(cgi.HandlerFunc(f), log).ServeCGI(t.Context(), &sink{}, r)
		want := `{"time":` + string(stamp) + `,"level":"INFO","msg":"request",` +
			`"remote":"192.0.2.1","user":"jane","method":"POST","host":"x.test:8080","target":"/a%20b?c=d","proto":"HTTP/1.1",` +
			`"status":201,"bytes":5,"duration":50000000,"first_byte":20000000,"referer":"http://y.test/","agent":"curl\n","backend":"php"}` + "\n"
		if out.String() != want {
			t.Errorf("got  %s\nwant %s", out.String(), want)
		}
	})
}

// What is not known is left out.
func TestRecordOfLittle(t *testing.T) {
	rec := logged(t, t.Context(), &sink{}, &cgi.Request{Method: "GET", Target: "/", Proto: "HTTP/1.1"},
		func(context.Context, cgi.ResponseWriter, *cgi.Request) {})
	want := []string{"bytes", "duration", "level", "method", "msg", "proto", "status", "target", "time"}
	if got := slices.Sorted(maps.Keys(rec)); !slices.Equal(got, want) {
		t.Errorf("attributes are %q, want %q", got, want)
	}
}

func TestOutcome(t *testing.T) {
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	head := func(status int) func(cgi.ResponseWriter) {
		return func(w cgi.ResponseWriter) { w.WriteHeader(status, nil) }
	}
	write := func(s string) func(cgi.ResponseWriter) {
		return func(w cgi.ResponseWriter) { io.WriteString(w, s) }
	}
	// A reader that has no WriteTo, as a file has none for this.
	read := func(s string, end error) func(cgi.ResponseWriter) {
		return func(w cgi.ResponseWriter) {
			r := io.MultiReader(strings.NewReader(s), iotest.ErrReader(end))
			io.Copy(w, struct{ io.Reader }{r})
		}
	}
	flush := func(w cgi.ResponseWriter) { w.Flush() }
	list := func(f ...func(cgi.ResponseWriter)) []func(cgi.ResponseWriter) { return f }
	abort := func(w cgi.ResponseWriter) { w.Abort() }
	fail := func(cgi.ResponseWriter) { panic("no") }
	tests := []struct {
		name    string
		ctx     context.Context // nil: the client waits
		method  string          // "" means GET
		room    int             // bytes of body until the client is gone; 0: it stays, -1: it is gone
		do      []func(cgi.ResponseWriter)
		status  int
		bytes   int
		aborted bool
	}{
		{name: "said nothing", status: 200},
		{name: "head only", do: list(head(404)), status: 404},
		{name: "body only", do: list(write("hello")), status: 200, bytes: 5},
		{name: "flush only", do: list(flush), status: 200},
		{name: "in pieces", do: list(head(201), write("he"), flush, write("llo")), status: 201, bytes: 5},
		{name: "a file", do: list(read("hello", io.EOF)), status: 200, bytes: 5},
		{name: "interim first", do: list(head(103), head(204)), status: 204},
		{name: "interim only", do: list(head(103)), status: 200},
		{name: "second head", do: list(head(404), head(200)), status: 404},
		{name: "HEAD", method: "HEAD", do: list(head(200), write("hello"), read("x", io.EOF)), status: 200},
		{name: "no content", do: list(head(204), write("hello")), status: 204},
		{name: "not modified", do: list(head(304), write("hello")), status: 304},

		{name: "aborted before the head", do: list(abort), status: 0, aborted: true},
		{name: "aborted in the body", do: list(head(200), write("hel"), abort), status: 200, bytes: 3, aborted: true},
		{name: "file breaks off", do: list(read("hel", errors.New("disk"))), status: 200, bytes: 3, aborted: true},
		{name: "gone before the head", room: -1, do: list(head(200)), status: 0, aborted: true},
		{name: "gone before the head, waiting for it", ctx: gone, room: -1, do: list(head(200)), status: 499, aborted: true},
		{name: "gone before any", ctx: gone, status: 499, aborted: true},
		{name: "gone before any, aborted", ctx: gone, do: list(abort), status: 499, aborted: true},
		{name: "gone in the body", ctx: gone, room: 3, do: list(head(200), write("hello")), status: 200, bytes: 3, aborted: true},
		{name: "gone in a body without head", room: 3, do: list(write("hello")), status: 200, bytes: 3, aborted: true},
		{name: "gone before a body without head", room: -1, do: list(write("hello")), status: 0, aborted: true},
		{name: "gone at a flush", room: 3, do: list(head(200), write("hel"), flush), status: 200, bytes: 3, aborted: true},
		{name: "gone at the last byte", ctx: gone, do: list(head(200), write("hello")), status: 200, bytes: 5},

		{name: "panic", do: list(fail), status: 500},
		{name: "panic, the client gone", ctx: gone, do: list(fail), status: 500},
		{name: "panic in the body", do: list(head(200), write("hel"), fail), status: 200, bytes: 3, aborted: true},
		{name: "panic after abort", do: list(abort, fail), status: 500, aborted: true},
	}
	for _, tt := range tests {
		for _, rich := range []bool{false, true} {
			t.Run(tt.name, func(t *testing.T) {
				ctx, method := tt.ctx, tt.method
				if ctx == nil {
					ctx = t.Context()
				}
				if method == "" {
					method = "GET"
				}
				s := sink{room: max(tt.room, 0), limited: tt.room != 0}
				var w cgi.ResponseWriter = &s
				if rich {
					w = &richSink{sink: s}
				}
				rec := logged(t, ctx, w, &cgi.Request{Method: method, Target: "/", Proto: "HTTP/1.1"},
					func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
						for _, do := range tt.do {
							do(w)
						}
					})
				aborted, _ := rec["aborted"].(bool)
				if rec["status"] != float64(tt.status) || rec["bytes"] != float64(tt.bytes) || aborted != tt.aborted {
					t.Errorf("status %v, bytes %v, aborted %t, want %d, %d, %t",
						rec["status"], rec["bytes"], aborted, tt.status, tt.bytes, tt.aborted)
				}
			})
		}
	}
}

// Without a status there is no first byte.
func TestFirstByte(t *testing.T) {
	tests := []struct {
		name string
		f    func(cgi.ResponseWriter)
		want bool
	}{
		{"head", func(w cgi.ResponseWriter) { w.WriteHeader(200, nil) }, true},
		{"body", func(w cgi.ResponseWriter) { w.Write([]byte("x")) }, true},
		{"interim", func(w cgi.ResponseWriter) { w.WriteHeader(103, nil) }, false},
		{"nothing", func(cgi.ResponseWriter) {}, false},
		{"abort", func(w cgi.ResponseWriter) { w.Abort() }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rec := logged(t, t.Context(), &sink{}, &cgi.Request{},
				func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) { tt.f(w) })
			if _, got := rec["first_byte"]; got != tt.want {
				t.Errorf("first_byte is there: %t, want %t", got, tt.want)
			}
		})
	}
}

func TestNote(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if slices.Contains([]string{slog.TimeKey, slog.LevelKey, "duration", "first_byte"}, a.Key) {
			return slog.Attr{}
		}
		return a
	}}))
	AccessLog(cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		note := w.(interface{ Note(...slog.Attr) }).Note
		room := []slog.Attr{slog.String("backend", "a"), slog.Int("tries", 1)}
		note(room...)
		room[0] = slog.String("not", "kept")
		note(slog.String("backend", "b"), slog.String("backend", "c"), slog.String("method", "PUT"))
		for _, key := range []string{"more", "than", "there", "is", "room", "for"} {
			note(slog.String(key, ""))
		}
		note(slog.Int("tries", 2), slog.Duration("duration", time.Second), slog.String("user", "jane"))
	}), log).ServeCGI(t.Context(), &sink{}, &cgi.Request{Method: "GET", Target: "/", Proto: "HTTP/1.1"})
	want := `msg=request method=PUT target=/ proto=HTTP/1.1 status=200 bytes=0 backend=c tries=2 more="" than="" there="" is="" room="" for="" user=jane` + "\n"
	if out.String() != want {
		t.Errorf("got  %s\nwant %s", out.String(), want)
	}
}

// The optional interfaces are those of the writer below.
func TestPassThrough(t *testing.T) {
	low := &richSink{}
	deadline := time.Unix(1, 0)
	rec := logged(t, t.Context(), low, &cgi.Request{}, func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
		io.WriteString(cgi.Stderr(w), "oops")
		if err := w.(interface{ SetWriteDeadline(time.Time) error }).SetWriteDeadline(deadline); err != nil {
			t.Error(err)
		}
		w.WriteHeader(200, nil)
		if n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("hello")); n != 5 || err != nil {
			t.Errorf("ReadFrom = %d, %v", n, err)
		}
		w.Flush()
		w.Abort()
	})
	if got := strings.Join(low.calls, " "); got != "head readfrom flush abort" {
		t.Errorf("calls: %s", got)
	}
	if low.body.String() != "hello" || low.stderr.String() != "oops" || !low.deadline.Equal(deadline) || rec["bytes"] != 5.0 {
		t.Errorf("body %q, stderr %q, deadline %v, record %v", low.body.String(), low.stderr.String(), low.deadline, rec)
	}

	poor := &sink{}
	logged(t, t.Context(), poor, &cgi.Request{}, func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
		if n, err := io.WriteString(cgi.Stderr(w), "oops"); n != 4 || err != nil {
			t.Errorf("Stderr without one: %d, %v", n, err)
		}
		if err := w.(interface{ SetWriteDeadline(time.Time) error }).SetWriteDeadline(deadline); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("SetWriteDeadline without one: %v", err)
		}
		if n, err := w.(io.ReaderFrom).ReadFrom(strings.NewReader("hello")); n != 5 || err != nil || poor.body.String() != "hello" {
			t.Errorf("ReadFrom without one: %d, %v, %q", n, err, poor.body.String())
		}
	})
}

// Without a log nothing stands between.
func TestOff(t *testing.T) {
	w := &sink{}
	var got cgi.ResponseWriter
	next := cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) { got = w })
	levels := &slog.HandlerOptions{Level: slog.LevelWarn}
	for name, log := range map[string]*slog.Logger{
		"no log":         nil,
		"discards":       slog.New(slog.DiscardHandler),
		"warnings alone": slog.New(slog.NewTextHandler(io.Discard, levels)),
	} {
		got = nil
		AccessLog(next, log).ServeCGI(t.Context(), w, &cgi.Request{})
		if got != w {
			t.Errorf("%s: the handler got a %T, want the writer itself", name, got)
		}
	}
}

// A panic goes on, from where it came.
func TestPanicPasses(t *testing.T) {
	defer func() {
		if v := recover(); v != "no" {
			t.Errorf("recovered %v, want the handler's panic", v)
		}
	}()
	AccessLog(cgi.HandlerFunc(func(context.Context, cgi.ResponseWriter, *cgi.Request) { panic("no") }),
		slog.New(slog.NewTextHandler(io.Discard, nil))).ServeCGI(t.Context(), &sink{}, &cgi.Request{})
}
