package fcgitest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/sluice-gateway/sluice/cgi"
)

// Answers that are complete.
func answerCases() []conformCase {
	large := pattern(8 << 20)
	many := strings.Repeat("0123456", 20000)
	return append(statusCases(), []conformCase{
		{name: "nothing written", app: func(context.Context, cgi.ResponseWriter, *cgi.Request) {}, web: func(http.ResponseWriter, *http.Request) {}, want: says("")},
		{name: "answer of 8 MiB", app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			io.Copy(w, strings.NewReader(large))
		}, web: func(w http.ResponseWriter, r *http.Request) { io.Copy(w, strings.NewReader(large)) }, want: says(large)},
		{name: "answer of 8 MiB in one write", app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			w.WriteHeader(200, fields("Content-Length", strconv.Itoa(len(large))))
			w.Write([]byte(large))
		}, want: reply{status: 200, fields: fields("Content-Length", "8388608"), body: large}},
		{name: "many small writes", app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			for range 20000 {
				io.WriteString(w, "0123456")
			}
		}, web: func(w http.ResponseWriter, r *http.Request) {
			for range 20000 {
				io.WriteString(w, "0123456")
			}
		}, want: says(many)},
		{name: "many flushes", app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			for range 1000 {
				io.WriteString(w, "0123456")
				w.Flush()
			}
		}, web: func(w http.ResponseWriter, r *http.Request) {
			for range 1000 {
				io.WriteString(w, "0123456")
				http.NewResponseController(w).Flush()
			}
		}, want: says(many[:7000])},
		{name: "head before the body", needs: canEarly, app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			w.WriteHeader(202, nil)
			w.Flush()
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, "the body")
		}, web: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(202)
			http.NewResponseController(w).Flush()
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, "the body")
		}, ask: post, test: func(p *play) { testFlush(p, "") }},
		{name: "Flush, and more", needs: canEarly, app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			w.WriteHeader(202, nil)
			io.WriteString(w, "first")
			w.Flush()
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, "the body")
		}, web: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(202)
			io.WriteString(w, "first")
			http.NewResponseController(w).Flush()
			io.Copy(io.Discard, r.Body)
			io.WriteString(w, "the body")
		}, ask: post, test: func(p *play) { testFlush(p, "first") }},
		{name: "redirect", app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			w.WriteHeader(302, fields("Location", "/elsewhere"))
		}, web: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(302)
		}, want: reply{status: 302, fields: fields("Location", "/elsewhere")}},
		{name: "fields that stand twice", app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			w.WriteHeader(200, fields("Set-Cookie", "a=1", "X-A", "grüße", "set-cookie", "b=2", "X-Empty", ""))
		}, web: func(w http.ResponseWriter, r *http.Request) {
			w.Header()["Set-Cookie"] = []string{"a=1", "b=2"}
			w.Header()["X-A"] = []string{"grüße"}
			w.Header()["X-Empty"] = []string{""}
		}, want: reply{status: 200, fields: fields("Set-Cookie", "a=1", "X-A", "grüße", "Set-Cookie", "b=2", "X-Empty", "")}},
		{name: "fields that do not pass back", needs: canStatus, app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			w.WriteHeader(200, fields("Connection", "close", "Keep-Alive", "1", "Status", "500", "X-A", "a"))
		}, web: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Connection", "close")
			w.Header().Set("Keep-Alive", "1")
			w.Header().Set("X-A", "a")
		}, test: func(p *play) {
			got := p.fetch(p.request())
			p.check(got, reply{status: 200, fields: fields("X-A", "a")})
			if h := got.head.Header; h.Has("Connection") || h.Has("Keep-Alive") || h.Has("Status") {
				p.Errorf("fields = %q", h)
			}
		}},
		{name: "field that cannot stand", app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			err := w.WriteHeader(200, fields("X-A", "b\r\nX-Forged: c"))
			if _, werr := io.WriteString(w, "x"); !errors.Is(err, cgi.ErrMalformed) || werr == nil {
				w.WriteHeader(200, nil) // or the 500 comes of itself
			}
		}, want: reply{status: 500, body: "Internal Server Error\n"}},
		{name: "field that cannot stand, then better", app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			err := w.WriteHeader(200, fields("X A", "b"))
			w.WriteHeader(201, nil)
			fmt.Fprint(w, errors.Is(err, cgi.ErrMalformed))
		}, want: reply{status: 201, body: "true"}},
		{name: "WriteHeader twice", needs: canStatus, app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			first := w.WriteHeader(201, fields("X-A", "a"))
			again := w.WriteHeader(404, fields("X-A", "b"))
			fmt.Fprint(w, first == nil, again != nil)
		}, web: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("X-A", "a")
			w.WriteHeader(201)
			w.Header().Set("X-A", "b")
			w.WriteHeader(404)
			fmt.Fprint(w, "true true")
		}, want: reply{status: 201, fields: fields("X-A", "a"), body: "true true"}},
		{name: "STDERR", app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			fmt.Fprintln(cgi.Stderr(w), "needle one")
			io.WriteString(w, "hello")
			fmt.Fprint(cgi.Stderr(w), "needle two")
		}, test: testStderr},
	}...)
}

