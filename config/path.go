package config

import (
	"fmt"
	"path"
	"strings"
)

// filePath checks a path of the file system.
func filePath(s string) (wrong, hint string) {
	switch {
	case s == "":
		return " is empty", `write "." for the folder of this file`
	case len(s) > maxPath:
		return fmt.Sprintf(" has %d bytes, want at most %d", len(s), maxPath), ""
	case s == "~" || strings.HasPrefix(s, "~/"):
		return " is " + quoted(s) + ", and ~ is nothing special here", "write the whole path"
	case strings.HasPrefix(s, "$"):
		return " is " + quoted(s) + ", and variables are not replaced", "write the whole path"
	}
	return argument(s)
}

// accessLog checks where the access log goes. Words that mean a place to other
// programs would become names of files.
func accessLog(s string) (wrong, hint string) {
	switch s {
	case "":
		return " is empty", `write "off" for no log`
	case "on", "stdout", "true", "/dev/stdout":
		return " is " + quoted(s) + `, want "-", "off" or a file`, `write "-" for standard output`
	case "none", "no", "false", "/dev/null":
		return " is " + quoted(s) + `, want "-", "off" or a file`, `write "off"`
	}
	return filePath(s)
}

// phpProgram checks which PHP is meant.
func phpProgram(s string) (wrong, hint string) {
	if s == "auto" {
		return "", ""
	}
	if wrong, hint = filePath(s); wrong != "" {
		return wrong, hint
	}
	base := path.Base(s)
	switch {
	case strings.Trim(base, "0123456789.") == "php":
		return " is " + quoted(s) + ", the PHP of the command line, which does not speak FastCGI", `write "auto", or the path of php-fpm or php-cgi`
	case !strings.Contains(s, "/"):
		return " is " + quoted(s) + `, want "auto" or a path`, `write "auto", or "/usr/sbin/` + s + `"`
	}
	return "", ""
}

// remoteRoot checks the root as an application sees it, which may run
// elsewhere.
func remoteRoot(s string) (wrong, hint string) {
	if !strings.HasPrefix(s, "/") {
		return " is " + quoted(s) + ", want an absolute path", "write the folder as the application sees it"
	}
	return filePath(s)
}

// scriptPath checks the path of a script below the root, as in a URL.
func scriptPath(s string) (wrong, hint string) {
	switch {
	case s != "" && s[0] != '/' && scriptBelow("/"+s):
		return " is " + quoted(s) + ", want a path that begins with /", "write " + quoted("/"+s)
	case strings.Contains(s, "?"):
		return " is " + quoted(s) + ", and a path has no query", "remove what begins with ?"
	case !scriptBelow(s):
		return " is " + quoted(s) + ", want the path of a script", `write "/index.php"`
	}
	return argument(s)
}

// scriptBelow reports whether a path names something below the root in the one
// way in which paths of requests name it.
func scriptBelow(s string) bool {
	return len(s) > 1 && len(s) <= maxPath && s[0] == '/' && path.Clean(s) == s
}
