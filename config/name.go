package config

import (
	"fmt"
	"slices"
	"strings"
)

// backendName checks the name of a backend. It stands in log lines, on the
// status page and in the names of sockets.
func backendName(s string) (wrong, hint string) {
	switch {
	case len(s) > maxName:
		return fmt.Sprintf(" is %s, want at most %d characters", quoted(s), maxName), ""
	case !isBare(s):
		return " is " + quoted(s) + ", want a name of letters, digits, - and _", ""
	}
	return "", ""
}

// fileName checks the name of a file without its folder.
func fileName(s string) (wrong, hint string) {
	if s == "" || s == "." || s == ".." || strings.ContainsAny(s, "/\x00") {
		return " has " + quoted(s) + ", want names of files", "write them without folders"
	}
	return "", ""
}

// argument checks what is handed to a program, where a NUL ends a string.
func argument(s string) (wrong, hint string) {
	if strings.ContainsRune(s, 0) {
		return " is " + quoted(s) + ", which has a NUL in it", "remove \\u0000"
	}
	return "", ""
}

// variable checks the name of an environment variable. POSIX allows more, but
// shells drop what they cannot name.
func variable(s string) (wrong, hint string) {
	switch {
	case s == "" || s[0] >= '0' && s[0] <= '9' || !isBare(s) || strings.Contains(s, "-"):
		return " is " + quoted(s) + ", want letters, digits and _", ""
	case len(s) > maxPath:
		return " is " + quoted(s) + ", which is too long", ""
	}
	return "", ""
}

// decided lists the params that follow from the request and the route. If a
// configuration could set them, the application would run another script than
// the one that was checked, or read another body than the one that is sent.
var decided = []string{
	"AUTH_TYPE", "CONTENT_LENGTH", "CONTENT_TYPE", "DOCUMENT_ROOT", "GATEWAY_INTERFACE", "PATH_INFO",
	"PATH_TRANSLATED", "QUERY_STRING", "REDIRECT_STATUS", "REMOTE_ADDR", "REMOTE_PORT", "REQUEST_METHOD",
	"REQUEST_URI", "SCRIPT_FILENAME", "SCRIPT_NAME", "SERVER_PROTOCOL",
}

// param checks the name of a param that is sent with each request. What only
// describes the server may be set, to describe the one in front of Sluice:
// HTTPS, REQUEST_SCHEME, SERVER_NAME, SERVER_PORT, SERVER_ADDR,
// SERVER_SOFTWARE.
func param(s string) (wrong, hint string) {
	wrong, hint = variable(s)
	switch {
	case wrong != "":
	case s == "DOCUMENT_ROOT":
		return " is DOCUMENT_ROOT, which Sluice computes", "set root of the backend"
	case slices.Contains(decided, s):
		return " is " + s + ", which Sluice computes from the request", "remove it"
	case strings.HasPrefix(s, "HTTP_"):
		return " is " + quoted(s) + ", which means a field of the request", "choose a name without HTTP_"
	}
	return wrong, hint
}
