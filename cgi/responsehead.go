package cgi

import (
	"fmt"
	"strconv"
	"strings"
)

// AppendHead appends the head of a CGI response (RFC 3875 §6.2). Fields that
// speak of one connection only are left out, and Status, which is said
// already. A name or value that would end a line, or the head, is an error
// that wraps ErrMalformed; dst is returned as it came then.
func AppendHead(dst []byte, status int, h Header) ([]byte, error) {
	start := len(dst)
	dst = append(dst, "Status: "...)
	dst = strconv.AppendInt(dst, int64(status), 10)
	dst = append(dst, ' ')
	dst = append(dst, StatusText(status)...)
	dst = append(dst, "\r\n"...)
	for _, f := range h {
		if !validName(f.Name) || !isValue(f.Value) {
			return dst[:start], fmt.Errorf("%w: response header field %.40q: %.60q", ErrMalformed, f.Name, f.Value)
		}
		if HopByHop(f.Name) || isStatus(f.Name) {
			continue
		}
		dst = append(dst, f.Name...)
		dst = append(dst, ": "...)
		dst = append(dst, f.Value...)
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "\r\n"...), nil
}

func isStatus(name string) bool {
	return len(name) == 6 && strings.EqualFold(name, "Status")
}

// isValue reports whether v may be the value of a field (RFC 9110 §5.5).
func isValue(v string) bool {
	for i := range len(v) {
		if c := v[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// StatusText returns the reason phrase of a status. Web servers pass it on,
// and some of them send a status line without one if it is missing.
func StatusText(status int) string {
	if text, ok := statusTexts[status]; ok {
		return text
	}
	return "status code " + strconv.Itoa(status)
}

// statusTexts is the registry of RFC 9110 §16.2.1.
var statusTexts = map[int]string{
	100: "Continue", 102: "Processing", 103: "Early Hints",
	200: "OK", 201: "Created", 202: "Accepted", 203: "Non-Authoritative Information", 204: "No Content",
	205: "Reset Content", 206: "Partial Content", 207: "Multi-Status", 208: "Already Reported", 226: "IM Used",
	300: "Multiple Choices", 301: "Moved Permanently", 302: "Found", 303: "See Other", 304: "Not Modified",
	305: "Use Proxy", 307: "Temporary Redirect", 308: "Permanent Redirect",
	400: "Bad Request", 401: "Unauthorized", 402: "Payment Required", 403: "Forbidden", 404: "Not Found",
	405: "Method Not Allowed", 406: "Not Acceptable", 407: "Proxy Authentication Required", 408: "Request Timeout",
	409: "Conflict", 410: "Gone", 411: "Length Required", 412: "Precondition Failed", 413: "Content Too Large",
	414: "URI Too Long", 415: "Unsupported Media Type", 416: "Range Not Satisfiable", 417: "Expectation Failed",
	418: "I'm a teapot", 421: "Misdirected Request", 422: "Unprocessable Content", 423: "Locked",
	424: "Failed Dependency", 425: "Too Early", 426: "Upgrade Required", 428: "Precondition Required",
	429: "Too Many Requests", 431: "Request Header Fields Too Large", 451: "Unavailable For Legal Reasons",
	500: "Internal Server Error", 501: "Not Implemented", 502: "Bad Gateway", 503: "Service Unavailable",
	504: "Gateway Timeout", 505: "HTTP Version Not Supported", 506: "Variant Also Negotiates",
	507: "Insufficient Storage", 508: "Loop Detected", 510: "Not Extended", 511: "Network Authentication Required",
}
