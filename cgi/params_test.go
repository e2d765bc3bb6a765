package cgi

import (
	"slices"
	"strings"
	"testing"
)

func params(r *Request) []Field {
	var fields []Field
	for name, value := range r.Params() {
		fields = append(fields, Field{name, value})
	}
	return fields
}

func listing(fields []Field) string {
	var b strings.Builder
	for _, f := range fields {
		b.WriteString(f.Name + "=" + f.Value + "\n")
	}
	return b.String()
}

func lookup(fields []Field, name string) string {
	for _, f := range fields {
		if f.Name == name {
			return f.Value
		}
	}
	return "(absent)"
}

// fullRequest has something in every field that becomes a param.
func fullRequest() *Request {
	return &Request{
		Method: "POST",
		Target: "/wiki/doku.php/start%20page?id=a%26b",
		Proto:  "HTTP/1.1",
		Host:   "wiki.example:8080",
		HTTPS:  true,
		Header: Header{
			{"Host", "other.example"},
			{"User-Agent", "test/1"},
			{"content-type", "text/plain"},
			{"Content-Length", "99"},
			{"Cookie", "a=1"},
			{"X-Custom", "one"},
			{"Connection", "keep-alive"},
			{"Proxy", "http://evil.example/"},
			{"Cookie", "b=2"},
			{"x-custom", "two"},
			{"X_Custom", "three"},
		},
		RemoteAddr: "192.0.2.7", RemotePort: "50000",
		ServerAddr: "192.0.2.1", ServerPort: "8443",
		AuthType: "Basic", RemoteUser: "ann",
		Script: Script{
			Root:     "/srv/www",
			Filename: "/srv/www/wiki/doku.php",
			Name:     "/wiki/doku.php",
			PathInfo: "/start page",
		},
		Extra:         []Field{{"APP_ENV", "prod"}, {"SERVER_PORT", "443"}},
		Body:          BytesBody([]byte("12345")),
		ContentLength: 5,
	}
}

// The order is part of the contract: SCGI wants CONTENT_LENGTH first, and a
// log or a recorded exchange can be compared with another one.
func TestParamsOrder(t *testing.T) {
	const want = `CONTENT_LENGTH=5
SCRIPT_NAME=/wiki/doku.php
PATH_INFO=/start page
PATH_TRANSLATED=/srv/www/start page
SCRIPT_FILENAME=/srv/www/wiki/doku.php
REDIRECT_STATUS=200
DOCUMENT_ROOT=/srv/www
GATEWAY_INTERFACE=CGI/1.1
SERVER_SOFTWARE=sluice
REQUEST_METHOD=POST
REQUEST_URI=/wiki/doku.php/start%20page?id=a%26b
QUERY_STRING=id=a%26b
SERVER_PROTOCOL=HTTP/1.1
REQUEST_SCHEME=https
HTTPS=on
SERVER_NAME=wiki.example
SERVER_ADDR=192.0.2.1
REMOTE_ADDR=192.0.2.7
REMOTE_PORT=50000
AUTH_TYPE=Basic
REMOTE_USER=ann
CONTENT_TYPE=text/plain
HTTP_HOST=wiki.example:8080
HTTP_USER_AGENT=test/1
HTTP_COOKIE=a=1; b=2
HTTP_X_CUSTOM=one, two
APP_ENV=prod
SERVER_PORT=443
`
	if got := listing(params(fullRequest())); got != want {
		t.Errorf("Params() =\n%swant\n%s", got, want)
	}
}

func TestParamsMinimal(t *testing.T) {
	const want = `SCRIPT_NAME=/
GATEWAY_INTERFACE=CGI/1.1
SERVER_SOFTWARE=sluice
REQUEST_METHOD=GET
REQUEST_URI=/
QUERY_STRING=
SERVER_PROTOCOL=HTTP/1.0
REQUEST_SCHEME=http
SERVER_NAME=
`
	r := &Request{Method: "GET", Target: "/", Proto: "HTTP/1.0"}
	if got := listing(params(r)); got != want {
		t.Errorf("Params() =\n%swant\n%s", got, want)
	}
}

