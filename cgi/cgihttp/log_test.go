package cgihttp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
)

// withRequest calls f with the context of a request, and returns what came to
// its stderr.
func withRequest(f func(ctx context.Context)) string {
	w := serve(func(_ http.ResponseWriter, r *http.Request) { f(r.Context()) }, get("/"))
	return w.stderr.String()
}

// inContext is a handler whose records all have one context: package slogtest
// gives none.
type inContext struct {
	slog.Handler
	ctx context.Context
}

func (h inContext) Handle(_ context.Context, r slog.Record) error { return h.Handler.Handle(h.ctx, r) }
func (h inContext) WithAttrs(attrs []slog.Attr) slog.Handler {
	return inContext{h.Handler.WithAttrs(attrs), h.ctx}
}
func (h inContext) WithGroup(name string) slog.Handler {
	return inContext{h.Handler.WithGroup(name), h.ctx}
}

func TestLogHandlerConforms(t *testing.T) {
	t.Run("stderr", func(t *testing.T) {
		var next bytes.Buffer
		lines := withRequest(func(ctx context.Context) {
			h := inContext{LogHandler(slog.NewJSONHandler(&next, nil), nil), ctx}
			err := slogtest.TestHandler(h, func() []map[string]any {
				return parseText(t, callOf(ctx).w.(*recorder).stderr.String())
			})
			if err != nil {
				t.Error(err)
			}
		})
		if lines == "" || next.Len() > 0 {
			t.Errorf("to next: %s", &next)
		}
	})
	t.Run("next", func(t *testing.T) {
		var next bytes.Buffer
		stderr := withRequest(func(context.Context) {
			err := slogtest.TestHandler(LogHandler(slog.NewJSONHandler(&next, nil), nil), func() []map[string]any {
				return parseJSON(t, next.String())
			})
			if err != nil {
				t.Error(err)
			}
		})
		if stderr != "" {
			t.Errorf("to stderr: %s", stderr)
		}
	})
}

func parseJSON(t *testing.T, lines string) (records []map[string]any) {
	for line := range strings.Lines(lines) {
		m := make(map[string]any)
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		records = append(records, m)
	}
	return records
}

// parseText reads lines of name=value; a dot in a name stands between groups.
func parseText(t *testing.T, lines string) (records []map[string]any) {
	for line := range strings.Lines(lines) {
		record := make(map[string]any)
		for line = strings.TrimSpace(line); line != ""; line = strings.TrimSpace(line) {
			name, rest, ok := strings.Cut(line, "=")
			if !ok {
				t.Fatalf("no value: %q", line)
			}
			value, _, _ := strings.Cut(rest, " ")
			if quoted, err := strconv.QuotedPrefix(rest); err == nil {
				value = quoted
			}
			line = rest[len(value):]
			if s, err := strconv.Unquote(value); err == nil {
				value = s
			}
			groups := strings.Split(name, ".")
			m := record
			for _, g := range groups[:len(groups)-1] {
				if m[g] == nil {
					m[g] = make(map[string]any)
				}
				m = m[g].(map[string]any)
			}
			m[groups[len(groups)-1]] = value
		}
		records = append(records, record)
	}
	return records
}

// withoutTime makes lines that can be compared.
var withoutTime = &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}}

