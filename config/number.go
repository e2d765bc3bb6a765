package config

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// integer returns the value of an integer. One that is too large becomes the
// largest that there is, which is above every limit. What go-toml's parser
// lets through although TOML forbids it is complained about here.
func (s spot) integer() (int64, bool) {
	digits := strings.TrimLeft(s.text, "+-")
	n, err := strconv.ParseInt(s.text, 0, 64)
	octal := len(digits) > 1 && digits[0] == '0' && strings.IndexByte("0123456789_", digits[1]) >= 0
	if octal || err != nil && !errors.Is(err, strconv.ErrRange) {
		s.wrong(" is "+quoted(s.text)+", which is not a number of TOML", "write it without zeros in front")
		return 0, false
	}
	return n, true
}

// count reads how many there may be of something. Where negative numbers mean
// something, they become -1.
func count[T any](field func(*T) *int, most int64, negative bool) func(spot, *T) {
	return func(s spot, to *T) {
		if s.kind != anInteger {
			hint := "write a whole number"
			if _, err := strconv.Atoi(s.text); err == nil && s.kind == aString {
				hint = "remove the quotes"
			}
			s.wrong(fmt.Sprintf(" is %s, want an integer", s.kind), hint)
			return
		}
		n, ok := s.integer()
		switch {
		case !ok:
			return
		case n > most:
			s.wrong(fmt.Sprintf(" is %s, want at most %d", s.text, most), noLimitHint(negative))
			return
		case n < 0 && !negative:
			s.wrong(fmt.Sprintf(" is %s, want at least 1", s.text), "remove it for the default")
			return
		}
		*field(to) = int(max(n, -1))
		s.done()
	}
}

// least reads how many there are of something at the least: zero is a number
// here.
func least[T any](field func(*T) *int, most int64) func(spot, *T) {
	return func(s spot, to *T) {
		if n, ok := s.integer(); s.kind == anInteger && ok && n < 0 {
			s.wrong(fmt.Sprintf(" is %s, want at least 0", s.text), "")
			return
		}
		count(field, most, false)(s, to)
	}
}

// priority reads a nice value.
func priority[T any](field func(*T) *int) func(spot, *T) {
	return func(s spot, to *T) {
		if s.kind != anInteger {
			s.wrong(fmt.Sprintf(" is %s, want an integer", s.kind), "write a number from -20 to 19")
			return
		}
		n, ok := s.integer()
		switch {
		case !ok:
			return
		case n < -20 || n > 19:
			s.wrong(fmt.Sprintf(" is %s, want -20 to 19", s.text), "19 gives way to everybody, -20 to nobody")
			return
		}
		*field(to) = int(n)
		s.done()
	}
}

func noLimitHint(negative bool) string {
	if negative {
		return "write -1 for no limit"
	}
	return ""
}

// A unit is one of those in which sizes are given.
type unit struct {
	name  string
	bytes int64
}

var units = []unit{
	{"B", 1},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
}

// size reads a number of bytes: an integer, or a string with a unit. Negative
// integers mean no limit and become -1.
func size[T any](field func(*T) *int64) func(spot, *T) {
	return func(s spot, to *T) {
		var n int64
		switch s.kind {
		case anInteger:
			var ok bool
			if n, ok = s.integer(); !ok {
				return
			}
		case aString:
			var wrong, hint string
			if n, wrong, hint = parseSize(s.text); wrong != "" {
				s.wrong(wrong, hint)
				return
			}
		default:
			s.wrong(fmt.Sprintf(" is %s, want a size", s.kind), `write "32MiB"`)
			return
		}
		if n > maxSize {
			s.wrong(fmt.Sprintf(" is %s, want at most 1024TiB", s.text), noLimitHint(true))
			return
		}
		*field(to) = max(n, -1)
		s.done()
	}
}

// parseSize reads a size with a unit. A product that is too large becomes one
// above maxSize.
func parseSize(text string) (n int64, wrong, hint string) {
	end := len(text) - len(strings.TrimLeft(text, "0123456789"))
	n, err := strconv.ParseInt(text[:end], 10, 64)
	if err == nil || errors.Is(err, strconv.ErrRange) {
		for _, u := range units {
			if text[end:] == u.name {
				return min(n, maxSize/u.bytes+1) * u.bytes, "", ""
			}
		}
	}
	wrong = " is " + quoted(text) + `, want a whole number and a unit: "32MiB"`
	return 0, wrong, sizeHint(text[:end], strings.TrimSpace(text[end:]))
}

// sizeHint guesses which unit was meant: "32m", "32 mb" and "32M" are what
// other programs read.
func sizeHint(number, unit string) string {
	if number == "" || len(number) > 16 {
		return "the units are B, KB, MB, GB, TB, KiB, MiB, GiB and TiB"
	}
	for _, u := range units {
		if strings.EqualFold(unit, u.name) || strings.EqualFold(unit+"iB", u.name) {
			return "write " + quoted(number+u.name)
		}
	}
	if unit == "" {
		return "write " + number + ` without quotes, or a unit: "` + number + `MiB"`
	}
	return "the units are B, KB, MB, GB, TB, KiB, MiB, GiB and TiB"
}