// testFlush sees the first part of an answer before it sends what the handler
// waits for.
func testFlush(p *play, first string) {
	r, body := p.request(), newSentBody()
	r.Body, r.ContentLength = body, 2
	resp, err := p.do(p.Context(), r)
	if err != nil {
		p.Fatal(err)
	}
	b := make([]byte, len(first))
	if _, err := io.ReadFull(resp.Body, b); err != nil || string(b) != first {
		p.Errorf("first part = %q, %v, want %q", b, err, first)
	}
	body.finish("go")
	p.check(readSeen(resp), reply{status: 202, body: "the body"})
}

func testStderr(p *play) {
	p.check(p.fetch(p.request()), says("hello"))
	p.close()
	for _, want := range []string{"needle one", "needle two"} {
		if !strings.Contains(p.log.String(), want) {
			p.Errorf("log lacks %q: %.1000s", want, p.log.String())
		}
	}
}

// Status codes.
func statusCases() []conformCase {
	return []conformCase{
		{name: "status", needs: canStatus, app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			status, _ := strconv.Atoi(r.Query())
			w.WriteHeader(status, fields("X-A", "a"))
			if n, err := io.WriteString(w, "hello"); n != 5 || err != nil {
				w.Abort()
			}
		}, web: func(w http.ResponseWriter, r *http.Request) {
			status, _ := strconv.Atoi(r.URL.RawQuery)
			w.Header().Set("X-A", "a")
			w.WriteHeader(status)
			io.WriteString(w, "hello")
		}, test: func(p *play) {
			for _, status := range []int{200, 204, 206, 299, 304, 404, 503, 600, 999} {
				r := p.request()
				r.Target = "/?" + strconv.Itoa(status)
				want := reply{status: status, fields: fields("X-A", "a"), body: "hello"}
				if status == 204 || status == 304 {
					want.body = ""
				}
				p.check(p.fetch(r), want)
			}
		}},
		{name: "status that is none", app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			for _, status := range []int{-1, 0, 99, 101, 1000} {
				if err := w.WriteHeader(status, nil); !errors.Is(err, cgi.ErrMalformed) {
					fmt.Fprintf(w, "WriteHeader(%d) = %v\n", status, err)
					return
				}
			}
			io.WriteString(w, "none")
		}, want: says("none")},
		{name: "interim responses", needs: canStatus, app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			w.WriteHeader(100, nil)
			w.WriteHeader(103, fields("Link", "</a>"))
			w.WriteHeader(199, fields("X-A", "b"))
			w.WriteHeader(201, nil)
			io.WriteString(w, "hello")
		}, web: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(100)
			w.Header().Set("Link", "</a>")
			w.WriteHeader(103)
			w.Header().Del("Link")
			w.Header().Set("X-A", "b")
			w.WriteHeader(199)
			w.Header().Del("X-A")
			w.WriteHeader(201)
			io.WriteString(w, "hello")
		}, test: testInterim},
	}
}

func testInterim(p *play) {
	var got []string
	r := p.request()
	r.Informational = func(status int, h cgi.Header) { got = append(got, fmt.Sprint(status, h)) }
	s := p.fetch(r)
	p.check(s, reply{status: 201, body: "hello"})
	if want := []string{"100 []", "103 [{Link </a>}]", "199 [{X-A b}]"}; !slices.Equal(got, want) {
		p.Errorf("interim responses = %q, want %q", got, want)
	}
	if s.head.Header.Has("Link") || s.head.Header.Has("X-A") {
		p.Errorf("fields of the response = %q, with those of interim ones", s.head.Header)
	}
}
