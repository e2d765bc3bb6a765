package cgi

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// ErrMalformed is wrapped by every error about bytes that RFC 3875 does not
// allow.
var ErrMalformed = errors.New("cgi: malformed")

// ErrTooLarge is wrapped by the errors of a head that is longer than allowed.
var ErrTooLarge = errors.New("cgi: response head too large")

// A Head is the head of a response: what stands before the body.
type Head struct {
	// Status is the status code, 100 to 999.
	Status int

	// Header holds the fields in order, without Status.
	Header Header

	// ContentLength is the size of the body that the application announced,
	// in bytes, or -1. Its field stays in Header.
	ContentLength int64

	// LocalRedirect is the path and query of a local redirect response
	// (RFC 3875 §6.2.2): a Location that starts with "/" and nothing else in
	// the head. Empty for all other responses. Status and Header then are
	// those of a client redirect, for whoever does not follow it.
	LocalRedirect string
}

// A HeadParser reads the head of a CGI response. It is fed the bytes as they
// arrive and does no I/O. The zero HeadParser is ready to use.
type HeadParser struct {
	// MaxBytes bounds the head, MaxFields the number of its fields. Zero
	// means DefaultMaxHead and DefaultMaxFields; negative, no limit.
	MaxBytes, MaxFields int

	buf  []byte // the head so far, when it came in more than one piece
	line int    // where the current line starts in buf
	seen int    // how much of buf has been searched for the end of that line
}

// Feed takes the next bytes of the response. It returns how many of them
// belong to the head, and whether the head is complete; what comes after
// those is the body. It keeps no reference to b. An error is final: the
// response cannot be used.
func (p *HeadParser) Feed(b []byte) (n int, done bool, err error) {
	all, had := b, len(p.buf)
	if had > 0 {
		p.buf = append(p.buf, b...)
		all = p.buf
	}
	end := p.end(all)
	if size := len(all); end < 0 && p.tooLong(size) || end >= 0 && p.tooLong(end) {
		return 0, false, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, p.maxBytes())
	}
	if end < 0 {
		if had == 0 {
			p.buf = append(p.buf[:0], b...)
		}
		return len(b), false, nil
	}
	if had == 0 {
		p.buf = append(p.buf[:0], b[:end]...)
	}
	p.buf = p.buf[:end]
	return end - had, true, nil
}

// end returns the length of the head in all, or -1 if its end has not come. A
// line ends with LF or CR LF, mixed as the application likes.
func (p *HeadParser) end(all []byte) int {
	for {
		i := bytes.IndexByte(all[p.seen:], '\n')
		if i < 0 {
			p.seen = len(all)
			return -1
		}
		next := p.seen + i + 1
		if line := all[p.line : next-1]; len(line) == 0 || len(line) == 1 && line[0] == '\r' {
			return next
		}
		p.line, p.seen = next, next
	}
}

func (p *HeadParser) maxBytes() int {
	if p.MaxBytes == 0 {
		return DefaultMaxHead
	}
	return p.MaxBytes
}

func (p *HeadParser) tooLong(n int) bool { return p.maxBytes() > 0 && n > p.maxBytes() }

// Started reports whether any byte of a head has been fed.
func (p *HeadParser) Started() bool { return len(p.buf) > 0 }

// Head parses the complete head and makes p ready for the next one, which
// follows if the status is below 200. Its strings may be kept. It is called
// once, after Feed has said done.
func (p *HeadParser) Head() (Head, error) {
	s := string(p.buf)
	p.buf, p.line, p.seen = p.buf[:0], 0, 0
	max := p.MaxFields
	if max == 0 {
		max = DefaultMaxFields
	}
	return parseHead(s, max)
}

