package config

import (
	"fmt"
	"strings"
)

// A kind is the type of a TOML value.
type kind uint8

const (
	aTable kind = iota
	anArray
	aString
	anInteger
	aFloat
	aBoolean
	aTime
)

func (k kind) String() string {
	return [...]string{"a table", "an array", "a string", "an integer", "a float", "a boolean", "a date or time"}[k]
}

// An origin is the form in which a table or an array was written. It decides
// what may be added to it later (TOML 1.0, Table and Array of Tables).
type origin uint8

const (
	implied  origin = iota // [a.b] implies a
	headed                 // [a], [[a]]
	dotted                 // a.b = 1 makes a
	enclosed               // { }, [ ]
)

// A value is a TOML value and where it begins.
type value struct {
	kind   kind
	at     int    // offset; that of the name for a table with a header
	text   string // of a string; of other scalars as written
	from   origin // of a table or an array
	list   []*value
	fields []*field
	index  map[string]*field
}

// A field is a key of a table with its value.
type field struct {
	name  string
	at    int // offset
	value *value
}

func (v *value) field(name string) *field { return v.index[name] }

// add appends a field; there is none of that name.
func (v *value) add(n name, of *value) *value {
	if v.index == nil {
		v.index = make(map[string]*field)
	}
	f := &field{n.text, n.at, of}
	v.fields = append(v.fields, f)
	v.index[n.text] = f
	return of
}

// A name is one part of a dotted key.
type name struct {
	text string
	at   int
	end  int
}

// A document is what has been read of a file.
type document struct {
	root    *value
	current *value // the table of the last header
	lines   lineIndex
	report  func(at int, text, hint string)
}

// twice complains about what was there before.
func (d *document) twice(n name, what string, first int) {
	d.report(n.at, fmt.Sprintf("%s is given twice", what),
		fmt.Sprintf("remove one; the first is in line %d", d.lines.place(first).line))
}

// open enters the table of a header, [a.b] or, with array, [[a.b]]. After a
// complaint it is a table as good as possible, so that what stands in it can
// still be looked at.
func (d *document) open(names []name, array bool) {
	t := d.root
	last := names[len(names)-1]
	for _, n := range names[:len(names)-1] {
		t = d.enter(t, n)
	}
	f := t.field(last.text)
	switch {
	case f == nil && array:
		t = t.add(last, &value{kind: anArray, at: last.at, from: headed})
		d.current = t.append(last.at)
	case f == nil:
		d.current = t.add(last, &value{kind: aTable, at: last.at, from: headed})
	case f.value.kind == anArray && f.value.from == headed:
		if !array {
			d.report(last.at, fmt.Sprintf("[%s] is an array of tables", joined(names)), fmt.Sprintf("write [[%s]]", joined(names)))
		}
		d.current = f.value.append(last.at)
	case f.value.kind != aTable || array:
		d.twice(last, joined(names), f.at)
		d.current = &value{kind: aTable}
	case f.value.from == implied:
		f.value.from, f.value.at, f.at = headed, last.at, last.at
		d.current = f.value
	default:
		d.report(last.at, fmt.Sprintf("[%s] is given twice", joined(names)),
			fmt.Sprintf("put its keys together; the first is in line %d", d.lines.place(f.at).line))
		d.current = f.value
		if f.value.from == enclosed {
			d.current = &value{kind: aTable}
		}
	}
}

// enter goes from a table to the one below it that a header names on its way.
func (d *document) enter(t *value, n name) *value {
	f := t.field(n.text)
	switch {
	case f == nil:
		return t.add(n, &value{kind: aTable, at: n.at, from: implied})
	case f.value.kind == anArray && f.value.from == headed:
		return f.value.list[len(f.value.list)-1]
	case f.value.kind == aTable && f.value.from != enclosed:
		return f.value
	}
	d.report(n.at, fmt.Sprintf("%s has a value already, to which nothing can be added", shown(n.text)),
		fmt.Sprintf("put the keys together; the first is in line %d", d.lines.place(f.at).line))
	return &value{kind: aTable}
}

// set adds a key and its value to a table.
func (d *document) set(t *value, names []name, v *value) {
	last := names[len(names)-1]
	for i, n := range names[:len(names)-1] {
		f := t.field(n.text)
		switch {
		case f == nil:
			t = t.add(n, &value{kind: aTable, at: n.at, from: dotted})
		case f.value.kind == aTable && f.value.from == dotted:
			t = f.value
		default:
			d.twice(n, joined(names[:i+1]), f.at)
			return
		}
	}
	if f := t.field(last.text); f != nil {
		d.twice(last, joined(names), f.at)
		return
	}
	t.add(last, v)
}

// append adds a table to an array of tables.
func (v *value) append(at int) *value {
	t := &value{kind: aTable, at: at, from: headed}
	v.list = append(v.list, t)
	return t
}

// joined returns a dotted key for a complaint, its beginning if it is long.
func joined(names []name) string {
	var b strings.Builder
	for i, n := range names {
		if i > 0 {
			b.WriteByte('.')
		}
		if b.Len() > maxQuoted {
			b.WriteString("…")
			break
		}
		b.WriteString(shown(n.text))
	}
	return b.String()
}

// shown returns a part of a key for a complaint, in quotes if TOML wants them.
func shown(key string) string {
	if len(key) <= maxQuoted && isBare(key) {
		return key
	}
	return quoted(key)
}

// isBare reports whether a key needs no quotes (TOML 1.0, Keys).
func isBare(key string) bool {
	for i := range len(key) {
		c := key[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return false
		}
	}
	return key != ""
}
