package fcgitest

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/fastcgi"
)

// shown is how much of a content is printed, in bytes.
const shown = 120

// String returns r as it stands in the failures of a test, for example
// STDOUT(1 "Status: 200 OK\r\n\r\n") or END_REQUEST(1 OVERLOADED). A content
// that does not fit its type is printed as it is.
func (r Record) String() string {
	s := fmt.Sprintf("%v(%d%s)", r.Type, r.ID, r.text())
	if v := version ^ r.version; v != version {
		s += fmt.Sprintf(" of version %d", v)
	}
	if r.length > 0 {
		s += fmt.Sprintf(" that claims %d bytes", r.length-1)
	}
	if r.Padding > 0 {
		s += fmt.Sprintf(" + %d", r.Padding)
	}
	if r.cut.on {
		s += fmt.Sprintf(" cut at %d", r.cut.n)
	}
	return s
}

// text returns the content, after a space.
func (r Record) text() string {
	content := []byte(r.Content)
	switch r.Type {
	case fastcgi.TypeBeginRequest:
		if b, err := fastcgi.ParseBegin(content); err == nil {
			return fmt.Sprintf(" role %d flags %d", b.Role, content[2])
		}
	case fastcgi.TypeEndRequest:
		if e, err := fastcgi.ParseEnd(content); err == nil {
			s := " " + e.Status.String()
			if e.AppStatus != 0 {
				s += fmt.Sprintf(" exit %d", e.AppStatus)
			}
			return s
		}
	case fastcgi.TypeUnknownType:
		if len(content) == 8 {
			return fmt.Sprintf(" type %d", content[0])
		}
	case fastcgi.TypeParams, fastcgi.TypeGetValues, fastcgi.TypeGetValuesResult:
		// Params that go over several records cannot be told apart here.
		if fields, err := fastcgi.ParsePairs(content, 0); err == nil {
			var s strings.Builder
			for _, f := range fields {
				fmt.Fprintf(&s, " %s", abridged(f.Name+"="+f.Value))
			}
			return s.String()
		}
	}
	if len(content) == 0 {
		return ""
	}
	return " " + abridged(r.Content)
}

func abridged(s string) string {
	if len(s) <= shown {
		return fmt.Sprintf("%q", s)
	}
	return fmt.Sprintf("%q… %d bytes", s[:shown], len(s))
}

// hexText prints the bytes of a record that has not come whole.
func hexText(b []byte) string {
	s := fmt.Sprintf("% x", b[:min(len(b), 32)])
	if len(b) > 32 {
		s += fmt.Sprintf(" … %d bytes", len(b))
	}
	if len(b) >= headerLen {
		s += fmt.Sprintf(" (%v of request %d, %d of %d bytes of content)", fastcgi.Type(b[1]),
			binary.BigEndian.Uint16(b[2:]), min(len(b)-headerLen, int(binary.BigEndian.Uint16(b[4:]))), binary.BigEndian.Uint16(b[4:]))
	}
	return s
}

// listText prints records, one a line.
func listText(records []Record) string {
	var s strings.Builder
	for _, r := range records {
		s.WriteString("\n\t" + r.String())
	}
	return s.String()
}
