package gateway

import (
	"errors"
	"strings"
)

// Reasons to refuse a path.
var (
	errNoPath      = errors.New("the target is not a path")
	errBadEscape   = errors.New("a % in the path is not followed by two hexadecimal digits")
	errControl     = errors.New("a control character in the target")
	errBackslash   = errors.New(`a "\" in the path`)
	errFragment    = errors.New(`a "#" in the path`)
	errAboveRoot   = errors.New(`".." in the path leads above the root`)
	errHiddenSlash = errors.New("an escaped slash (%2F) in the path")
)

// cleanPath turns the path of a target as received into the one that routes,
// files and scripts are found by: decoded, with "//" folded and dot segments
// resolved, once and for all. It starts with "/" and holds no empty segment but
// the last, no "." or "..", no control character and no "\". If there is
// nothing to change it is raw itself.
//
// What other parts of the chain may read in another way is refused and not
// repaired: "\" is a separator to Windows, %2F is none to whoever made the
// URL, a newline ends the subject of many a regular expression
// (CVE-2019-11043), a NUL ends a string of C.
func cleanPath(raw string) (string, error) {
	if raw == "" || raw[0] != '/' {
		return "", errNoPath
	}
	for i := range len(raw) {
		switch c := raw[i]; {
		case c == '%', c == '/' && i+1 < len(raw) && (raw[i+1] == '/' || raw[i+1] == '.'):
			return rewrite(raw)
		case !allowed(c), c == '#':
			return rewrite(raw)
		}
	}
	return raw, nil
}

// rewrite is cleanPath for a path with something in it to change or refuse.
func rewrite(raw string) (string, error) {
	b := make([]byte, 1, len(raw))
	b[0] = '/'
	for i := 1; i < len(raw); i++ {
		c := raw[i]
		switch c {
		case '/':
			var err error
			if b, err = endSegment(b); err != nil {
				return "", err
			}
			if b[len(b)-1] != '/' {
				b = append(b, '/')
			}
			continue
		case '#':
			return "", errFragment
		case '%':
			var ok bool
			if c, ok = unhex(raw[i+1:]); !ok {
				return "", errBadEscape
			}
			i += 2
		}
		switch {
		case c == '/':
			return "", errHiddenSlash
		case c == '\\':
			return "", errBackslash
		case !allowed(c):
			return "", errControl
		}
		b = append(b, c)
	}
	b, err := endSegment(b)
	return string(b), err
}

// endSegment resolves the last segment of b if it is a dot segment (RFC 3986
// §5.2.4). Going above the root, which that lets pass, is an error.
func endSegment(b []byte) ([]byte, error) {
	start := strings.LastIndexByte(string(b), '/') + 1
	switch string(b[start:]) {
	case ".":
		return b[:start], nil
	case "..":
		if start == 1 {
			return nil, errAboveRoot
		}
		parent := strings.LastIndexByte(string(b[:start-1]), '/') + 1
		return b[:parent], nil
	}
	return b, nil
}

// allowed reports whether a byte may stand in a path, decoded. Bytes that are
// not ASCII may, in any encoding: file names have none.
func allowed(c byte) bool { return c >= ' ' && c != 0x7f && c != '\\' }

// unhex reads two hexadecimal digits.
func unhex(s string) (c byte, ok bool) {
	if len(s) < 2 {
		return 0, false
	}
	hi, lo := digit(s[0]), digit(s[1])
	return hi<<4 | lo, hi < 16 && lo < 16
}

func digit(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}

// cleanQuery refuses a query that could break a line wherever it is written.
func cleanQuery(raw string) error {
	for i := range len(raw) {
		if c := raw[i]; c < ' ' || c == 0x7f {
			return errControl
		}
	}
	return nil
}
