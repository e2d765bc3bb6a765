package linelog

import (
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/internal/testlog"
)

func TestLines(t *testing.T) {
	tests := []struct {
		name  string
		parts []string
		want  []string // texts
		lost  string
	}{
		{"nothing", nil, nil, ""},
		{"one line", []string{"a\n"}, []string{"a"}, ""},
		{"two lines, with CR and an empty one", []string{"a\r\n\r\n\nb\n"}, []string{"a", "b"}, ""},
		{"in parts, without an end", []string{"a", "b\nc"}, []string{"ab", "c"}, ""},
		{"longest line", []string{strings.Repeat("x", maxLine)}, []string{strings.Repeat("x", maxLine)}, ""},
		{"one byte more", []string{strings.Repeat("x", maxLine) + "y"}, []string{strings.Repeat("x", maxLine), "y"}, ""},
		{"too much", []string{strings.Repeat("x\n", MaxBytes/4), strings.Repeat("\n", MaxBytes/2), "lost"}, strings.Split(strings.Repeat("x", MaxBytes/4), ""), "bytes=4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var log testlog.Buffer
			l := &Lines{Log: log.Logger()}
			for _, p := range tt.parts {
				if n, err := l.Write([]byte(p)); n != len(p) || err != nil {
					t.Errorf("Write = %d, %v, want %d", n, err, len(p))
				}
			}
			l.End()
			got := log.With("application stderr\"", "level=WARN")
			if len(got) != len(tt.want) {
				t.Fatalf("%d events, want %d: %.500s", len(got), len(tt.want), got)
			}
			for i, line := range got {
				if _, text, _ := strings.Cut(line, "text="); strings.TrimSpace(text) != tt.want[i] {
					t.Errorf("event %d is %.100q, want text %.100q", i, line, tt.want[i])
				}
			}
			if left := log.With("left out", tt.lost); (len(left) == 1) != (tt.lost != "") {
				t.Errorf("left out: %q, want %q", left, tt.lost)
			}
		})
	}
	(*Lines)(nil).End()
}
