package config

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"

	"github.com/pelletier/go-toml/v2/unstable"
)

// A scanner turns the text of a file into a document. go-toml's parser does
// the work, one expression after the other; it tells where scalars and keys
// stand, and the rest follows from them, because between two parts of an
// expression there is nothing but what trivia skips.
type scanner struct {
	src    []byte
	base   int // where the text that the parser has begins
	parser unstable.Parser
	doc    *document
	broken bool // there was a syntax error, so that something may be missing
}

// header finds the lines at which reading goes on after a syntax error: the
// headers of the sections that there are. Other lines that begin with a
// bracket may be part of an array.
var header = regexp.MustCompile(`(?m)^[ \t]*\[[ \t]*(timeout|backend|\[[ \t]*route)[ \t]*[].]`)

// scan reads the whole text. After a syntax error it goes on at the next
// section.
func (s *scanner) scan() {
	for at := bomLen(s.src); ; {
		at = s.expressions(at)
		err := s.parser.Error()
		if err == nil {
			return
		}
		s.broken = true
		s.complain(err, at)
		s.doc.current = &value{kind: aTable} // takes nothing until the next header
		rest := bytes.IndexByte(s.src[at:], '\n')
		if rest < 0 {
			return
		}
		next := header.FindIndex(s.src[at+rest:])
		if next == nil {
			return
		}
		at += rest + next[0]
	}
}

// expressions reads from offset at until the end or a syntax error. It returns
// where the expression begins that could not be read.
func (s *scanner) expressions(at int) int {
	s.base = at
	s.parser.Reset(s.src[at:])
	for s.parser.NextExpression() {
		e := s.parser.Expression()
		switch e.Kind {
		case unstable.KeyValue:
			at = s.keyValue(s.doc.current, e)
		case unstable.Table, unstable.ArrayTable:
			names := s.names(e)
			s.doc.open(names, e.Kind == unstable.ArrayTable)
			at = s.skip(names[len(names)-1].end, " \t]")
		}
	}
	return s.trivia(at)
}

// keyValue adds a key and its value to a table, and returns where the
// expression ends.
func (s *scanner) keyValue(t *value, e *unstable.Node) (end int) {
	names := s.names(e)
	v, end := s.value(e.Value(), s.skip(names[len(names)-1].end, " \t="))
	s.doc.set(t, names, v)
	return end
}

// names returns the parts of the key of an expression.
func (s *scanner) names(e *unstable.Node) []name {
	var names []name
	for it := e.Key(); it.Next(); {
		n := it.Node()
		start := s.base + int(n.Raw.Offset)
		names = append(names, name{string(n.Data), start, start + int(n.Raw.Length)})
	}
	return names
}

// value reads the value that begins at an offset, and returns where it ends.
func (s *scanner) value(n *unstable.Node, at int) (_ *value, end int) {
	v := &value{kind: kinds[n.Kind], at: at, from: enclosed}
	switch v.kind {
	case aTable:
		end = at + len("{")
		for it := n.Children(); it.Next(); {
			end = s.keyValue(v, it.Node())
		}
		return v, s.trivia(end) + len("}")
	case anArray:
		end = at + len("[")
		for it := n.Children(); it.Next(); {
			var element *value
			element, end = s.value(it.Node(), s.trivia(end))
			v.list = append(v.list, element)
		}
		return v, s.trivia(end) + len("]")
	}
	v.text = string(n.Data)
	return v, at + int(n.Raw.Length)
}

var kinds = map[unstable.Kind]kind{
	unstable.InlineTable:   aTable,
	unstable.Array:         anArray,
	unstable.String:        aString,
	unstable.Integer:       anInteger,
	unstable.Float:         aFloat,
	unstable.Bool:          aBoolean,
	unstable.LocalDate:     aTime,
	unstable.LocalTime:     aTime,
	unstable.LocalDateTime: aTime,
	unstable.DateTime:      aTime,
}

// trivia returns the end of the space, commas and comments that begin at an
// offset.
func (s *scanner) trivia(at int) int {
	for {
		at = s.skip(at, " \t\r\n,")
		if at == len(s.src) || s.src[at] != '#' {
			return at
		}
		for at < len(s.src) && s.src[at] != '\n' {
			at++
		}
	}
}

func (s *scanner) skip(at int, set string) int {
	for at < len(s.src) && bytes.IndexByte([]byte(set), s.src[at]) >= 0 {
		at++
	}
	return at
}

// bomLen is the length of the byte order mark that some editors put first.
func bomLen(src []byte) int {
	const bom = "\uFEFF"
	if bytes.HasPrefix(src, []byte(bom)) {
		return len(bom)
	}
	return 0
}

// complain reports a syntax error in the expression that begins at an offset.
func (s *scanner) complain(err error, begin int) {
	at := begin
	if e, ok := errors.AsType[*unstable.ParserError](err); ok {
		at = s.base + int(s.parser.Range(e.Highlight).Offset)
	}
	// trivia skips a comma that stands where an expression should begin.
	s.doc.report(at, "syntax: "+err.Error(), s.hint(at, min(begin, at)))
}

// hint guesses what a syntax error is about. It looks at the text, not at the
// error.
func (s *scanner) hint(at, begin int) string {
	first, last := s.doc.lines.place(begin).line, s.doc.lines.place(at).line
	before := bytes.TrimRight(s.src[begin:at], " \t\r\n")
	var c, sign byte
	if at < len(s.src) {
		c = s.src[at]
	}
	if len(before) > 0 {
		sign = before[len(before)-1]
	}
	switch {
	case c == '\\':
		return `write \\ for a backslash, or put the text in single quotes`
	case first != last || at >= len(s.src)-1 && (sign != '=' || c != '\n'):
		return fmt.Sprintf("close what begins in line %d", first)
	case c == '\n' && sign == '=' || c == '#' && sign == '=':
		return "write a value after the ="
	case c == '\n' || c == '\r':
		return "close what this line begins"
	case bytes.IndexByte([]byte("=[,"), sign) >= 0 && isWord(c):
		return "put text in quotes"
	case c == ':' && bytes.IndexByte(before, '=') < 0:
		return "write = after the key"
	}
	return ""
}

// isWord reports whether text that was not put in quotes may begin with c.
func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || bytes.IndexByte([]byte("/.~*@:"), c) >= 0
}
