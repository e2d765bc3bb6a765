package handler

import "strings"

// appendEscaped appends s as Apache's ap_escape_logitem writes it (server/util.c).
func appendEscaped(b []byte, s string) []byte {
	from := 0
	for i := range len(s) {
		c := s[i]
		if ' ' <= c && c <= '~' && c != '"' && c != '\\' {
			continue
		}
		b = append(b, s[from:i]...)
		b = appendByte(b, c)
		from = i + 1
	}
	return append(b, s[from:]...)
}

// appendByte appends a byte that must not stand for itself.
func appendByte(b []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, `\b`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	case '\v':
		return append(b, `\v`...)
	}
	return append(b, '\\', 'x', hex[c>>4], hex[c&15])
}

// appendQuoted appends a field in quotes.
func appendQuoted(b []byte, s string) []byte {
	if s == "" {
		return append(b, `"-"`...)
	}
	b = append(b, '"')
	b = appendEscaped(b, s)
	return append(b, '"')
}

// appendBare appends a field without quotes, which a blank would end.
func appendBare(b []byte, s string) []byte {
	if s == "" {
		return append(b, '-')
	}
	for {
		word, rest, more := strings.Cut(s, " ")
		b = appendEscaped(b, word)
		if !more {
			return b
		}
		b = appendByte(b, ' ')
		s = rest
	}
}
