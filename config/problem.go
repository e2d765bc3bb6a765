package config

import (
	"cmp"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"unicode/utf8"
)

// A Problem is one thing that is wrong with a configuration.
type Problem struct {
	File string // as it was given to Parse; empty for a configuration without a file

	// Line and Col count from 1; Col counts characters (not bytes, and a tab
	// is one), as editors do. Both are zero if the problem has no place.
	Line, Col int

	Text string // what is wrong
	Hint string // what to do, in the imperative; may be empty
}

// String returns "file:line:col: text (hint)", without the parts that are not
// known.
func (p Problem) String() string {
	s := p.Text
	if p.Hint != "" {
		s += " (" + p.Hint + ")"
	}
	switch {
	case p.File == "":
		return s
	case p.Line == 0:
		return p.File + ": " + s
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Col, s)
}

// A place is where something stands in a file, counted as in a Problem.
type place struct{ line, col int }

// A lineIndex finds the place of an offset.
type lineIndex struct {
	src    []byte
	starts []int // the offset of each line
}

func newLineIndex(src []byte) lineIndex {
	starts := []int{0}
	for i, c := range src {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return lineIndex{src, starts}
}

func (x lineIndex) place(offset int) place {
	line := sort.SearchInts(x.starts, offset+1)
	start := x.starts[line-1]
	for offset > start && offset < len(x.src) && !utf8.RuneStart(x.src[offset]) {
		offset-- // to the character that the byte is part of
	}
	if start == 0 {
		start = min(bomLen(x.src), offset) // no editor shows it
	}
	return place{line, utf8.RuneCount(x.src[start:offset]) + 1}
}

// inOrder sorts problems by place and leaves out repetitions and what is too
// much.
func inOrder(problems []Problem) []Problem {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Col, b.Col))
	})
	problems = slices.Compact(problems)
	if len(problems) <= maxProblems {
		return problems
	}
	last := problems[maxProblems]
	last.Text = fmt.Sprintf("there are %d problems more from here on", len(problems)-maxProblems)
	last.Hint = "look whether this is the right file"
	return append(problems[:maxProblems], last)
}

// quoted returns a value for a complaint: in quotes, on one line, and not
// longer than it is read.
func quoted(s string) string {
	if utf8.RuneCountInString(s) > maxQuoted {
		s = string([]rune(s)[:maxQuoted]) + "…"
	}
	return strconv.Quote(s)
}