// An authorizer is sent what a responder is sent without CONTENT_LENGTH,
// PATH_INFO, PATH_TRANSLATED and SCRIPT_NAME (FastCGI 1.0 §6.3).
func TestParamsAuthorizer(t *testing.T) {
	leftOut := []string{"CONTENT_LENGTH", "PATH_INFO", "PATH_TRANSLATED", "SCRIPT_NAME"}
	r := fullRequest()
	var want []Field
	for _, f := range params(r) {
		if !slices.Contains(leftOut, f.Name) {
			want = append(want, f)
		}
	}
	r.Role = Authorizer
	if got := params(r); !slices.Equal(got, want) {
		t.Errorf("Params() of an authorizer =\n%swant\n%s", listing(got), listing(want))
	}
}

func TestParamsStopsEarly(t *testing.T) {
	r := fullRequest()
	all := params(r)
	for n := range all {
		var got []Field
		for name, value := range r.Params() {
			if got = append(got, Field{name, value}); len(got) == n+1 {
				break
			}
		}
		if !slices.Equal(got, all[:n+1]) {
			t.Errorf("the first %d of Params() =\n%swant\n%s", n+1, listing(got), listing(all[:n+1]))
		}
	}
}

func TestParamsHeaderNames(t *testing.T) {
	tests := []struct {
		name  string
		field string
		want  string // the param it becomes; empty: none
	}{
		{"common", "User-Agent", "HTTP_USER_AGENT"},
		{"lower case", "user-agent", "HTTP_USER_AGENT"},
		{"rare", "X-Request-Start", "HTTP_X_REQUEST_START"},
		{"digits", "X-2", "HTTP_X_2"},
		{"passed by default, unlike Apache", "Authorization", "HTTP_AUTHORIZATION"},
		{"cannot name another variable", "Php-Value", "HTTP_PHP_VALUE"},

		// https://httpoxy.org, in every spelling.
		{"httpoxy", "Proxy", ""},
		{"httpoxy, lower case", "proxy", ""},
		{"httpoxy, upper case", "PROXY", ""},

		// Each would collide with a name that has "-" there, in the variable
		// or where PHP folds "." and " " to "_" (GHSA-f59h-q822-g45g,
		// GHSA-49wc-4hcv-v58q).
		{"underscore", "X_Forwarded_For", ""},
		{"dot", "X.Forwarded.For", ""},
		{"exclamation mark", "X!User", ""},
		{"apostrophe", "X'User", ""},
		{"plus", "X+User", ""},
		{"tilde", "X~User", ""},
		{"asterisk", "X*User", ""},
		{"space", "X User", ""},
		{"equals sign", "X=User", ""},
		{"NUL", "X\x00User", ""},
		{"letter that folds to k", "Coo\u212aie", ""},
		{"empty", "", ""},

		// Said by another variable.
		{"host", "Host", ""},
		{"type", "Content-Type", ""},
		{"length", "content-length", ""},

		// RFC 9110 §7.6.1.
		{"connection", "Connection", ""},
		{"keep-alive", "Keep-Alive", ""},
		{"proxy-connection", "Proxy-Connection", ""},
		{"proxy-authenticate", "Proxy-Authenticate", ""},
		{"proxy-authorization", "proxy-authorization", ""},
		{"te", "TE", ""},
		{"trailer", "Trailer", ""},
		{"transfer-encoding", "Transfer-Encoding", ""},
		{"upgrade", "Upgrade", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := &Request{Header: Header{{tt.field, "the value"}}}
			var got string
			for name, value := range r.Params() {
				if value == "the value" && name != "CONTENT_TYPE" {
					got = name
				}
			}
			if got != tt.want {
				t.Errorf("field %q became param %q, want %q", tt.field, got, tt.want)
			}
		})
	}
}