func TestLogHandlerRoutes(t *testing.T) {
	var next bytes.Buffer
	log := slog.New(LogHandler(slog.NewTextHandler(&next, withoutTime), withoutTime))
	tests := []struct {
		name               string
		serve              func(h http.Handler) (stderr string)
		log                func(ctx context.Context)
		wantStderr, wantTo string // to next
	}{
		{"one line", serveRecorded, func(ctx context.Context) { log.InfoContext(ctx, "two\nlines", "a", "b c") },
			"level=INFO msg=\"two\\nlines\" a=\"b c\"\n", ""},
		{"a context below", serveRecorded, func(ctx context.Context) {
			ctx, cancel := context.WithCancel(context.WithValue(ctx, lentKey{}, 1))
			defer cancel()
			log.InfoContext(ctx, "x")
		}, "level=INFO msg=x\n", ""},
		{"another context", serveRecorded, func(context.Context) { log.Info("x") }, "", "level=INFO msg=x\n"},
		{"attributes and groups", serveRecorded, func(ctx context.Context) {
			l := log.With("a", 1).WithGroup("g").With("b", 2)
			l.InfoContext(ctx, "x", "c", 3)
			l.Info("y", "c", 3)
		}, "level=INFO msg=x a=1 g.b=2 g.c=3\n", "level=INFO msg=y a=1 g.b=2 g.c=3\n"},
		{"a level too low", serveRecorded, func(ctx context.Context) { log.DebugContext(ctx, "x") }, "", ""},
		{"no stderr", func(h http.Handler) string {
			Handler(h).ServeCGI(context.Background(), nopCGIWriter{}, get("/"))
			return ""
		}, func(ctx context.Context) { log.InfoContext(ctx, "x") }, "", "level=INFO msg=x\n"},
		{"a stderr that fails", func(h http.Handler) string {
			Handler(h).ServeCGI(context.Background(), deafWriter{}, get("/"))
			return ""
		}, func(ctx context.Context) { log.InfoContext(ctx, "x") }, "", "level=INFO msg=x\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			next.Reset()
			stderr := tt.serve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { tt.log(r.Context()) }))
			if stderr != tt.wantStderr || next.String() != tt.wantTo {
				t.Errorf("stderr %q, next %q\nwant   %q,      %q", stderr, &next, tt.wantStderr, tt.wantTo)
			}
		})
	}
}

func serveRecorded(h http.Handler) (stderr string) {
	w := new(recorder)
	Handler(h).ServeCGI(context.Background(), w, get("/"))
	return w.stderr.String()
}

// A deafWriter has a stderr that takes nothing.
type deafWriter struct{ nopCGIWriter }

func (deafWriter) Stderr() io.Writer {
	return writerFunc(func([]byte) (int, error) { return 0, errors.New("gone") })
}

func sortedLines(s string) string {
	return strings.Join(slices.Sorted(strings.Lines(s)), "")
}

func TestLogHandlerAfterReturn(t *testing.T) {
	var next bytes.Buffer
	log := slog.New(LogHandler(slog.NewTextHandler(&next, withoutTime), nil))
	var after context.Context
	stderr := withRequest(func(ctx context.Context) { after = ctx })
	log.InfoContext(after, "late")
	if got := next.String(); stderr != "" || got != "level=INFO msg=late\n" {
		t.Errorf("stderr %q, next %q", stderr, got)
	}
}

// The levels of the two ways are their own.
func TestLogHandlerLevels(t *testing.T) {
	var next bytes.Buffer
	log := slog.New(LogHandler(slog.NewTextHandler(&next, &slog.HandlerOptions{Level: slog.LevelError}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	stderr := withRequest(func(ctx context.Context) {
		log.DebugContext(ctx, "one")
		log.Info("two")
	})
	Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		log.DebugContext(r.Context(), "three") // for the stderr, which fails
	})).ServeCGI(context.Background(), deafWriter{}, get("/"))
	if !strings.Contains(stderr, "one") || next.Len() > 0 {
		t.Errorf("stderr %q, next %q, want the one at debug and nothing below error", stderr, &next)
	}
}

// An attribute that logs itself must find nothing locked.
type chatty struct {
	log *slog.Logger
	ctx context.Context
}

func (c chatty) LogValue() slog.Value {
	c.log.InfoContext(c.ctx, "inner")
	return slog.StringValue("v")
}

func TestLogHandlerConcurrently(t *testing.T) {
	log := slog.New(LogHandler(slog.DiscardHandler, withoutTime)).With("with", 1)
	stderr := withRequest(func(ctx context.Context) {
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() { log.InfoContext(ctx, "outer", "a", chatty{log, ctx}) })
		}
		wg.Wait()
	})
	want := strings.Repeat("level=INFO msg=inner with=1\n", 20) + strings.Repeat("level=INFO msg=outer with=1 a=v\n", 20)
	if got := sortedLines(stderr); got != want {
		t.Errorf("lines:\n%s", got)
	}
}

func TestPanicIsLoggedOnce(t *testing.T) {
	var next bytes.Buffer
	log := slog.New(LogHandler(slog.NewTextHandler(&next, nil), nil))
	w := new(recorder)
	a := &Application{Log: log, Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("oops") })}
	a.ServeCGI(context.Background(), w, get("/"))
	if n := strings.Count(w.stderr.String(), "panic"); !strings.Contains(next.String(), "handler panicked") || strings.Contains(w.stderr.String(), "handler panicked") {
		t.Errorf("%d times in stderr: %s\nnext: %s", n, &w.stderr, &next)
	}
}
