package fcgi

import (
	"net/http"
	"strings"

	"github.com/sluice-gateway/sluice/cgi/cgihttp"
)

// ProcessEnv returns the params of r that r itself has no place for, such as
// REMOTE_USER or DOCUMENT_ROOT. Left out are those that it is made of: all
// HTTP_*, and CONTENT_LENGTH, CONTENT_TYPE, HTTPS, PATH_INFO, QUERY_STRING,
// REMOTE_ADDR, REMOTE_HOST, REMOTE_PORT, REQUEST_METHOD, REQUEST_URI,
// SCRIPT_NAME and SERVER_PROTOCOL; [cgihttp.Params] has them. Of several params
// with one name it holds the last.
//
// Every call for a request that came from Serve returns the same map. It works
// for requests that came through cgihttp as well, and is nil for all others.
func ProcessEnv(r *http.Request) map[string]string {
	if c, ok := r.Context().Value(callKey{}).(*call); ok {
		c.once.Do(func() {
			c.env = make(map[string]string, len(c.params))
			for _, p := range c.params {
				c.env[p.Name] = p.Value
			}
		})
		return c.env
	}
	var env map[string]string
	for name, value := range cgihttp.Params(r) {
		if env == nil {
			env = make(map[string]string)
		}
		if !used(name) {
			env[name] = value
		}
	}
	return env
}

// used reports whether a request has a place for the param. That REMOTE_HOST
// is among them, although no request has it, is the standard package's doing.
func used(param string) bool {
	switch param {
	case "CONTENT_LENGTH", "CONTENT_TYPE", "HTTPS", "PATH_INFO", "QUERY_STRING",
		"REMOTE_ADDR", "REMOTE_HOST", "REMOTE_PORT", "REQUEST_METHOD",
		"REQUEST_URI", "SCRIPT_NAME", "SERVER_PROTOCOL":
		return true
	}
	return strings.HasPrefix(param, "HTTP_")
}