func TestParamsValues(t *testing.T) {
	tests := []struct {
		name  string
		r     Request
		param string
		want  string
	}{
		{"body of known size", Request{Body: BytesBody(nil), ContentLength: 7}, "CONTENT_LENGTH", "7"},
		{"empty body", Request{Body: BytesBody(nil)}, "CONTENT_LENGTH", "0"},
		{"body of unknown size", Request{Body: BytesBody(nil), ContentLength: -1}, "CONTENT_LENGTH", "(absent)"},
		{"no body", Request{ContentLength: 7}, "CONTENT_LENGTH", "(absent)"},
		{"length only in the header", Request{Header: Header{{"Content-Length", "7"}}}, "CONTENT_LENGTH", "(absent)"},
		{"body of an authorizer", Request{Role: Authorizer, Body: BytesBody(nil), ContentLength: 7}, "CONTENT_LENGTH", "(absent)"},
		{"file of a filter, of a time not known", Request{Role: Filter, Data: new(Data)}, "FCGI_DATA_LAST_MOD", "0"},
		{"body of a filter", Request{Role: Filter, Body: BytesBody(nil), ContentLength: 7}, "CONTENT_LENGTH", "7"},

		{"type, as sent", Request{Header: Header{{"content-type", "a/b; c=d"}}}, "CONTENT_TYPE", "a/b; c=d"},
		{"type is never invented", Request{Method: "POST", Body: BytesBody(nil)}, "CONTENT_TYPE", "(absent)"},

		{"name without port", Request{Host: "a.example"}, "SERVER_NAME", "a.example"},
		{"name with port", Request{Host: "a.example:80"}, "SERVER_NAME", "a.example"},
		{"name with empty port", Request{Host: "a.example:"}, "SERVER_NAME", "a.example"},
		{"IPv6 without port", Request{Host: "[2001:db8::1]"}, "SERVER_NAME", "[2001:db8::1]"},
		{"IPv6 with port", Request{Host: "[2001:db8::1]:8080"}, "SERVER_NAME", "[2001:db8::1]"},
		{"no host", Request{ServerAddr: "192.0.2.1"}, "SERVER_NAME", "192.0.2.1"},
		{"no host, IPv6", Request{ServerAddr: "2001:db8::1"}, "SERVER_NAME", "[2001:db8::1]"},
		{"host is only a port", Request{Host: ":80", ServerAddr: "192.0.2.1"}, "SERVER_NAME", "192.0.2.1"},
		{"address keeps no brackets", Request{ServerAddr: "2001:db8::1"}, "SERVER_ADDR", "2001:db8::1"},

		{"host keeps its port", Request{Host: "a.example:80"}, "HTTP_HOST", "a.example:80"},
		// nginx before 1.29 passed the field (RFC 9112 §3.2.2).
		{"host wins over the field", Request{Host: "a", Header: Header{{"Host", "b"}}}, "HTTP_HOST", "a"},

		{"script name", Request{Target: "/a/b", Script: Script{Name: "/a", PathInfo: "/b"}}, "SCRIPT_NAME", "/a"},
		{"script name of an application at the root", Request{Target: "/b", Script: Script{PathInfo: "/b"}}, "SCRIPT_NAME", ""},
		{"script name when nobody has said", Request{Target: "/a/b?c"}, "SCRIPT_NAME", "/a/b"},
		{"script name is decoded", Request{Target: "/a%20b?%41"}, "SCRIPT_NAME", "/a b"},
		{"script name that cannot be decoded", Request{Target: "/a%2"}, "SCRIPT_NAME", "/a%2"},
		// An empty PATH_INFO is where CVE-2019-11043 begins.
		{"empty path info", Request{Script: Script{Name: "/a.php", Root: "/srv"}}, "PATH_INFO", "(absent)"},
		{"path translated without path info", Request{Script: Script{Name: "/a.php", Root: "/srv"}}, "PATH_TRANSLATED", "(absent)"},
		{"path translated without root", Request{Script: Script{PathInfo: "/x"}}, "PATH_TRANSLATED", "(absent)"},
		{"redirect status without a file", Request{Script: Script{Name: "/a"}}, "REDIRECT_STATUS", "(absent)"},

		{"query", Request{Target: "/a?b?c%20d"}, "QUERY_STRING", "b?c%20d"},
		{"no query", Request{Target: "/a"}, "QUERY_STRING", ""},
		{"empty query", Request{Target: "/a?"}, "QUERY_STRING", ""},
		{"target is passed as it came", Request{Target: "/a%2f..//b?"}, "REQUEST_URI", "/a%2f..//b?"},

		{"scheme", Request{}, "REQUEST_SCHEME", "http"},
		{"no https", Request{}, "HTTPS", "(absent)"},
		{"https", Request{HTTPS: true}, "HTTPS", "on"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := lookup(params(&tt.r), tt.param); got != tt.want {
				t.Errorf("%s = %q, want %q", tt.param, got, tt.want)
			}
			if value, ok := tt.r.Param(tt.param); ok != (tt.want != "(absent)") || ok && value != tt.want {
				t.Errorf("Param(%q) = %q, %t, want %q", tt.param, value, ok, tt.want)
			}
		})
	}
}

