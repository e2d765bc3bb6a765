package config

import "fmt"

// Parse reads a configuration in TOML. It returns every problem of the text in
// the order of the file; file is only named in them. The Config is never nil:
// with problems it holds what could be read. Parse looks at nothing but src
// and does not keep it.
func Parse(file string, src []byte) (*Config, []Problem) {
	r := &reader{
		cfg:   &Config{file: file, places: make(map[string]place)},
		lines: newLineIndex(src),
		keyAt: make(map[string]int),
	}
	if len(src) > maxFile {
		r.report(0, fmt.Sprintf("the file has %d bytes, want at most %d", len(src), maxFile), "look whether this is the right file")
		return r.cfg, r.problems
	}
	root := &value{kind: aTable}
	s := &scanner{src: src, doc: &document{root: root, current: root, lines: r.lines, report: r.report}}
	s.scan()
	readTable(r, section{}, "", root, configKeys(), r.cfg)
	r.relate(s.broken)
	return r.cfg, inOrder(r.problems)
}

// A reader turns a document into a Config.
type reader struct {
	cfg      *Config
	lines    lineIndex
	keyAt    map[string]int // offsets of the keys that are there, by path
	problems []Problem
}

// report takes a problem at an offset.
func (r *reader) report(at int, text, hint string) {
	p := r.lines.place(at)
	r.problems = append(r.problems, Problem{r.cfg.file, p.line, p.col, text, hint})
}

// A section is a part of the file with keys of its own.
type section struct {
	path string // what precedes its keys' paths: `backend.php.`
	in   string // what follows its keys in complaints: ` in backend "php"`
}

// A key is a key of a section and what is done with its value. Its name is
// dotted if it stands in a table of its own within the section.
type key[T any] struct {
	name string
	read func(spot, *T)
}

// A spot is a value to be read, and what it is called.
type spot struct {
	*reader
	*value
	path string // as in Config.places
	name string // as in complaints
}

// wrong reports what is wrong with the value.
func (s spot) wrong(text, hint string) { s.report(s.at, s.name+text, hint) }

// is reports whether the value has a kind, and complains if not.
func (s spot) is(k kind, hint string) bool {
	if s.kind != k {
		s.wrong(fmt.Sprintf(" is %s, want %s", s.kind, k), hint)
	}
	return s.kind == k
}

// element returns the spot of an element, which becomes the i-th of the list
// that is read.
func (s spot) element(i int, v *value) spot {
	return spot{s.reader, v, fmt.Sprintf("%s[%d]", s.path, i), s.name}
}

// done remembers where a value stands, for the complaints of Check.
func (s spot) done() { s.cfg.places[s.path] = s.lines.place(s.at) }

// readTable reads a table of a section. prefix is what precedes its fields in
// the names of keys, "queue." for the table queue.
func readTable[T any](r *reader, sec section, prefix string, t *value, keys []key[T], to *T) {
	for _, f := range t.fields {
		name := prefix + f.name
		s := spot{r, f.value, sec.path + name, name + sec.in}
		k, group := find(keys, name)
		switch {
		case !isBare(f.name) || k == nil && !group:
			r.unknown(f, prefix+shown(f.name), sec, names(keys))
			continue
		case k != nil:
			k.read(s, to)
		case s.is(aTable, "its keys are "+below(names(keys), name)):
			readTable(r, sec, name+".", f.value, keys, to)
		}
		r.keyAt[s.path] = f.at
	}
}

// find returns the key of a name, or whether there are keys below it.
func find[T any](keys []key[T], name string) (_ *key[T], group bool) {
	for i, k := range keys {
		if k.name == name {
			return &keys[i], false
		}
		group = group || len(k.name) > len(name) && k.name[:len(name)] == name && k.name[len(name)] == '.'
	}
	return nil, group
}

func names[T any](keys []key[T]) []string {
	var list []string
	for _, k := range keys {
		list = append(list, k.name)
	}
	return list
}
