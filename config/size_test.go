package config

import (
	"strings"
	"testing"
)

func TestParseSize(t *testing.T) {
	for _, tt := range []struct {
		text string
		want int64
		err  string // a part of it
	}{
		{"64MiB", 64 << 20, ""},
		{"1KB", 1000, ""},
		{"0B", 0, ""},
		{"64M", 0, `write "64MiB"`},
		{"", 0, "want a whole number and a unit"},
		{"2000TiB", 0, "at most 1024TiB"},
	} {
		got, err := ParseSize(tt.text)
		if got != tt.want || (err != nil) != (tt.err != "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("ParseSize(%q) = %d, %v, want %d, %q", tt.text, got, err, tt.want, tt.err)
		}
	}
}
