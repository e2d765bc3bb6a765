package fcgi

import "slices"

// A requestTest is a request and what the two packages make of it.
type requestTest struct {
	name   string
	params []string // name, value, name, value ...
	raw    string   // a record more of PARAMS
	stdin  string

	// uri is our RequestURI. The standard package leaves it empty, which
	// middleware trips over (go-macaron/captcha#3).
	uri string

	// differ lists all other differences, "field: standard's -> ours". Why
	// stands beside.
	differ []string
}

// get is a GET with more params, or with other ones. The standard package
// keeps the last of one name.
func get(more ...string) []string {
	all := []string{"REQUEST_METHOD", "GET", "SERVER_PROTOCOL", "HTTP/1.1", "HTTP_HOST", "a.example", "REMOTE_ADDR", "192.0.2.7", "REMOTE_PORT", "54321"}
	return append(all, more...)
}

// post is a POST to /p.
func post(more ...string) []string {
	return get(slices.Concat([]string{"REQUEST_METHOD", "POST", "REQUEST_URI", "/p"}, more)...)
}

var requestTests = []requestTest{
	{name: "as nginx sends it", uri: "/app/a%20b?x=1&y", params: []string{
		"QUERY_STRING", "x=1&y", "REQUEST_METHOD", "GET", "CONTENT_TYPE", "", "CONTENT_LENGTH", "",
		"SCRIPT_NAME", "/app", "PATH_INFO", "/a b", "REQUEST_URI", "/app/a%20b?x=1&y", "DOCUMENT_URI", "/app/a b", "DOCUMENT_ROOT", "/srv",
		"SERVER_PROTOCOL", "HTTP/1.1", "REQUEST_SCHEME", "https", "HTTPS", "on", "GATEWAY_INTERFACE", "CGI/1.1", "SERVER_SOFTWARE", "nginx/1.22.1",
		"REMOTE_ADDR", "192.0.2.7", "REMOTE_PORT", "54321", "REMOTE_USER", "ann", "AUTH_TYPE", "Basic", "SERVER_ADDR", "192.0.2.1", "SERVER_PORT", "443", "SERVER_NAME", "a.example",
		"REDIRECT_STATUS", "200", "HTTP_HOST", "a.example:8443", "HTTP_USER_AGENT", "curl/8", "HTTP_ACCEPT", "*/*", "HTTP_X_FORWARDED_FOR", "198.51.100.9",
	}},
	{name: "every name that is left out, and its neighbours", uri: "/", params: get(
		"REQUEST_URI", "/", "CONTENT_LENGTH", "0", "CONTENT_TYPE", "a/b", "HTTPS", "off", "PATH_INFO", "/", "QUERY_STRING", "", "REMOTE_HOST", "h", "SCRIPT_NAME", "",
		"content_length", "1", "CONTENT_LENGTHS", "1", "CONTENT_TYP", "1", "HTTPS_PROXY", "1", "HTTP", "1", "http_a", "1", "Http_a", "1", "REMOTE_IDENT", "1", "PATH_TRANSLATED", "1",
		"SERVER_NAME", "1", "SERVER_PORT", "1", "GATEWAY_INTERFACE", "1", "SCRIPT_FILENAME", "1", "DOCUMENT_ROOT", "1", "REMOTE_USER", "", "a b=c", "1", "", "no name", "EMPTY", "", "BYTES", "\x00\xff\n")},
	{name: "one name twice, the last counts", uri: "/b", params: get("REQUEST_URI", "/a", "REQUEST_URI", "/b", "REMOTE_USER", "ann", "REMOTE_USER", "bob", "HTTP_HOST", "b.example")},

	{name: "header fields", uri: "/", params: get("REQUEST_URI", "/", "HTTP_ACCEPT", "*/*", "HTTP_X_A_B", "1", "HTTP_ETAG", "2", "HTTP_x_lower", "3", "HTTP_COOKIE", "a=b; c=d", "HTTP_EMPTY", "", "HTTP_X2", "\xff")},
	// A field that is sent twice has both values. Web servers join them, so
	// one of the two was added on the way.
	{name: "header field twice", uri: "/", params: get("REQUEST_URI", "/", "HTTP_A", "1", "HTTP_A", "2"), differ: []string{
		`Header A: ["2"] -> ["1" "2"]`}},
	// What speaks of the web server's own connection is not for the
	// application, and Proxy is an attack (https://httpoxy.org).
	{name: "header fields that do not pass", uri: "/", params: get("REQUEST_URI", "/", "HTTP_PROXY", "evil:80", "HTTP_CONNECTION", "upgrade", "HTTP_UPGRADE", "websocket", "HTTP_TE", "trailers"), differ: []string{
		`Header Connection: ["upgrade"] -> none`, `Header Proxy: ["evil:80"] -> none`, `Header Te: ["trailers"] -> none`, `Header Upgrade: ["websocket"] -> none`}},
	// Not a field that a client can send.
	{name: "header fields that are none", uri: "/", params: get("REQUEST_URI", "/", "HTTP_", "1", "HTTP_A B", "1"), differ: []string{
		`Header : ["1"] -> none`, `Header A B: ["1"] -> none`}},

	{name: "https", uri: "/", params: get("REQUEST_URI", "/", "HTTPS", "on")},
	{name: "https in capitals", uri: "/", params: get("REQUEST_URI", "/", "HTTPS", "ON")},
	{name: "https as a number", uri: "/", params: get("REQUEST_URI", "/", "HTTPS", "1")},
	{name: "https is off", uri: "/", params: get("REQUEST_URI", "/", "HTTPS", "off")},
	// nginx sends REQUEST_SCHEME as a matter of course, and HTTPS only if told.
	{name: "https by its scheme", uri: "/", params: get("REQUEST_URI", "/", "REQUEST_SCHEME", "https"), differ: []string{
		"TLS: none -> done", "URL.Scheme: http -> https"}},
	{name: "https in mixed letters", uri: "/", params: get("REQUEST_URI", "/", "HTTPS", "On"), differ: []string{
		"TLS: none -> done", "URL.Scheme: http -> https"}},

	{name: "address", uri: "/", params: get("REQUEST_URI", "/", "REMOTE_ADDR", "2001:db8::1")},
	{name: "address of a unix socket", uri: "/", params: get("REQUEST_URI", "/", "REMOTE_ADDR", "unix:", "REMOTE_PORT", "")},
	{name: "no address", uri: "/", params: get("REQUEST_URI", "/", "REMOTE_ADDR", "", "REMOTE_PORT", "")},
	{name: "no address, but a port", uri: "/", params: get("REQUEST_URI", "/", "REMOTE_ADDR", "")},
	{name: "port is no number", uri: "/", params: get("REQUEST_URI", "/", "REMOTE_PORT", "http")},

	{name: "no host", uri: "/a?b", params: get("REQUEST_URI", "/a?b", "HTTP_HOST", "")},
	{name: "host with a port", uri: "/", params: get("REQUEST_URI", "/", "HTTP_HOST", "[::1]:8080")},
	{name: "host beyond ASCII", uri: "/", params: get("REQUEST_URI", "/", "HTTP_HOST", "bücher.example")},
	// The URL of the standard package names a host that Request.Host does not
	// (golang/go#81686). Ours names none.
	{name: "host with another in it", uri: "/", params: get("REQUEST_URI", "/", "HTTP_HOST", "a.example@evil.example"), differ: []string{
		"URL.Host: evil.example -> ", "URL.Scheme: http -> ", "URL.User: a.example -> "}},
	{name: "host with a path in it", uri: "/a", params: get("REQUEST_URI", "/a", "HTTP_HOST", "a.example/x"), differ: []string{
		"URL.Host: a.example -> ", "URL.Path: /x/a -> /a", "URL.Scheme: http -> "}},
	{name: "host that cannot be read", uri: "/", params: get("REQUEST_URI", "/", "HTTP_HOST", "a b"), differ: []string{
		"answer: 500 -> handler"}},

	{name: "no REQUEST_URI", uri: "/s/p?q=1", params: get("SCRIPT_NAME", "/s", "PATH_INFO", "/p", "QUERY_STRING", "q=1")},
	// PATH_INFO is decoded (RFC 3875 §4.1.5), so it has to be encoded to stand
	// in a URL.
	{name: "no REQUEST_URI, and a blank", uri: "/a%20b", params: get("PATH_INFO", "/a b"), differ: []string{
		"URL.RawPath: /a b -> "}},
	{name: "no REQUEST_URI, and a question mark", uri: "/a%3Fb", params: get("PATH_INFO", "/a?b"), differ: []string{
		"URL.Path: /a -> /a?b", "URL.RawQuery: b -> "}},
	{name: "no REQUEST_URI, and a percent sign", uri: "/100%25", params: get("PATH_INFO", "/100%"), differ: []string{
		"answer: 500 -> handler"}},
	{name: "no path at all", uri: "/", params: get(), differ: []string{"URL.Path:  -> /"}}, // RFC 9110 §4.2.3
	// Tomcat sends the query apart (golang/go#54961).
	{name: "REQUEST_URI without its query", uri: "/a?q=1", params: get("REQUEST_URI", "/a", "QUERY_STRING", "q=1"), differ: []string{
		"URL.RawQuery:  -> q=1"}},
	// Apache and H2O pass what the client sent to a proxy.
	{name: "REQUEST_URI is a URL", uri: "/a", params: get("REQUEST_URI", "http://a.example/a"), differ: []string{
		"URL.Host: a.examplehttp: -> a.example", "URL.Path: //a.example/a -> /a"}},
	{name: "REQUEST_URI is no path", params: get("REQUEST_URI", "foo"), differ: []string{
		"answer: handler -> 400"}}, // the standard's host is a.examplefoo
	{name: "REQUEST_URI cannot be decoded", params: get("REQUEST_URI", "/%zz"), differ: []string{
		"answer: 500 -> 400"}}, // the client's fault
	{name: "REQUEST_URI with two slashes", uri: "//evil.example/a", params: get("REQUEST_URI", "//evil.example/a")},
	{name: "REQUEST_URI with two slashes, no host", uri: "//evil.example/a", params: get("REQUEST_URI", "//evil.example/a", "HTTP_HOST", ""), differ: []string{
		"URL.Host: evil.example -> ", "URL.Path: /a -> //evil.example/a"}},
	// As in net/http: a fragment is never sent, so this is part of the path.
	{name: "REQUEST_URI with a fragment", uri: "/a#b", params: get("REQUEST_URI", "/a#b"), differ: []string{
		"URL.Fragment: b -> ", "URL.Path: /a -> /a#b", "URL.RawPath:  -> /a#b"}},
	// As in net/http.
	{name: "the server as a whole", uri: "*", params: get("REQUEST_METHOD", "OPTIONS", "REQUEST_URI", "*"), differ: []string{
		"URL.Host: a.example* -> ", "URL.Path:  -> *", "URL.Scheme: http -> "}},

	{name: "HTTP/2", uri: "/", params: get("REQUEST_URI", "/", "SERVER_PROTOCOL", "HTTP/2.0")},
	{name: "server-side include", uri: "/", params: get("REQUEST_URI", "/", "SERVER_PROTOCOL", "INCLUDED")},
	// A request that can be understood is not refused.
	{name: "HTTP/2 as some servers write it", uri: "/", params: get("REQUEST_URI", "/", "SERVER_PROTOCOL", "HTTP/2"), differ: []string{
		"answer: 500 -> handler"}},
	{name: "no protocol", uri: "/", params: get("REQUEST_URI", "/", "SERVER_PROTOCOL", ""), differ: []string{
		"answer: 500 -> handler"}},
	{name: "no method", params: get("REQUEST_METHOD", ""), differ: []string{
		"answer: 500 -> 400"}}, // whoever asked is at fault

	// Header["Content-Length"] is there in net/http as well.
	{name: "body", uri: "/p", stdin: "a=1", params: post("CONTENT_TYPE", "application/x-www-form-urlencoded", "CONTENT_LENGTH", "3"), differ: []string{
		`Header Content-Length: none -> ["3"]`}},
	{name: "body, as nginx sends its length", uri: "/p", stdin: "a=1", params: post("CONTENT_LENGTH", "3", "HTTP_CONTENT_LENGTH", "3", "HTTP_CONTENT_TYPE", "a/b", "CONTENT_TYPE", "a/b"), differ: []string{
		`Header Content-Type: ["a/b" "a/b"] -> ["a/b"]`}},
	{name: "empty body", uri: "/p", params: post("CONTENT_LENGTH", "0")},
	// net/http says -1 where a length is not known; 0 would mean that there
	// is no body.
	{name: "body of unknown length", uri: "/p", stdin: "a=1", params: post(), differ: []string{
		"ContentLength: 0 -> -1"}},
	// FastCGI 1.0 §6.2: a body is what CONTENT_LENGTH says. One that is shorter
	// has been cut on the way.
	{name: "body that is shorter than said", uri: "/p", stdin: "a=1", params: post("CONTENT_LENGTH", "5"), differ: []string{
		`Body: "a=1" <nil> -> "a=1" unexpected EOF`, `Header Content-Length: none -> ["5"]`}},
	{name: "body that is longer than said", uri: "/p", stdin: "a=1", params: post("CONTENT_LENGTH", "2"), differ: []string{
		`Body: "a=1" <nil> -> "a=" <nil>`, `Header Content-Length: none -> ["2"]`}},
	{name: "body where none was said", uri: "/p", stdin: "a=1", params: post("CONTENT_LENGTH", "0"), differ: []string{
		`Body: "a=1" <nil> -> "" <nil>`}},
	{name: "length is no number", params: post("CONTENT_LENGTH", "three"), differ: []string{
		"answer: 500 -> 400"}},
	{name: "length is below zero", params: post("CONTENT_LENGTH", "-3"), differ: []string{
		"answer: handler -> 400"}},

	// Half of a request is no request.
	{name: "params that run past the end", raw: "\x01\x04\x00\x01\x00\x03\x00\x00" + "\x01\x05A", params: get("REQUEST_URI", "/"), differ: []string{
		"answer: handler -> 400"}},
}
