package config

import (
	"fmt"
	"strings"
)

// What reads a value is made of the field that it goes into and of a check.
// A check returns what is wrong with a text, to be put behind the name of the
// key, and what to do about it; both are empty for a good one.
type check func(text string) (wrong, hint string)

// text reads a string.
func text[T any](field func(*T) *string, c check) func(spot, *T) {
	return func(s spot, to *T) {
		if s.kind != aString {
			hint := s.inQuotes()
			if _, better := c(s.text); better != "" { // as for access_log = false
				hint = better
			}
			s.wrong(fmt.Sprintf(" is %s, want a string", s.kind), hint)
			return
		}
		if wrong, hint := c(s.text); wrong != "" {
			s.wrong(wrong, hint)
			return
		}
		*field(to) = s.text
		s.done()
	}
}

// inQuotes is the hint for a scalar that should be a string.
func (v *value) inQuotes() string {
	if v.kind == aTable || v.kind == anArray {
		return ""
	}
	return "write " + quoted(v.text)
}

// texts reads an array of strings. example is how one is written.
func texts[T any](field func(*T) *[]string, example string, most int, c check) func(spot, *T) {
	return func(s spot, to *T) {
		switch {
		case s.kind == aString:
			s.wrong(" is a string, want an array", "write ["+quoted(s.text)+"]")
			return
		case !s.is(anArray, "write "+example):
			return
		case s.from == headed:
			s.wrong(" is an array of tables, want an array of strings", "write "+example)
			return
		case len(s.list) == 0:
			s.wrong(" is empty", "remove it, or write "+example)
			return
		}
		for i, v := range s.list {
			e := s.element(i, v)
			if i == most {
				e.wrong(fmt.Sprintf(" has more than %d elements", most), "look whether this is the right file")
				break
			}
			if v.kind != aString {
				e.wrong(fmt.Sprintf(" has %s in it, want strings", v.kind), v.inQuotes())
				continue
			}
			if wrong, hint := c(v.text); wrong != "" {
				e.wrong(wrong, hint)
				continue
			}
			e.cfg.places[fmt.Sprintf("%s[%d]", s.path, len(*field(to)))] = e.lines.place(e.at)
			*field(to) = append(*field(to), v.text)
		}
		s.done()
	}
}

// pairs reads a table of strings.
func pairs[T any](field func(*T) *map[string]string, c, text check) func(spot, *T) {
	return func(s spot, to *T) {
		if !s.is(aTable, `write { NAME = "value" }`) {
			return
		}
		for _, f := range s.fields {
			e := spot{s.reader, f.value, s.path + "." + f.name, shown(f.name) + " of " + s.name}
			if wrong, hint := c(f.name); wrong != "" {
				e.report(f.at, "a name in "+s.name+wrong, hint)
				continue
			}
			if f.value.kind != aString {
				e.wrong(fmt.Sprintf(" is %s, want a string", f.value.kind), f.value.inQuotes())
				continue
			}
			if wrong, hint := text(f.value.text); wrong != "" {
				e.wrong(wrong, hint)
				continue
			}
			if *field(to) == nil {
				*field(to) = make(map[string]string)
			}
			(*field(to))[f.name] = f.value.text
			e.done()
		}
		s.done()
	}
}

// flag reads true or false.
func flag[T any](set func(*T, bool)) func(spot, *T) {
	return func(s spot, to *T) {
		if s.kind != aBoolean {
			hint := "write true or false"
			if s.kind == aString && (s.text == "true" || s.text == "false") {
				hint = "remove the quotes"
			}
			s.wrong(fmt.Sprintf(" is %s, want true or false", s.kind), hint)
			return
		}
		set(to, s.text == "true")
		s.done()
	}
}

// oneOf checks for one of a few words.
func oneOf(words ...string) check {
	return func(text string) (wrong, hint string) {
		for _, w := range words {
			if text == w {
				return "", ""
			}
		}
		return fmt.Sprintf(" is %s, want %s", quoted(text), either(words)), didYouMean(nearest(text, words))
	}
}

// either lists words in quotes, as a choice.
func either(words []string) string {
	var b strings.Builder
	for i, w := range words {
		switch {
		case i > 0 && i == len(words)-1:
			b.WriteString(" or ")
		case i > 0:
			b.WriteString(", ")
		}
		b.WriteString(quoted(w))
	}
	return b.String()
}
