package gateway

import (
	"fmt"
	"regexp"
	"strings"
)

// A Route says what happens to the requests it matches. Of several the first
// counts.
type Route struct {
	Match Match

	// One of these three. Without any the route never matches.
	Backend *Backend // hand the request to an application
	Files   bool     // serve a file
	Deny    bool     // answer 403

	// CheckLocal makes the script a file below the root: it is found by
	// walking the file system, and if it is not there the answer is 404.
	// Otherwise the application gets what the path says. It counts only if the
	// Handler has Files.
	CheckLocal bool

	// Fallback is the path of a script for requests that no file is there
	// for, of a front controller such as "/index.php". Files that are there
	// are served.
	Fallback string

	// MaxBody bounds request bodies, in bytes. Zero means the Handler's.
	MaxBody int64
}

// A Match says which paths a route is for.
type Match struct {
	kind matchKind
	text string
	re   *regexp.Regexp
}

type matchKind uint8

const (
	matchAll matchKind = iota
	matchExt
	matchPrefix
	matchRegexp
)

// Compile reads the pattern of a route: "*.ext" for scripts with an extension,
// "/prefix/" for all below a folder and the folder itself, "~regexp" for a
// regular expression of package regexp, "" for everything.
func Compile(pattern string) (Match, error) {
	switch {
	case pattern == "":
		return Match{}, nil
	case strings.HasPrefix(pattern, "*.") && len(pattern) > 2 && !strings.ContainsAny(pattern[2:], "/*"):
		return Match{kind: matchExt, text: pattern[1:]}, nil
	case pattern[0] == '/' && pattern[len(pattern)-1] == '/':
		return Match{kind: matchPrefix, text: pattern}, nil
	case pattern[0] == '~':
		re, err := regexp.Compile(pattern[1:])
		if err != nil {
			return Match{}, fmt.Errorf("gateway: route %q: %w", pattern, err)
		}
		return Match{kind: matchRegexp, text: pattern[1:], re: re}, nil
	}
	return Match{}, fmt.Errorf(`gateway: route %q: want "*.ext", "/prefix/", "~regexp", or "" for everything`, pattern)
}

// String returns the pattern.
func (m Match) String() string {
	switch m.kind {
	case matchExt:
		return "*" + m.text
	case matchRegexp:
		return "~" + m.text
	}
	return m.text
}

// matches reports whether a path that cleanPath returned is one for the route.
// For "*.ext" that only means that some part of it could be the script.
func (m Match) matches(path string) bool {
	switch m.kind {
	case matchExt:
		return scriptEnd(path, m.text) > 0
	case matchPrefix:
		return strings.HasPrefix(path, m.text) || path == m.text[:len(m.text)-1]
	case matchRegexp:
		return m.re.MatchString(path)
	}
	return true
}

// names reports whether a file that is there is one for a route whose pattern
// matches the path: what stands behind the file in the path must not decide
// what the file is.
func (m Match) names(file string) bool {
	switch m.kind {
	case matchExt:
		return strings.HasSuffix(file, m.text)
	case matchRegexp:
		return m.re.MatchString(file)
	}
	return true
}

// scriptEnd returns where the first segment with an extension ends, or 0.
func scriptEnd(path, ext string) int {
	for from := 0; ; {
		i := strings.Index(path[from:], ext)
		if i < 0 {
			return 0
		}
		end := from + i + len(ext)
		if end == len(path) || path[end] == '/' {
			return end
		}
		from = end
	}
}

// mount returns the path that leads to a whole application: the prefix without
// its last slash, or nothing.
func (m Match) mount() string {
	if m.kind == matchPrefix {
		return m.text[:len(m.text)-1]
	}
	return ""
}
