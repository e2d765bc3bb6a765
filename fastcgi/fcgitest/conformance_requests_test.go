package fcgitest_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/cgi"
)

// says is a whole answer with status 200.
func says(body string) reply { return reply{status: 200, body: body} }

// fields makes fields of names and values.
func fields(namesAndValues ...string) (h cgi.Header) {
	for i := 0; i < len(namesAndValues); i += 2 {
		h = append(h, cgi.Field{Name: namesAndValues[i], Value: namesAndValues[i+1]})
	}
	return h
}

// tell answers with what stands at the start of a request.
func tell(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	fmt.Fprintf(w, "%v %s %s %s %s", r.Role, r.Method, r.Target, r.Proto, r.Host)
}

// tellWeb is tell for an http.Handler, which knows one role.
func tellWeb(w http.ResponseWriter, r *http.Request) {
	fmt.Fprintf(w, "responder %s %s %s %s", r.Method, r.URL.RequestURI(), r.Proto, r.Host)
}

// tellParams answers with some of the params.
func tellParams(names ...string) cgi.HandlerFunc {
	return func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		for _, name := range names {
			if value, ok := r.Param(name); ok {
				fmt.Fprintf(w, "%s=%q\n", name, value)
			} else {
				fmt.Fprintf(w, "no %s\n", name)
			}
		}
	}
}

// tellFields answers with header fields, as cgi.Request has them, and
// tellFieldsWeb as http.Request has them.
func tellFields(names ...string) cgi.HandlerFunc {
	return func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		for _, name := range names {
			fmt.Fprintf(w, "%s: %q\n", name, values(r.Header, name))
		}
	}
}

func tellFieldsWeb(names ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, name := range names {
			fmt.Fprintf(w, "%s: %q\n", name, r.Header.Values(name))
		}
	}
}

// What of the head of a request arrives.
func requestCases() []conformCase {
	return append(paramCases(), []conformCase{
		{name: "GET", app: tell, web: tellWeb, want: says("responder GET / HTTP/1.1 example.org")},
		{name: "HEAD", needs: canStatus, app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			w.WriteHeader(200, fields("Content-Length", "5", "X-Method", r.Method))
			if n, err := w.Write([]byte("hello")); n != 5 || err != nil {
				w.Abort()
			}
		}, web: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "5")
			w.Header().Set("X-Method", r.Method)
			fmt.Fprint(w, "hello")
		}, ask: &cgi.Request{Method: "HEAD", Target: "/", Proto: "HTTP/1.1"},
			want: reply{status: 200, fields: fields("Content-Length", "5", "X-Method", "HEAD")}},
		{name: "method of its own", app: tell, web: tellWeb,
			ask:  &cgi.Request{Method: "Frobnicate", Target: "/", Proto: "HTTP/1.0", Host: "example.org:8080"},
			want: says("responder Frobnicate / HTTP/1.0 example.org:8080")},
		{name: "query", app: tell, web: tellWeb,
			ask:  &cgi.Request{Method: "GET", Target: "/a?x=1&y=%26%3d&z=a+b&x=2?", Proto: "HTTP/1.1", Host: "h"},
			want: says("responder GET /a?x=1&y=%26%3d&z=a+b&x=2? HTTP/1.1 h")},
		{name: "encoded path", app: tell, web: tellWeb,
			ask:  &cgi.Request{Method: "GET", Target: "/a%20b/%2F/..;p/%e4?", Proto: "HTTP/1.1", Host: "h"},
			want: says("responder GET /a%20b/%2F/..;p/%e4? HTTP/1.1 h")},
		{name: "fields of one name are joined", app: tellFields("X-Twice", "X-Once"), web: tellFieldsWeb("X-Twice", "X-Once"),
			ask:  &cgi.Request{Method: "GET", Target: "/", Proto: "HTTP/1.1", Header: fields("X-Twice", "a", "X-Once", "b", "x-twice", "c")},
			want: says("X-Twice: [\"a, c\"]\nX-Once: [\"b\"]\n")},
		{name: "cookies are joined", app: tellFields("Cookie"), web: tellFieldsWeb("Cookie"),
			ask:  &cgi.Request{Method: "GET", Target: "/", Proto: "HTTP/1.1", Header: fields("Cookie", "a=1", "Cookie", "b=2; c=3")},
			want: says("Cookie: [\"a=1; b=2; c=3\"]\n")},
		{name: "fields that do not pass", app: tellFields("Proxy", "Connection", "Keep-Alive", "X-Under"), web: tellFieldsWeb("Proxy", "Connection", "Keep-Alive", "X-Under"),
			ask:  &cgi.Request{Method: "GET", Target: "/", Proto: "HTTP/1.1", Header: fields("Proxy", "a", "Connection", "close", "Keep-Alive", "1", "X_Under", "b")},
			want: says("Proxy: []\nConnection: []\nKeep-Alive: []\nX-Under: []\n")},
		{name: "fields in UTF-8 and Latin-1", app: tellFields("X-Name"), web: tellFieldsWeb("X-Name"),
			ask:  &cgi.Request{Method: "GET", Target: "/", Proto: "HTTP/1.1", Header: fields("X-Name", "grüße, \xe9\xff, 水")},
			want: says("X-Name: [\"grüße, \\xe9\\xff, 水\"]\n")},
		manyFields(),
	}...)
}

