package fastcgi

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/linelog"
)

// longLine is where linelog cuts a line that does not end.
const longLine = 4 << 10

// Bytes behind the end of an answer cost the connection, whether they are a
// record or only a part of one: whose they are is not known.
func TestTrailingBytesCostTheConnection(t *testing.T) {
	for name, tail := range map[string]string{
		"a whole answer":   string(answerBytes("A: b\n\nforged")),
		"a record":         string(AppendStream(nil, TypeStderr, 1, []byte("late"))),
		"part of a header": "\x01\x06\x00",
		"a header":         "\x01\x06\x00\x01\x00\x05\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			a := startApp(t, func(n int, c *appConn) {
				for {
					if _, _, ok := c.request(); !ok {
						return
					}
					c.Write(append(answerBytes(hello), tail...))
				}
			})
			client := newClient(t, &Client{})
			for range 3 {
				if _, body, err := fetch(t.Context(), client, a.addr, get("/")); err != nil || body != "hello" {
					t.Fatalf("fetch = %q, %v, want hello", body, err)
				}
			}
			if n := a.conns.Load(); n != 3 {
				t.Errorf("connections = %d, want 3: none can be used again", n)
			}
		})
	}
}

// Of what a request writes to STDERR only so much is logged, and the log says
// how much is missing. A line that does not end is cut.
func TestStderrIsBounded(t *testing.T) {
	line := strings.Repeat("a", 99) + "\n"
	tests := []struct {
		name, stderr string
		events       int // of text
		left         int // out of it
	}{
		{"as much as may be", strings.Repeat(line, linelog.MaxBytes/100), linelog.MaxBytes / 100, 0},
		{"a line in part", strings.Repeat(line, 2400), linelog.MaxBytes/100 + 1, 240_000 - linelog.MaxBytes},
		{"a long line", strings.Repeat("a", 2*longLine+1) + "\n" + line, 4, 0},
		{"a line that is as long as may be", strings.Repeat("a", longLine) + "\n" + line, 2, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			a := startApp(t, func(n int, c *appConn) {
				c.request()
				c.Write(append(AppendStream(nil, TypeStderr, 1, []byte(tt.stderr)), answerBytes(hello)...))
			})
			var log bytes.Buffer
			client := newClient(t, &Client{Log: slog.New(slog.NewTextHandler(&log, nil))})
			if _, _, err := fetch(t.Context(), client, a.addr, get("/")); err != nil {
				t.Fatal(err)
			}
			text := log.String()
			if n := strings.Count(text, "text=a"); n != tt.events {
				t.Errorf("%d lines, want %d", n, tt.events)
			}
			for line := range strings.Lines(text) {
				if _, said, _ := strings.Cut(line, "text="); len(said) > longLine+1 {
					t.Errorf("a line of %d bytes, want at most %d", len(said), longLine)
				}
			}
			_, leftOut, said := strings.Cut(text, `msg="application stderr left out"`)
			if said != (tt.left > 0) || said && !strings.HasSuffix(leftOut, fmt.Sprintf(" bytes=%d\n", tt.left)) {
				t.Errorf("left out: %q, want %d bytes", leftOut, tt.left)
			}
		})
	}
}
