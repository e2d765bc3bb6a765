package handler

import (
	"bytes"
	"io"
	"log/slog"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

// arrival is when the requests of these tests arrive.
var arrival = time.Date(2026, time.March, 4, 5, 6, 7, 890, time.FixedZone("", -(3*3600+30*60)))

// accessRecord returns a record as an AccessLog makes it.
func accessRecord(attrs ...slog.Attr) slog.Record {
	rec := slog.NewRecord(arrival, slog.LevelInfo, requestMessage, 0)
	rec.AddAttrs(attrs...)
	return rec
}

// combinedLine returns what NewCombined makes of a record.
func combinedLine(t testing.TB, rec slog.Record) string {
	t.Helper()
	var out bytes.Buffer
	if err := NewCombined(&out).Handle(t.Context(), rec); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestCombined(t *testing.T) {
	const stamp = "[04/Mar/2026:05:06:07 -0330]"
	type fields struct{ remote, user, method, target, proto, referer, agent string }
	plain := fields{method: "GET", target: "/", proto: "HTTP/1.1"}
	with := func(change func(*fields)) fields {
		f := plain
		change(&f)
		return f
	}
	tests := []struct {
		name          string
		f             fields
		status, bytes int64
		want          string
	}{
		{"nothing known", plain, 200, 5,
			`- - - ` + stamp + ` "GET / HTTP/1.1" 200 5 "-" "-"`},
		{"all known", fields{"192.0.2.7", "jane", "POST", "/a?b=c", "HTTP/2.0", "http://x.test/", "curl/8.5.0"}, 201, 1234567890123,
			`192.0.2.7 - jane ` + stamp + ` "POST /a?b=c HTTP/2.0" 201 1234567890123 "http://x.test/" "curl/8.5.0"`},
		{"IPv6", with(func(f *fields) { f.remote = "2001:db8::1" }), 200, 5,
			`2001:db8::1 - - ` + stamp + ` "GET / HTTP/1.1" 200 5 "-" "-"`},
		{"no bytes", plain, 304, 0,
			`- - - ` + stamp + ` "GET / HTTP/1.1" 304 - "-" "-"`},
		{"no status", plain, 0, 0,
			`- - - ` + stamp + ` "GET / HTTP/1.1" - - "-" "-"`},
		{"quote and backslash", with(func(f *fields) { f.target, f.agent = `/"\`, `" 200 "\` }), 200, 5,
			`- - - ` + stamp + ` "GET /\"\\ HTTP/1.1" 200 5 "-" "\" 200 \"\\"`},
		{"bytes with a letter", with(func(f *fields) { f.agent = "\b\n\r\t\v" }), 200, 5,
			`- - - ` + stamp + ` "GET / HTTP/1.1" 200 5 "-" "\b\n\r\t\v"`},
		{"other control bytes", with(func(f *fields) { f.agent = "\x00\x07\f\x1b[31m\x1f\x7f" }), 200, 5,
			`- - - ` + stamp + ` "GET / HTTP/1.1" 200 5 "-" "\x00\x07\x0c\x1b[31m\x1f\x7f"`},
		{"high bytes", with(func(f *fields) { f.referer = "é\u2028\xff\x9b" }), 200, 5,
			`- - - ` + stamp + ` "GET / HTTP/1.1" 200 5 "\xc3\xa9\xe2\x80\xa8\xff\x9b" "-"`},
		{"edges of the printable", with(func(f *fields) { f.agent = " !~" }), 200, 5,
			`- - - ` + stamp + ` "GET / HTTP/1.1" 200 5 "-" " !~"`},
		{"between escapes", with(func(f *fields) { f.target = "/a\nb\nc" }), 200, 5,
			`- - - ` + stamp + ` "GET /a\nb\nc HTTP/1.1" 200 5 "-" "-"`},
		{"line break in the method", with(func(f *fields) { f.method, f.proto = "G\r\nT", "HTTP\t" }), 200, 5,
			`- - - ` + stamp + ` "G\r\nT / HTTP\t" 200 5 "-" "-"`},
		{"blanks without quotes", with(func(f *fields) { f.remote, f.user = "a b", ` x [01/Jan/2000] "GET` }), 200, 5,
			`a\x20b - \x20x\x20[01/Jan/2000]\x20\"GET ` + stamp + ` "GET / HTTP/1.1" 200 5 "-" "-"`},
		{"only a blank", with(func(f *fields) { f.user = " " }), 200, 5,
			`- - \x20 ` + stamp + ` "GET / HTTP/1.1" 200 5 "-" "-"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := tt.f
			got := combinedLine(t, accessRecord(
				slog.String("remote", f.remote), slog.String("user", f.user), slog.String("method", f.method),
				slog.String("target", f.target), slog.String("proto", f.proto),
				slog.Int64("status", tt.status), slog.Int64("bytes", tt.bytes),
				slog.String("referer", f.referer), slog.String("agent", f.agent)))
			if got != tt.want+"\n" {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestCombinedOtherRecords(t *testing.T) {
	access := []slog.Attr{
		slog.String("method", "GET"), slog.String("target", "/"), slog.String("proto", "HTTP/1.1"),
		slog.Int("status", 200), slog.Int64("bytes", 5),
	}
	tests := []struct {
		name  string
		level slog.Level
		text  string
		attrs []slog.Attr
		want  string // after the time; empty: nothing is written
	}{
		{"another message", slog.LevelInfo, "listening", []slog.Attr{slog.String("url", "http://x/")}, "level=INFO msg=listening url=http://x/"},
		{"the message alone", slog.LevelInfo, "request", nil, "level=INFO msg=request"},
		{"one attribute short", slog.LevelInfo, "request", access[1:], "level=INFO msg=request target=/ proto=HTTP/1.1 status=200 bytes=5"},
		{"one of another kind", slog.LevelInfo, "request", append(access[1:], slog.Int("method", 1)),
			"level=INFO msg=request target=/ proto=HTTP/1.1 status=200 bytes=5 method=1"},
		{"the same one twice", slog.LevelInfo, "request", append(access[1:], access[1]),
			"level=INFO msg=request target=/ proto=HTTP/1.1 status=200 bytes=5 target=/"},
		{"another level", slog.LevelError, "request", access, "level=ERROR msg=request method=GET target=/ proto=HTTP/1.1 status=200 bytes=5"},
		{"below Info", slog.LevelDebug, "cache", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var out bytes.Buffer
			slog.New(NewCombined(&out)).LogAttrs(t.Context(), tt.level, tt.text, tt.attrs...)
			got := out.String()
			if tt.want != "" {
				if !strings.HasPrefix(got, "time=") {
					t.Fatalf("got %q, want the form of slog's text handler", got)
				}
				_, got, _ = strings.Cut(got, " ")
				tt.want += "\n"
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// What With adds has a place in other records only.
func TestCombinedWith(t *testing.T) {
	var out bytes.Buffer
	log := slog.New(NewCombined(&out)).With(slog.String("site", "a")).WithGroup("g").With(slog.Int("n", 1))
	log.Info("listening", "url", "x")
	if err := log.Handler().Handle(t.Context(), accessRecord(
		slog.String("method", "GET"), slog.String("target", "/"), slog.String("proto", "HTTP/1.1"),
		slog.Int("status", 200), slog.Int64("bytes", 5), slog.String("backend", "php"))); err != nil {
		t.Fatal(err)
	}
	want := regexp.MustCompile(`^time=\S+ level=INFO msg=listening site=a g.n=1 g.url=x
- - - \[\S+ -0330\] "GET / HTTP/1.1" 200 5 "-" "-"
$`)
	if !want.MatchString(out.String()) {
		t.Errorf("got %q", out.String())
	}
}

// A lineWriter fails the test at any call that is not one whole line, and
// relies on never being called twice at the same time: the race detector and
// the pause tell.
type lineWriter struct {
	t     *testing.T
	lines map[string]int
}

func (w *lineWriter) Write(p []byte) (int, error) {
	s := string(p)
	if strings.Count(s, "\n") != 1 || !strings.HasSuffix(s, "\n") {
		w.t.Errorf("Write got %q, want one line", s)
	}
	w.lines[s]++
	return len(p), nil
}

func TestCombinedConcurrent(t *testing.T) {
	const goroutines, each = 8, 100
	w := &lineWriter{t, make(map[string]int)}
	h := NewCombined(w)
	other := slog.New(h.WithAttrs([]slog.Attr{slog.Int("of", 1)}))
	var wg sync.WaitGroup
	for range goroutines {
		wg.Go(func() {
			// Long ones among them: their buffers are not kept.
			for i := range each {
				h.Handle(t.Context(), accessRecord(
					slog.String("method", "GET"), slog.String("target", "/"+strings.Repeat("x", 100*i)), slog.String("proto", "HTTP/1.1"),
					slog.Int("status", 200), slog.Int64("bytes", 5)))
				other.Info("between")
			}
		})
	}
	wg.Wait()
	access, between := 0, 0
	for line, n := range w.lines {
		if strings.HasPrefix(line, "time=") {
			between += n
			continue
		}
		access += n
		if n != goroutines {
			t.Errorf("%d times %.80q, want %d", n, line, goroutines)
		}
	}
	if access != goroutines*each || between != goroutines*each {
		t.Errorf("%d access records and %d others, want %d of each", access, between, goroutines*each)
	}
}

func TestCombinedError(t *testing.T) {
	r, w := io.Pipe()
	r.Close()
	if err := NewCombined(w).Handle(t.Context(), accessRecord(
		slog.String("method", "GET"), slog.String("target", "/"), slog.String("proto", "HTTP/1.1"),
		slog.Int("status", 200), slog.Int64("bytes", 5))); err != io.ErrClosedPipe {
		t.Errorf("Handle = %v, want the writer's error", err)
	}
}