// manyFields is 200 header fields to the application, and back again.
func manyFields() conformCase {
	var h cgi.Header
	for i := range 200 {
		h = append(h, cgi.Field{Name: "X-N" + strconv.Itoa(i), Value: strings.Repeat("v", i)})
	}
	return conformCase{name: "200 fields", app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		var back cgi.Header
		for _, f := range r.Header {
			if strings.HasPrefix(f.Name, "X-N") {
				back = append(back, f)
			}
		}
		w.WriteHeader(200, back)
	}, web: func(w http.ResponseWriter, r *http.Request) {
		for name, v := range r.Header {
			if strings.HasPrefix(name, "X-N") {
				w.Header()[name] = v
			}
		}
	}, ask: &cgi.Request{Method: "GET", Target: "/", Proto: "HTTP/1.1", Header: h}, want: reply{status: 200, fields: h}}
}

// What of the params arrives.
func paramCases() []conformCase {
	const odd = "a\nb\r\tc=\"d\"\\'$\x01\x1b\x7f\x80\xff\xfe="
	return []conformCase{
		{name: "meta-variables", app: tellParams(
			"GATEWAY_INTERFACE", "SERVER_PROTOCOL", "SERVER_SOFTWARE", "REQUEST_METHOD", "REQUEST_URI", "QUERY_STRING", "SCRIPT_NAME", "PATH_INFO",
			"SCRIPT_FILENAME", "DOCUMENT_ROOT", "PATH_TRANSLATED", "SERVER_NAME", "SERVER_ADDR", "SERVER_PORT", "REMOTE_ADDR", "REMOTE_PORT",
			"REMOTE_USER", "AUTH_TYPE", "HTTPS", "REQUEST_SCHEME", "CONTENT_TYPE", "HTTP_HOST", "HTTP_ACCEPT", "HTTP_CONTENT_TYPE"),
			ask: &cgi.Request{
				Method: "PUT", Target: "/app/a%20b?q=%3d", Proto: "HTTP/2.0", Host: "[::1]:8443", HTTPS: true,
				Header: fields("Content-Type", "text/x; a=b", "Accept", "*/*"), RemoteAddr: "2001:db8::1", RemotePort: "4711",
				ServerAddr: "::1", ServerPort: "8443", AuthType: "Basic", RemoteUser: "joe",
				Script: cgi.Script{Root: "/srv", Filename: "/srv/app", Name: "/app", PathInfo: "/a b"},
			},
			want: says(`GATEWAY_INTERFACE="CGI/1.1"
SERVER_PROTOCOL="HTTP/2.0"
SERVER_SOFTWARE="sluice"
REQUEST_METHOD="PUT"
REQUEST_URI="/app/a%20b?q=%3d"
QUERY_STRING="q=%3d"
SCRIPT_NAME="/app"
PATH_INFO="/a b"
SCRIPT_FILENAME="/srv/app"
DOCUMENT_ROOT="/srv"
PATH_TRANSLATED="/srv/a b"
SERVER_NAME="[::1]"
SERVER_ADDR="::1"
SERVER_PORT="8443"
REMOTE_ADDR="2001:db8::1"
REMOTE_PORT="4711"
REMOTE_USER="joe"
AUTH_TYPE="Basic"
HTTPS="on"
REQUEST_SCHEME="https"
CONTENT_TYPE="text/x; a=b"
HTTP_HOST="[::1]:8443"
HTTP_ACCEPT="*/*"
no HTTP_CONTENT_TYPE
`)},
		{name: "odd bytes in a param", app: tellParams("ODD", "odd name.(é)"),
			ask:  &cgi.Request{Method: "GET", Target: "/", Extra: fields("ODD", odd, "odd name.(é)", "x")},
			want: says("ODD=" + strconv.Quote(odd) + "\nodd name.(é)=\"x\"\n")},
		{name: "NUL in a param", needs: canNUL, app: tellParams("NUL"),
			ask: &cgi.Request{Method: "GET", Target: "/", Extra: fields("NUL", "a\x00b")}, want: says("NUL=\"a\\x00b\"\n")},
		{name: "empty params", app: tellParams("EMPTY", "HTTP_X_EMPTY", "QUERY_STRING", "PATH_INFO", "REMOTE_USER"),
			ask:  &cgi.Request{Method: "GET", Target: "/", Header: fields("X-Empty", ""), Extra: fields("EMPTY", "")},
			want: says("EMPTY=\"\"\nHTTP_X_EMPTY=\"\"\nQUERY_STRING=\"\"\nno PATH_INFO\nno REMOTE_USER\n")},
		{name: "UTF-8 in params", app: tellParams("SCRIPT_NAME", "NAME"),
			ask:  &cgi.Request{Method: "GET", Target: "/gr%C3%BC%C3%9Fe", Extra: fields("NAME", "水\u00a0é")},
			want: says("SCRIPT_NAME=\"/grüße\"\nNAME=" + strconv.Quote("水\u00a0é") + "\n")},
		{name: "Extra wins", app: tellParams("REQUEST_METHOD", "HTTP_ACCEPT", "REMOTE_USER"),
			ask: &cgi.Request{Method: "GET", Target: "/", Header: fields("Accept", "a"), RemoteUser: "joe",
				Extra: fields("HTTP_ACCEPT", "b", "REMOTE_USER", "jim", "REMOTE_USER", "ann")},
			want: says("REQUEST_METHOD=\"GET\"\nHTTP_ACCEPT=\"b\"\nREMOTE_USER=\"ann\"\n")},
		paramsOfAMegabyte(),
	}
}

// paramsOfAMegabyte is in 16 pieces, because Linux bounds a string of the
// environment of a CGI program at 128 KiB.
func paramsOfAMegabyte() conformCase {
	var extra []cgi.Field
	sum, whole := sha256.New(), hex.EncodeToString([]byte(pattern(1<<19)))
	for i := range 16 {
		f := cgi.Field{Name: fmt.Sprintf("BIG_%02d", i), Value: whole[i<<16 : (i+1)<<16]}
		extra = append(extra, f)
		sum.Write([]byte(f.Value))
	}
	return conformCase{name: "params of 1 MiB", app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		sum, n := sha256.New(), 0
		for i := range 16 {
			v, _ := r.Param(fmt.Sprintf("BIG_%02d", i))
			sum.Write([]byte(v))
			n += len(v)
		}
		fmt.Fprintf(w, "%d %x", n, sum.Sum(nil))
	}, ask: &cgi.Request{Method: "GET", Target: "/", Extra: extra}, want: says(fmt.Sprintf("1048576 %x", sum.Sum(nil)))}
}
