package handler

import (
	"context"
	"io"
	"log/slog"
	"runtime/debug"
	"slices"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
)

// benchRequest is what a browser sends through a gateway.
func benchRequest() *cgi.Request {
	return &cgi.Request{
		Method: "GET", Target: "/index.php?id=start", Proto: "HTTP/1.1", Host: "localhost:8080", RemoteAddr: "127.0.0.1",
		Header: cgi.Header{
			{Name: "Referer", Value: "http://localhost:8080/"},
			{Name: "User-Agent", Value: "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"},
		},
	}
}

var (
	hello = []byte("hello")
	notes = []slog.Attr{slog.String("backend", "php"), slog.Duration("queue", 0)}
)

// answer is a handler that does as little as possible, and notes what a
// gateway does.
func answer(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
	if n, ok := w.(interface{ Note(...slog.Attr) }); ok {
		n.Note(notes...)
	}
	w.WriteHeader(200, nil)
	w.Write(hello)
}

var logs = []struct {
	name string
	h    slog.Handler
}{
	{"combined", NewCombined(io.Discard)},
	{"json", slog.NewJSONHandler(io.Discard, nil)},
	{"off", slog.DiscardHandler},
}

func BenchmarkAccessLog(b *testing.B) {
	for _, l := range logs {
		b.Run(l.name, func(b *testing.B) {
			h := AccessLog(cgi.HandlerFunc(answer), slog.New(l.h))
			r, w := benchRequest(), &sink{}
			b.ReportAllocs()
			for b.Loop() {
				w.reset()
				h.ServeCGI(b.Context(), w, r)
			}
		})
	}
}

func TestAllocations(t *testing.T) {
	if raceDetector() {
		t.Skip("under the race detector a sync.Pool forgets now and then")
	}
	// The writer, and the attributes that a slog.Record has no room for.
	want := map[string]float64{"combined": 2, "json": 2, "off": 0}
	for _, l := range logs {
		h := AccessLog(cgi.HandlerFunc(answer), slog.New(l.h))
		r, w := benchRequest(), &sink{}
		got := testing.AllocsPerRun(200, func() {
			w.reset()
			h.ServeCGI(t.Context(), w, r)
		})
		if got > want[l.name] {
			t.Errorf("%s: %v allocations, want %v at most", l.name, got, want[l.name])
		}
	}
}

func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}
