package gateway

import (
	_ "embed"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// The page says to a visitor what happened and what to do, and to the operator
// where to look. It names no program, path, address or version.
//
//go:embed page.html
var pageHTML string

func htmlPage(status int, id string) []byte {
	return []byte(strings.NewReplacer(
		"{{status}}", strconv.Itoa(status),
		"{{title}}", statusTitle(status),
		"{{text}}", explain(status),
		"{{id}}", id,
	).Replace(pageHTML))
}

func plainPage(status int, id string) []byte {
	return fmt.Appendf(nil, "%d %s\n%s\nRequest %s: the server's log says more.\n", status, statusTitle(status), explain(status), id)
}

func statusTitle(status int) string {
	if text := http.StatusText(status); text != "" {
		return text
	}
	return "Error"
}

// explain says to a visitor what a status means.
func explain(status int) string {
	switch status {
	case http.StatusBadRequest:
		return "The request could not be understood. If you typed the address, look for a mistake in it."
	case http.StatusForbidden:
		return "This is not open to visitors."
	case http.StatusNotFound:
		return "There is nothing at this address. It may have moved, or there may be a mistake in the address."
	case http.StatusMethodNotAllowed:
		return "This cannot be done with what is at this address."
	case http.StatusRequestTimeout:
		return "The request took too long to arrive. Please try again."
	case http.StatusRequestEntityTooLarge:
		return "What you sent is larger than this site takes. Try something smaller."
	case http.StatusRequestURITooLong:
		return "The address is too long."
	case http.StatusRequestHeaderFieldsTooLarge:
		return "Your browser sent more than this site takes. Deleting its cookies for this site helps most of the time."
	case http.StatusNotImplemented:
		return "This server does not know how to do that."
	case http.StatusBadGateway:
		return "The application behind this site did not answer properly. Trying again in a moment may help."
	case http.StatusServiceUnavailable:
		return "The site cannot answer just now. Please try again in a little while."
	case http.StatusGatewayTimeout:
		return "The application behind this site took too long. Trying again in a moment may help."
	}
	return "Something went wrong. Trying again in a moment may help."
}

// accepts reports whether an Accept field names a media type itself, as those
// of browsers do; tools say "*/*" and get plain text.
func accepts(accept, mediaType string) bool {
	for part := range strings.SplitSeq(accept, ",") {
		name, _, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(name), mediaType) {
			return true
		}
	}
	return false
}
