package cgi

import (
	"errors"
	"reflect"
	"slices"
	"testing"
)

func TestFromParams(t *testing.T) {
	received := []Field{
		{"CONTENT_LENGTH", "5"},
		{"REQUEST_METHOD", "POST"},
		{"REQUEST_URI", "/wiki/doku.php/start%20page?id=a%26b"},
		{"QUERY_STRING", "id=a%26b"},
		{"SERVER_PROTOCOL", "HTTP/1.1"},
		{"HTTPS", "on"},
		{"SERVER_NAME", "wiki.example"},
		{"SERVER_ADDR", "192.0.2.1"},
		{"SERVER_PORT", "8443"},
		{"REMOTE_ADDR", "192.0.2.7"},
		{"REMOTE_PORT", "50000"},
		{"AUTH_TYPE", "Basic"},
		{"REMOTE_USER", "ann"},
		{"DOCUMENT_ROOT", "/srv/www"},
		{"SCRIPT_FILENAME", "/srv/www/wiki/doku.php"},
		{"SCRIPT_NAME", "/wiki/doku.php"},
		{"PATH_INFO", "/start page"},
		{"CONTENT_TYPE", "text/plain"},
		{"HTTP_HOST", "wiki.example:8080"},
		{"HTTP_USER_AGENT", "test/1"},
		{"HTTP_X_CUSTOM", "one, two"},
		{"APP_ENV", "prod"},
	}
	want := &Request{
		Method: "POST",
		Target: "/wiki/doku.php/start%20page?id=a%26b",
		Proto:  "HTTP/1.1",
		Host:   "wiki.example:8080",
		HTTPS:  true,
		Header: Header{
			{"Content-Type", "text/plain"},
			{"User-Agent", "test/1"},
			{"X-Custom", "one, two"},
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
		Received:      received,
		ContentLength: 5,
	}
	got, err := FromParams(received)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("FromParams =\n%+v, want\n%+v", got, want)
	}
}

func TestFromParamsTarget(t *testing.T) {
	tests := []struct {
		name   string
		params []Field
		want   string
	}{
		{"whole", []Field{{"REQUEST_URI", "/a%20b?c=d"}, {"QUERY_STRING", "c=d"}, {"SCRIPT_NAME", "/x"}}, "/a%20b?c=d"},
		// https://go.dev/issue/54961
		{"without its query", []Field{{"REQUEST_URI", "/a"}, {"QUERY_STRING", "c=d"}}, "/a?c=d"},
		{"with an empty query", []Field{{"REQUEST_URI", "/a?"}, {"QUERY_STRING", ""}}, "/a?"},
		{"rewritten: the client's words count", []Field{{"REQUEST_URI", "/a?b"}, {"QUERY_STRING", "id=b"}}, "/a?b"},
		{"missing", []Field{{"SCRIPT_NAME", "/a b"}, {"PATH_INFO", "/c?d"}, {"QUERY_STRING", "e=f"}}, "/a%20b/c%3Fd?e=f"},
		{"missing, application at the root", []Field{{"SCRIPT_NAME", ""}, {"PATH_INFO", "/c"}}, "/c"},
		{"missing, nothing else", nil, "/"},
		{"missing, query alone", []Field{{"QUERY_STRING", "a"}}, "/?a"},
		// Apache and H2O pass the absolute form on.
		{"absolute", []Field{{"REQUEST_URI", "http://h.example:80/a/b?c"}}, "/a/b?c"},
		{"absolute, without its query", []Field{{"REQUEST_URI", "http://h.example/a"}, {"QUERY_STRING", "c"}}, "/a?c"},
		{"absolute, without path", []Field{{"REQUEST_URI", "http://h.example"}}, "/"},
		{"absolute, query without path", []Field{{"REQUEST_URI", "http://h.example?to=/a"}}, "/?to=/a"},
		{"URL in the query", []Field{{"REQUEST_URI", "/go?to=http://h.example/x"}}, "/go?to=http://h.example/x"},
		{"asterisk", []Field{{"REQUEST_URI", "*"}}, "*"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := FromParams(append([]Field{{"REQUEST_METHOD", "GET"}}, tt.params...))
			if err != nil {
				t.Fatal(err)
			}
			if r.Target != tt.want {
				t.Errorf("Target = %q, want %q", r.Target, tt.want)
			}
		})
	}
}

