package config

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// duration reads a time, as in "10s". Negative integers mean no limit and
// become -1.
func duration[T any](field func(*T) *time.Duration) func(spot, *T) {
	return func(s spot, to *T) {
		var d time.Duration
		switch s.kind {
		case anInteger:
			n, ok := s.integer()
			if !ok {
				return
			}
			if n > 0 {
				s.wrong(" is a number without a unit", "write "+quoted(s.text+"s")+", or another unit")
				return
			}
			d = time.Duration(max(n, -1))
		case aString:
			var wrong, hint string
			if d, wrong, hint = parseDuration(s.text); wrong != "" {
				s.wrong(wrong, hint)
				return
			}
		default:
			s.wrong(fmt.Sprintf(" is %s, want a duration", s.kind), `write "10s"`)
			return
		}
		*field(to) = d
		s.done()
	}
}

// parseDuration reads a duration within the range of those that are meant.
func parseDuration(text string) (d time.Duration, wrong, hint string) {
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, " is " + quoted(text) + `, want a number and a unit: "10s"`, durationHint(text)
	case d < 0:
		return 0, " is " + quoted(text) + ", want a positive duration", "write -1, without quotes, for no limit"
	case d > 0 && d < minDuration:
		return 0, " is " + quoted(text) + ", want at least 1ms", ""
	case d > maxDuration:
		return 0, " is " + quoted(text) + ", want at most 24h", "write -1, without quotes, for no limit"
	}
	return d, "", ""
}

// durationHint guesses what was meant by words that others have for units.
func durationHint(text string) string {
	end := len(text) - len(strings.TrimLeft(text, "0123456789"))
	n, err := strconv.Atoi(text[:end])
	if err != nil || n > 1000 {
		return "the units are ms, s, m and h"
	}
	switch strings.ToLower(strings.TrimSpace(text[end:])) {
	case "", "s", "sec", "secs", "second", "seconds":
		return fmt.Sprintf(`write "%ds"`, n)
	case "m", "min", "mins", "minute", "minutes":
		return fmt.Sprintf(`write "%dm"`, n)
	case "h", "hour", "hours":
		return fmt.Sprintf(`write "%dh"`, n)
	case "d", "day", "days":
		return fmt.Sprintf(`write "%dh"`, 24*n)
	}
	return "the units are ms, s, m and h"
}
