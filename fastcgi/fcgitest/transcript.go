package fcgitest

import (
	"fmt"
	"strings"
)

// kept is how many lines a transcript holds: the first ones tell how the
// conversation began, the last ones how it came to its end.
const kept = 12

// A transcript is what has been said on a connection, a line for each record:
// ">" was sent by the script, "<" came from the side under test.
type transcript struct {
	first, last []string
	left        int // lines between them
}

func (s *transcript) add(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	if len(s.first) < kept {
		s.first = append(s.first, line)
		return
	}
	if len(s.last) == kept {
		s.last = append(s.last[:0], s.last[1:]...)
		s.left++
	}
	s.last = append(s.last, line)
}

func (s *transcript) String() string {
	if len(s.first) == 0 {
		return "\nnothing was said before"
	}
	lines := append([]string{"\nso far:"}, s.first...)
	if s.left > 0 {
		lines = append(lines, fmt.Sprintf("… %d more", s.left))
	}
	return strings.Join(append(lines, s.last...), "\n\t")
}

func (c *Conn) saySent(records []Record) {
	for _, r := range records {
		c.said.add("> %v", r)
	}
}