func TestFromParamsContentLength(t *testing.T) {
	tests := []struct {
		name   string
		params []Field
		want   int64
		bad    bool
	}{
		{"missing", nil, -1, false},
		{"empty, as nginx sends it", []Field{{"CONTENT_LENGTH", ""}}, -1, false},
		{"zero", []Field{{"CONTENT_LENGTH", "0"}}, 0, false},
		{"number", []Field{{"CONTENT_LENGTH", "1048576"}}, 1048576, false},
		{"largest", []Field{{"CONTENT_LENGTH", "9223372036854775807"}}, 9223372036854775807, false},
		{"too large", []Field{{"CONTENT_LENGTH", "9223372036854775808"}}, 0, true},
		{"negative", []Field{{"CONTENT_LENGTH", "-1"}}, 0, true},
		{"plus", []Field{{"CONTENT_LENGTH", "+5"}}, 0, true},
		{"space", []Field{{"CONTENT_LENGTH", " 5"}}, 0, true},
		{"trailing letter", []Field{{"CONTENT_LENGTH", "5x"}}, 0, true},
		{"underscore", []Field{{"CONTENT_LENGTH", "1_000"}}, 0, true},
		{"hexadecimal", []Field{{"CONTENT_LENGTH", "0x10"}}, 0, true},
		{"list", []Field{{"CONTENT_LENGTH", "5, 5"}}, 0, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := FromParams(append([]Field{{"REQUEST_METHOD", "POST"}}, tt.params...))
			if tt.bad {
				if !errors.Is(err, ErrMalformed) {
					t.Fatalf("FromParams = %v, want an error that wraps ErrMalformed", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.ContentLength != tt.want {
				t.Errorf("ContentLength = %d, want %d", r.ContentLength, tt.want)
			}
		})
	}
}

func TestFromParamsWithoutMethod(t *testing.T) {
	for _, params := range [][]Field{nil, {{"REQUEST_URI", "/"}}, {{"REQUEST_METHOD", ""}}} {
		if _, err := FromParams(params); !errors.Is(err, ErrMalformed) {
			t.Errorf("FromParams(%v) = %v, want an error that wraps ErrMalformed", params, err)
		}
	}
}

func TestFromParamsHTTPS(t *testing.T) {
	tests := []struct {
		name, value string
		want        bool
	}{
		{"HTTPS", "on", true}, {"HTTPS", "ON", true}, {"HTTPS", "1", true},
		{"HTTPS", "off", false}, {"HTTPS", "", false},
		{"REQUEST_SCHEME", "https", true}, {"REQUEST_SCHEME", "http", false},
	}
	for _, tt := range tests {
		r, err := FromParams([]Field{{"REQUEST_METHOD", "GET"}, {tt.name, tt.value}})
		if err != nil {
			t.Fatal(err)
		}
		if r.HTTPS != tt.want {
			t.Errorf("%s=%q: HTTPS = %t, want %t", tt.name, tt.value, r.HTTPS, tt.want)
		}
	}
}

func TestFromParamsHeader(t *testing.T) {
	tests := []struct {
		name  string
		param string
		want  string // the field it becomes; empty: none
	}{
		{"common", "HTTP_USER_AGENT", "User-Agent"},
		{"rare", "HTTP_X_REQUEST_START", "X-Request-Start"},
		{"two underscores", "HTTP_A__B", "A--B"},
		{"type", "CONTENT_TYPE", "Content-Type"},
		// nginx and Caddy send these next to the variables of CGI, which
		// then need not say the same.
		{"type as a field", "HTTP_CONTENT_TYPE", ""},
		{"length as a field", "HTTP_CONTENT_LENGTH", ""},
		{"framing", "HTTP_TRANSFER_ENCODING", ""},
		{"httpoxy", "HTTP_PROXY", ""},
		{"not a field name", "HTTP_X USER", ""},
		{"not one that could be made", "HTTP_X!USER", ""},
		{"prefix alone", "HTTP_", ""},
		{"other variable", "APP_ENV", ""},
		{"other case", "http_accept", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := FromParams([]Field{{"REQUEST_METHOD", "GET"}, {tt.param, "v"}})
			if err != nil {
				t.Fatal(err)
			}
			var want Header
			if tt.want != "" {
				want = Header{{tt.want, "v"}}
			}
			if !slices.Equal(r.Header, want) {
				t.Errorf("%s became %v, want %v", tt.param, r.Header, want)
			}
			if value, ok := r.Param(tt.param); value != "v" || !ok {
				t.Errorf("Param(%q) = %q, %t, want what was received", tt.param, value, ok)
			}
		})
	}
}

// What was computed from a request is the same when it is computed from the
// request that the application makes of it.
func TestRoundTrip(t *testing.T) {
	full := fullRequest()
	full.Extra = nil // of these only the params tell
	noBody := fullRequest()
	noBody.Extra, noBody.Body = nil, nil
	tests := []struct {
		name string
		r    *Request
	}{
		{"everything", full},
		{"no body", noBody},
		{"nothing", &Request{Method: "GET", Target: "/", Proto: "HTTP/1.0"}},
		{"no host, IPv6", &Request{Method: "GET", Target: "/a%20b?", ServerAddr: "2001:db8::1", ServerPort: "80"}},
		{"application at the root", &Request{Method: "GET", Target: "/x", Script: Script{PathInfo: "/x"}}},
		{"empty body", &Request{Method: "POST", Target: "/x", Body: BytesBody(nil)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := params(tt.r)
			got, err := FromParams(want)
			if err != nil {
				t.Fatal(err)
			}
			if received := params(got); !slices.Equal(received, want) {
				t.Errorf("Params() on the application's side =\n%swant what was sent:\n%s", listing(received), listing(want))
			}
			if again := params(asFrontEnd(got)); !slices.Equal(again, want) {
				t.Errorf("Params() computed again =\n%swant\n%s", listing(again), listing(want))
			}
		})
	}
}

// asFrontEnd returns the request as if a front end had filled it.
func asFrontEnd(r *Request) *Request {
	r2 := *r
	r2.Received = nil
	if r2.ContentLength >= 0 {
		r2.Body = BytesBody(nil)
	}
	return &r2
}

func TestEscapePath(t *testing.T) {
	tests := []struct {
		name, path, want string
	}{
		{"empty", "", ""},
		{"nothing to do", "/a/b.c-d_e~f", "/a/b.c-d_e~f"},
		{"allowed in a segment", "/!$&'()*+,;=:@", "/!$&'()*+,;=:@"},
		{"space", "/a b", "/a%20b"},
		{"percent", "/100%", "/100%25"},
		{"would end the path", "/a?b#c", "/a%3Fb%23c"},
		{"not allowed anywhere", "/\"<>\\^`{|}[]", "/%22%3C%3E%5C%5E%60%7B%7C%7D%5B%5D"},
		{"controls", "/\x00\n\x7f", "/%00%0A%7F"},
		{"UTF-8", "/ä", "/%C3%A4"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := escapePath(tt.path); got != tt.want {
				t.Errorf("escapePath(%q) = %q, want %q", tt.path, got, tt.want)
			}
		})
	}
}
