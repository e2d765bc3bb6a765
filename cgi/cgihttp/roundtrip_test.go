package cgihttp

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
	"time"
)

// A handler behind FrontEnd and Handler must look to a client as it looks
// behind net/http.
func TestRoundTrip(t *testing.T) {
	for _, tt := range roundTrips {
		for _, proto := range []string{"h1", "h2c"} {
			t.Run(tt.name+"/"+proto, func(t *testing.T) {
				want := ask(t, proto, tt.handler, &tt.request)
				got := ask(t, proto, &FrontEnd{Handler: Handler(tt.handler)}, &tt.request)
				if got != want {
					t.Errorf("through cgi.Request:\n%s\nthrough net/http alone:\n%s", got, want)
				}
			})
		}
	}
}

// ask describes what a client of h sees.
func ask(t *testing.T, proto string, h http.Handler, q *request) string {
	t.Helper()
	s := startServer(t, h)
	var body io.Reader
	if q.body != "" {
		body = strings.NewReader(q.body)
	}
	if q.unknown {
		body = struct{ io.Reader }{body}
	}
	r, err := http.NewRequest(q.method, s.URL+q.target, body)
	if err != nil {
		t.Fatal(err)
	}
	if q.fields != nil {
		r.Header = q.fields.Clone()
	}
	r.Host = "example.org:8080"
	var b strings.Builder
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
			fmt.Fprintln(&b, code, h)
			return nil
		},
	}))
	res, err := newClient(t, proto).Do(r)
	if err != nil {
		return b.String() + "error before the head"
	}
	defer res.Body.Close()
	content, err := io.ReadAll(res.Body)
	fmt.Fprintln(&b, res.StatusCode, res.ContentLength)
	for _, name := range sortedNames(res.Header) {
		fmt.Fprintf(&b, "%s: %q\n", name, res.Header[name])
	}
	text := string(content)
	if len(text) > 1000 {
		text = fmt.Sprintf("%d bytes, the first of them %q", len(text), text[:20])
	}
	fmt.Fprintf(&b, "%q, broken: %v\n", text, err != nil)
	return strings.ReplaceAll(b.String(), s.Listener.Addr().String(), "SERVER")
}

