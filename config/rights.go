package config

import (
	"slices"
	"strconv"
	"strings"
)

// limitNames are the resources whose use can be bounded, under their names in
// getrlimit(2) without RLIMIT_.
var limitNames = []string{
	"as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio", "rttime",
	"sigpending", "stack",
}

func limitName(s string) (wrong, hint string) {
	if slices.Contains(limitNames, s) {
		return "", ""
	}
	if meant := nearest(strings.ToLower(s), limitNames); meant != "" {
		return " is " + quoted(s), didYouMean(meant)
	}
	return " is " + quoted(s), "the names are " + strings.Join(limitNames, ", ")
}

// limit checks "SOFT" or "SOFT:HARD", each a number or "unlimited".
func limit(s string) (wrong, hint string) {
	soft, hard, both := strings.Cut(s, ":")
	if !isLimit(soft) || both && !isLimit(hard) {
		return " is " + quoted(s) + ", want a number, unlimited, or two of them", `write "1024" or "1024:4096"`
	}
	if both && above(soft, hard) {
		return " is " + quoted(s) + ", and the first, which counts, is above the second, to which it may be raised", "write " + quoted(hard+":"+soft)
	}
	return "", ""
}

// above reports whether one limit is larger than another.
func above(a, b string) bool {
	n, errA := strconv.ParseUint(a, 10, 64)
	m, errB := strconv.ParseUint(b, 10, 64)
	return errB == nil && (errA != nil || n > m) // what is no number is unlimited
}

func isLimit(s string) bool {
	_, err := strconv.ParseUint(s, 10, 64)
	return err == nil || s == "unlimited"
}

// umask checks what file modes lose: octal digits.
func umask(s string) (wrong, hint string) {
	if n, err := strconv.ParseUint(s, 8, 16); err != nil || n > 0o777 {
		return " is " + quoted(s) + ", want up to three octal digits", `write "027"`
	}
	return "", ""
}

// account checks the name, or number, of a user or a group.
func account(s string) (wrong, hint string) {
	if s == "" || strings.ContainsAny(s, ":/ \t\n\x00") || len(s) > maxName {
		return " is " + quoted(s) + ", want a name or a number", ""
	}
	return "", ""
}
