package config

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"regexp/syntax"
	"strings"
)

// pattern checks the path of a route. Routes are matched against paths that
// are decoded and have neither "//" nor dot segments; a pattern that no such
// path matches is a mistake.
func pattern(s string) (wrong, hint string) {
	switch {
	case s == "":
		return "", ""
	case len(s) > maxPattern:
		return fmt.Sprintf(" has %d bytes, want at most %d", len(s), maxPattern), ""
	case s[0] == '~':
		return expression(s)
	case s[0] == '*':
		return extension(s)
	case s[0] == '/':
		return prefix(s)
	}
	return " is " + quoted(s) + `, want "*.ext", "/prefix/", "~regexp" or ""`, patternHint(s)
}

// patternHint guesses what was meant by something that is no pattern.
func patternHint(s string) string {
	switch {
	case s[0] == '^':
		return "write " + quoted("~"+s)
	case s[0] == '.' && !strings.Contains(s, "/"):
		return "write " + quoted("*"+s)
	case isBare(strings.ReplaceAll(s, "/", "")) && len(path.Clean(s)) < maxPattern:
		return "write " + quoted("/"+path.Clean(s)+"/")
	}
	return ""
}

// expression checks "~regexp".
func expression(s string) (wrong, hint string) {
	if s == "~" {
		return ` is "~" without a regular expression`, `write "" for every path`
	}
	_, err := regexp.Compile(s[1:])
	if err == nil {
		return "", ""
	}
	what := err.Error()
	if e, ok := errors.AsType[*syntax.Error](err); ok {
		what = e.Code.String() + ": " + quoted(e.Expr)
	}
	wrong = " is not a regular expression: " + what
	if strings.Contains(s, "(?=") || strings.Contains(s, "(?!") || strings.Contains(s, "(?<") {
		return wrong, "put what must not match into a route before it: there is no look around"
	}
	return wrong, ""
}

// extension checks "*.ext".
func extension(s string) (wrong, hint string) {
	ext := strings.TrimPrefix(s[1:], ".")
	if s == "*" {
		return ` is "*"`, `write "" for every path`
	}
	if strings.HasPrefix(s, "*.") && ext != "" && !strings.ContainsAny(ext, "*/?\\\x00") {
		return "", ""
	}
	if isBare(ext) {
		hint = "write " + quoted("*."+ext)
	}
	return " is " + quoted(s) + `, want * and an extension: "*.php"`, hint
}

// prefix checks "/prefix/".
func prefix(s string) (wrong, hint string) {
	clean := strings.TrimSuffix(path.Clean(s), "/") + "/"
	short := strings.TrimRight(s, "*")
	switch {
	case strings.ContainsAny(s, "?#\\\x00"):
		return " is " + quoted(s) + `, and paths have no ?, # or \`, ""
	case short != s && strings.HasSuffix(short, "/"):
		return " is " + quoted(s) + ", and a prefix has no *", "write " + quoted(short)
	case strings.Contains(s, "*"):
		return " is " + quoted(s) + ", and a prefix has no *", "write a regular expression after a ~"
	case s == clean:
		return "", ""
	case s+"/" == clean:
		return " is " + quoted(s) + ", want a prefix that ends with /",
			"write " + quoted(clean) + ", or " + quoted("~^"+regexp.QuoteMeta(s)+"$") + " for this path alone"
	}
	return " is " + quoted(s) + ", which no path begins with: // and dots are resolved before", "write " + quoted(clean)
}