func sortedNames(h http.Header) []string {
	var names []string
	for name := range h {
		if name != "Date" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

type request struct {
	method, target string // "" is GET and the root
	fields         http.Header
	body           string
	unknown        bool // the client does not know its length
}

var roundTrips = []struct {
	name    string
	request request
	handler http.HandlerFunc
}{
	{name: "nothing written", handler: func(w http.ResponseWriter, r *http.Request) {}},
	{name: "hello", handler: func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }},
	{name: "type is guessed", handler: func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "<!doctype html><p>") }},
	{name: "type is not guessed when encoded", handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		io.WriteString(w, "\x1f\x8b")
	}},
	{name: "type is not wanted", handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header()["Content-Type"] = nil
		io.WriteString(w, "<html>")
	}},
	{name: "fields", handler: func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Add("Set-Cookie", "a=1")
		h.Add("Set-Cookie", "b=2")
		h["x-lower"] = []string{"v"}
		h.Set("Content-Type", "text/x-mine")
		h.Set("Server", "me")
		http.Error(w, "no", 404)
		h.Set("X-Late", "not sent")
	}},
	{name: "status twice", handler: func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(201)
		w.WriteHeader(500)
	}},
	{name: "no content", handler: func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(204)
		_, err := io.WriteString(w, "body")
		if err != http.ErrBodyNotAllowed {
			panic(http.ErrAbortHandler)
		}
	}},
	{name: "not modified", handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"1"`)
		w.WriteHeader(304)
	}},
	{name: "redirect", request: request{target: "/a/b?c=d"}, handler: func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "../x", http.StatusSeeOther)
	}},
	{name: "created with location", handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "/new")
		w.WriteHeader(201)
	}},
	{name: "head of a small body", request: request{method: "HEAD"}, handler: func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }},
	{name: "head of a large body", request: request{method: "HEAD"}, handler: func(w http.ResponseWriter, r *http.Request) {
		for range 100 {
			io.WriteString(w, strings.Repeat("x", 1000))
		}
	}},
	{name: "head with length", request: request{method: "HEAD"}, handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "123456")
		w.WriteHeader(200)
	}},
	{name: "head with nothing", request: request{method: "HEAD"}, handler: func(w http.ResponseWriter, r *http.Request) {}},
	{name: "early hints", handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.Header().Set("Content-Length", "2")
		w.WriteHeader(103)
		w.Header().Del("Link")
		w.WriteHeader(102)
		w.Header().Set("X-Final", "1")
		io.WriteString(w, "ok")
	}},
	{name: "large body", handler: func(w http.ResponseWriter, r *http.Request) {
		w.Write(bytes.Repeat([]byte("0123456789"), 100_000))
	}},
	{name: "large body in small parts", handler: func(w http.ResponseWriter, r *http.Request) {
		for range 20_000 {
			io.WriteString(w, "0123456789")
		}
	}},
	{name: "large body with length", handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "1000000")
		io.Copy(w, bytes.NewReader(bytes.Repeat([]byte("0123456789"), 100_000)))
	}},
	{name: "fewer bytes than said", handler: func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", "100000")
		w.Write(make([]byte, 50_000))
	}},
	{name: "flushed", handler: func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "a")
		w.(http.Flusher).Flush()
		io.WriteString(w, "b")
		if err := http.NewResponseController(w).Flush(); err != nil {
			panic(err)
		}
		io.WriteString(w, "c")
	}},
	{name: "aborted before anything", handler: func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) }},
	{name: "aborted after a part", handler: func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}},
	{name: "panic after a part", handler: func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "part")
		w.(http.Flusher).Flush()
		panic("oops")
	}},
	{name: "the request", request: request{target: "/a%2Fb/c%20d/@x;y=z?q=%41&r=a+b&q=2", fields: http.Header{
		"Accept": {"text/html", "*/*"}, "Cookie": {"a=1; b=2"}, "X-Under_score": {"v"}, "User-Agent": {"t"},
		"If-None-Match": {`"x"`}, "Via": {"1.1 a", "1.1 b"}, "Te": {"trailers"},
	}}, handler: describe},
	{name: "a form", request: request{method: "POST", target: "/?a=1", body: "b=2&b=3",
		fields: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}}, handler: func(w http.ResponseWriter, r *http.Request) {
		describe(w, r)
		fmt.Fprintln(w, r.FormValue("a"), r.PostForm)
	}},
	{name: "echo", request: request{method: "PUT", body: "body"}, handler: echo},
	{name: "echo of a large body", request: request{method: "POST", body: strings.Repeat("0123456789", 100_000)}, handler: echo},
	{name: "echo of unknown length", request: request{method: "POST", body: strings.Repeat("x", 300_000), unknown: true}, handler: echo},
	{name: "large body left unread", request: request{method: "POST", body: strings.Repeat("x", 4<<20)}, handler: func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
	}},
	{name: "small body left unread", request: request{method: "POST", body: "unread"}, handler: func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "thanks")
	}},
	{name: "body closed unread", request: request{method: "POST", body: "unread"}, handler: func(w http.ResponseWriter, r *http.Request) {
		r.Body.Close()
		_, err := r.Body.Read(make([]byte, 1))
		fmt.Fprintln(w, err != nil)
	}},
	{name: "expects 100", request: request{method: "POST", body: "body", fields: http.Header{"Expect": {"100-continue"}}}, handler: echo},
	{name: "ranges", request: request{fields: http.Header{"Range": {"bytes=2-5"}}}, handler: func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "x.txt", time.Unix(1e9, 0), strings.NewReader("0123456789"))
	}},
	{name: "mux", request: request{target: "/items/42"}, handler: func(w http.ResponseWriter, r *http.Request) {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /items/{id}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.PathValue("id")) })
		mux.ServeHTTP(w, r)
	}},
}

// describe writes what a handler sees of its request.
func describe(w http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	fmt.Fprintln(w, r.Method, r.RequestURI, r.Proto, r.ProtoMajor, r.ProtoMinor, r.Host, host, err, r.ContentLength, r.TLS != nil)
	fmt.Fprintf(w, "%#v\n", *r.URL)
	fmt.Fprintln(w, r.Context().Err())
	for _, name := range sortedNames(r.Header) {
		fmt.Fprintf(w, "%s: %q\n", name, r.Header[name])
	}
}

func echo(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err)
	}
	fmt.Fprint(w, r.ContentLength, " ")
	w.Write(b)
}