func TestParamsJoinsFields(t *testing.T) {
	tests := []struct {
		name   string
		header Header
		param  string
		want   string
	}{
		{"comma", Header{{"Accept", "a"}, {"X", ""}, {"Accept", "b"}}, "HTTP_ACCEPT", "a, b"},
		{"three, in mixed case", Header{{"Via", "a"}, {"via", "b"}, {"VIA", "c"}}, "HTTP_VIA", "a, b, c"},
		{"cookie", Header{{"Cookie", "a=1"}, {"cookie", "b=2"}}, "HTTP_COOKIE", "a=1; b=2"},
		{"empty value", Header{{"X-A", ""}, {"X-A", "b"}}, "HTTP_X_A", ", b"},
		{"empty alone", Header{{"X-A", ""}}, "HTTP_X_A", ""},
		{"underscore is another name", Header{{"X_A", "evil"}, {"X-A", "good"}}, "HTTP_X_A", "good"},
		{"underscore after", Header{{"X-A", "good"}, {"X_A", "evil"}}, "HTTP_X_A", "good"},
		{"first type counts", Header{{"Content-Type", "a"}, {"Content-Type", "b"}}, "CONTENT_TYPE", "a"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := params(&Request{Header: tt.header})
			if value := lookup(got, tt.param); value != tt.want {
				t.Errorf("%s = %q, want %q", tt.param, value, tt.want)
			}
			noDuplicates(t, got)
		})
	}
}

func TestParamsExtraWins(t *testing.T) {
	tests := []struct {
		name  string
		extra []Field
		param string
		want  string
	}{
		{"over a variable", []Field{{"SERVER_NAME", "set"}}, "SERVER_NAME", "set"},
		{"over one that is left out", []Field{{"CONTENT_LENGTH", "1"}}, "CONTENT_LENGTH", "1"},
		{"over a header field", []Field{{"HTTP_USER_AGENT", "set"}}, "HTTP_USER_AGENT", "set"},
		{"over the host", []Field{{"HTTP_HOST", "set"}}, "HTTP_HOST", "set"},
		{"with an empty value", []Field{{"HTTP_COOKIE", ""}}, "HTTP_COOKIE", ""},
		{"of a name that clients cannot set", []Field{{"HTTP_PROXY", "set"}}, "HTTP_PROXY", "set"},
		{"the later of two", []Field{{"A", "1"}, {"B", "2"}, {"A", "3"}}, "A", "3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := fullRequest()
			r.Extra = tt.extra
			got := params(r)
			if value := lookup(got, tt.param); value != tt.want {
				t.Errorf("%s = %q, want %q", tt.param, value, tt.want)
			}
			noDuplicates(t, got)
		})
	}
}

// Two variables of one name let the application choose; nginx, lighttpd, H2O
// and HAProxy send them.
func noDuplicates(t *testing.T, fields []Field) {
	t.Helper()
	seen := make(map[string]bool, len(fields))
	for _, f := range fields {
		if seen[f.Name] {
			t.Errorf("%s is there twice in\n%s", f.Name, listing(fields))
		}
		seen[f.Name] = true
	}
}

func TestParamsReceived(t *testing.T) {
	r := fullRequest()
	r.Received = []Field{{"B", "2"}, {"A", "1"}, {"A", "1"}}
	if got := params(r); !slices.Equal(got, r.Received) {
		t.Errorf("Params() = %v, want what was received, %v", got, r.Received)
	}
	r.Received = []Field{}
	if got := params(r); len(got) != 0 {
		t.Errorf("Params() = %v, want none, as received", got)
	}
}
