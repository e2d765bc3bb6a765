package cgihttp

import (
	"fmt"
	"net/url"
	"strings"
)

// parseTarget reads a target in origin form, or "*", into u, which is zero. The
// result is that of url.ParseRequestURI, which takes ten times as long.
func parseTarget(u *url.URL, target string) error {
	if !strings.HasPrefix(target, "/") && target != "*" {
		return fmt.Errorf("cgihttp: parse request: %.60q is not a path", target)
	}
	if parsePlain(u, target) {
		return nil
	}
	parsed, err := url.ParseRequestURI(target)
	if err != nil {
		return fmt.Errorf("cgihttp: parse request: %w", err)
	}
	*u = *parsed
	return nil
}

// parsePlain reads a target whose path is the same encoded and decoded, as
// nearly all are.
func parsePlain(u *url.URL, target string) bool {
	path, query, found := strings.Cut(target, "?")
	if !plainPath.all(path) || !plainQuery.all(query) {
		return false
	}
	u.Path, u.RawQuery, u.ForceQuery = path, query, found && query == ""
	return true
}

// A byteSet is a set of bytes.
type byteSet [256]bool

// What may stand in a path that net/url neither encodes nor decodes, and in a
// query, of which it only refuses control characters.
var plainPath, plainQuery = func() (path, query byteSet) {
	for c := range query {
		query[c] = c >= ' ' && c != 0x7f
	}
	for _, c := range "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.~/$&+,:;=@" {
		path[c] = true
	}
	return path, query
}()

// all reports whether s has no other bytes.
func (set *byteSet) all(s string) bool {
	for i := range len(s) {
		if !set[s[i]] {
			return false
		}
	}
	return true
}