// parseHead parses a head that ends with an empty line.
func parseHead(s string, maxFields int) (Head, error) {
	h := Head{ContentLength: -1, Header: make(Header, 0, min(strings.Count(s, "\n"), 64))}
	var status string
	var hasStatus bool
	var last *string // what a folded line continues
	for first := true; ; first = false {
		var line string
		line, s, _ = strings.Cut(s, "\n")
		line = strings.TrimSuffix(line, "\r")
		if line == "" {
			break
		}
		if first && strings.HasPrefix(line, "HTTP/") {
			// A "non-parsed header" script (RFC 3875 §5): its status line is
			// taken, the rest is read like any other head.
			_, status, _ = strings.Cut(line, " ")
			hasStatus = true
			if c, bad := control(status); bad {
				return h, fmt.Errorf("%w: control character %#02x in the status line", ErrMalformed, c)
			}
			continue
		}
		if line[0] == ' ' || line[0] == '\t' {
			if err := unfold(last, line); err != nil {
				return h, err
			}
			continue
		}
		f, err := parseField(line)
		if err != nil {
			return h, err
		}
		if strings.EqualFold(f.Name, "Status") {
			if hasStatus {
				return h, fmt.Errorf("%w: more than one Status", ErrMalformed)
			}
			status, hasStatus, last = f.Value, true, &status
			continue
		}
		if h.Header = append(h.Header, f); maxFields > 0 && len(h.Header) > maxFields {
			return h, fmt.Errorf("%w: more than %d fields", ErrTooLarge, maxFields)
		}
		last = &h.Header[len(h.Header)-1].Value
	}
	if err := h.frame(); err != nil {
		return h, err
	}
	return h, h.decide(status, hasStatus)
}

// parseField reads one line "Name: value".
func parseField(line string) (Field, error) {
	name, value, ok := strings.Cut(line, ":")
	if !ok || !validName(name) {
		return Field{}, fmt.Errorf("%w: %.60q is not a header field", ErrMalformed, line)
	}
	value = strings.Trim(value, " \t")
	if c, bad := control(value); bad {
		return Field{}, fmt.Errorf("%w: control character %#02x in the value of %s", ErrMalformed, c, name)
	}
	return Field{name, value}, nil
}

// unfold appends a continuation line to the value before it (RFC 9112 §5.2).
func unfold(value *string, line string) error {
	if value == nil {
		return fmt.Errorf("%w: no field before a line that starts with a space", ErrMalformed)
	}
	more := strings.Trim(line, " \t")
	if c, bad := control(more); bad {
		return fmt.Errorf("%w: control character %#02x in a folded line", ErrMalformed, c)
	}
	*value = strings.Trim(*value+" "+more, " \t")
	return nil
}

// control finds a byte that may not stand in a field value (RFC 9110 §5.5):
// NUL and a bare CR are how responses are split.
func control(value string) (byte, bool) {
	for i := range len(value) {
		if c := value[i]; c < ' ' && c != '\t' || c == 0x7f {
			return c, true
		}
	}
	return 0, false
}

// frame reads the fields that say how long the body is. Any doubt is an
// error: a wrong guess here is what response smuggling is made of.
func (h *Head) frame() error {
	kept := h.Header[:0]
	for _, f := range h.Header {
		switch {
		case strings.EqualFold(f.Name, "Transfer-Encoding"):
			return fmt.Errorf("%w: Transfer-Encoding %.40q in a CGI response", ErrMalformed, f.Value)
		case strings.EqualFold(f.Name, "Content-Length"):
			n, ok := parseLength(f.Value)
			if !ok {
				return fmt.Errorf("%w: Content-Length %.40q is not a number", ErrMalformed, f.Value)
			}
			if h.ContentLength >= 0 && h.ContentLength != n {
				return fmt.Errorf("%w: Content-Length is both %d and %d", ErrMalformed, h.ContentLength, n)
			}
			if h.ContentLength == n {
				continue // said twice
			}
			h.ContentLength = n
		}
		kept = append(kept, f)
	}
	h.Header = kept
	return nil
}

// decide sets Status and LocalRedirect (RFC 3875 §6.2, §6.3.3).
func (h *Head) decide(status string, hasStatus bool) error {
	if hasStatus {
		code, ok := parseStatus(status)
		if !ok {
			return fmt.Errorf("%w: Status %.40q", ErrMalformed, status)
		}
		h.Status = code
		return nil
	}
	location := h.Header.Get("Location")
	if location == "" {
		h.Status = 200
		return nil
	}
	h.Status = 302
	if len(h.Header) == 1 && isLocal(location) {
		h.LocalRedirect = location
	}
	return nil
}

// isLocal reports whether a Location is a path on this server. "//host/path"
// names another one, and only a client can follow a fragment.
func isLocal(location string) bool {
	return location[0] == '/' && !strings.HasPrefix(location, "//") && !strings.Contains(location, "#")
}

// parseStatus reads "404" or "404 Not Found". Switching protocols is not
// something a CGI response can do.
func parseStatus(s string) (code int, ok bool) {
	if len(s) < 3 || len(s) > 3 && s[3] != ' ' {
		return 0, false
	}
	for i := range 3 {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		code = code*10 + int(s[i]-'0')
	}
	return code, code >= 100 && code != 101
}
