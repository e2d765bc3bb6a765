package handler

import (
	"log/slog"
	"strings"
	"testing"
)

// FuzzCombined: whatever a client sends, one record is one line of printable
// ASCII, and what stands in the line can be told apart and read back.
func FuzzCombined(f *testing.F) {
	f.Add("192.0.2.1", "", "GET", "/", "HTTP/1.1", "", "", int64(200), int64(5))
	f.Add("", "jane doe", "GET", "/\"\\", "HTTP/1.0", "-", "\x1b]0;title\a", int64(0), int64(0))
	f.Add("::1", "a] \"b", "G T", "/a b\n", "\r\n", "\\", "\\\"", int64(-1), int64(1)<<62)
	f.Add("\xff", "\u2028", "", "", "", "\x7f", `\x41\n`, int64(499), int64(-1))
	f.Fuzz(func(t *testing.T, remote, user, method, target, proto, referer, agent string, status, bytes int64) {
		got := combinedLine(t, accessRecord(
			slog.String("remote", remote), slog.String("user", user), slog.String("method", method),
			slog.String("target", target), slog.String("proto", proto),
			slog.Int64("status", status), slog.Int64("bytes", bytes),
			slog.String("referer", referer), slog.String("agent", agent)))
		line, ok := strings.CutSuffix(got, "\n")
		if !ok || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Fatalf("%q is not one line of printable ASCII", got)
		}
		back := splitCombined(line)
		want := []string{
			orDash(remote), "-", orDash(user), "[04/Mar/2026:05:06:07", "-0330]",
			method + " " + target + " " + proto, number(status), number(bytes), orDash(referer), orDash(agent),
		}
		if len(back) != len(want) {
			t.Fatalf("%q has %d fields, want %d", line, len(back), len(want))
		}
		for i := range want {
			if back[i] != want[i] {
				t.Errorf("field %d of %q is %q, want %q", i+1, line, back[i], want[i])
			}
		}
	})
}

// splitCombined is what a program does that reads the log: fields end at a
// blank, or at the second quote if they begin with one.
func splitCombined(line string) []string {
	var fields []string
	var field strings.Builder
	quoted := false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			quoted = !quoted
		case c == ' ' && !quoted:
			fields = append(fields, field.String())
			field.Reset()
		case c == '\\':
			b, n := unescape(line[i+1:])
			field.WriteByte(b)
			i += n
		default:
			field.WriteByte(c)
		}
	}
	return append(fields, field.String())
}

// unescape reads what follows a backslash.
func unescape(s string) (b byte, n int) {
	const hex = "0123456789abcdef"
	if i := strings.IndexByte(`bnrtv"\`, s[0]); i >= 0 {
		return "\b\n\r\t\v\"\\"[i], 1
	}
	return byte(strings.IndexByte(hex, s[1])<<4 | strings.IndexByte(hex, s[2])), 3
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func number(n int64) string { return string(appendNumber(nil, n)) }
