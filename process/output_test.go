package process

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestLines(t *testing.T) {
	long := strings.Repeat("x", maxLine)
	tests := []struct {
		name  string
		feeds []string
		want  []string
	}{
		{"nothing", nil, nil},
		{"one", []string{"a\n"}, []string{"a"}},
		{"no end", []string{"a\nb"}, []string{"a", "b"}},
		{"in pieces", []string{"a", "b", "\nc", "\n"}, []string{"ab", "c"}},
		{"CR LF", []string{"a\r\nb\r", "\n"}, []string{"a", "b"}},
		{"empty lines", []string{"\n\na\n\r\n"}, []string{"a"}},
		{"longest line", []string{long + "\n", "b\n"}, []string{long, "b"}},
		{"longer", []string{long + "y\n"}, []string{long, "y"}},
		{"longer, in pieces", []string{long, "y", "z\n"}, []string{long, "yz"}},
		{"twice as long, no end", []string{long + long}, []string{long, long}},
		{"bytes stay", []string{"\x1b[31m\x00\xff\n"}, []string{"\x1b[31m\x00\xff"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var l lines
			var got []string
			line := func(b []byte) { got = append(got, string(b)) }
			for _, f := range tt.feeds {
				l.feed([]byte(f), line)
			}
			l.end(line)
			if !slices.Equal(got, tt.want) {
				t.Errorf("lines of %.80q = %.80q, want %.80q", tt.feeds, got, tt.want)
			}
		})
	}
}

func TestTail(t *testing.T) {
	var few tail
	for n := range 30 {
		few.add(fmt.Sprint(n))
	}
	if len(few.lines) != 20 || few.lines[0] != "10" || few.lines[19] != "29" {
		t.Errorf("tail of 30 lines = %q, want 10 to 29", few.lines)
	}
	var big tail
	for range 30 {
		big.add(strings.Repeat("x", maxLine))
	}
	if len(big.lines) != 16 || big.size != 64<<10 {
		t.Errorf("tail of lines of 4 KiB has %d lines with %d bytes, want 16 with 65536", len(big.lines), big.size)
	}
}

func TestRate(t *testing.T) {
	at := time.Unix(1000, 0)
	var r rate
	allowed := func(n int) (ok int) {
		for range n {
			if r.take(at) {
				ok++
			}
		}
		return ok
	}
	if got := allowed(outputBurst + 10); got != outputBurst {
		t.Errorf("at once: %d lines, want %d", got, outputBurst)
	}
	at = at.Add(time.Second)
	if got := allowed(outputBurst); got != outputRate {
		t.Errorf("a second later: %d lines, want %d", got, outputRate)
	}
	at = at.Add(time.Hour)
	if got := allowed(2 * outputBurst); got != outputBurst {
		t.Errorf("an hour later: %d lines, want %d", got, outputBurst)
	}
}
