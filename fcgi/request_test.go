package fcgi

import (
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/sluice-gateway/sluice/cgi/cgihttp"
	"github.com/sluice-gateway/sluice/fastcgi"
)

// What handlers are given, by both packages, for the same bytes.
func TestSameRequest(t *testing.T) {
	for _, tt := range requestTests {
		t.Run(tt.name, func(t *testing.T) {
			std, our := received(t, theirs, tt), received(t, ours, tt)
			if uri := our["RequestURI"]; std["RequestURI"] != "" || uri != tt.uri {
				t.Errorf("RequestURI = %q, want %q; the standard's is %q, want none", uri, tt.uri, std["RequestURI"])
			}
			if got := differences(std, our); !slices.Equal(got, tt.differ) {
				t.Errorf("differences:\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(tt.differ, "\n\t"))
			}
		})
	}
}

// received asks one of the packages and returns all that its handler was
// given, or nothing but the answer if it was not called.
func received(t *testing.T, lib library, tt requestTest) (seen map[string]string) {
	inBubble(t, lib, func(w http.ResponseWriter, r *http.Request) { seen = fieldsOf(lib, r) }, func(t *testing.T, l *pipeListener) {
		w := newWeb(l.dial())
		defer w.close()
		in := beginN1 + params1(tt.params...) + tt.raw + endParams1
		if tt.stdin != "" {
			in += stdin1(tt.stdin)
		}
		w.send(in + endStdin1)
		answer := w.replies()
		if seen == nil {
			_, status, _ := strings.Cut(answer, "Status: ")
			seen = map[string]string{"answer": status[:min(3, len(status))]}
		}
	})
	return seen
}

// fieldsOf writes down a request.
func fieldsOf(lib library, r *http.Request) map[string]string {
	body, err := io.ReadAll(r.Body)
	m := map[string]string{
		"Method":           r.Method,
		"URL.Scheme":       r.URL.Scheme,
		"URL.Opaque":       r.URL.Opaque,
		"URL.User":         r.URL.User.String(),
		"URL.Host":         r.URL.Host,
		"URL.Path":         r.URL.Path,
		"URL.RawPath":      r.URL.RawPath,
		"URL.RawQuery":     r.URL.RawQuery,
		"URL.Fragment":     r.URL.Fragment,
		"Proto":            fmt.Sprint(r.Proto, " ", r.ProtoMajor, ".", r.ProtoMinor),
		"Body":             fmt.Sprintf("%q %v", body, err),
		"GetBody":          fmt.Sprint(r.GetBody != nil),
		"ContentLength":    fmt.Sprint(r.ContentLength),
		"TransferEncoding": fmt.Sprint(r.TransferEncoding),
		"Close":            fmt.Sprint(r.Close),
		"Host":             r.Host,
		"Form":             fmt.Sprint(r.Form, r.PostForm, r.MultipartForm),
		"Trailer":          fmt.Sprint(r.Trailer != nil, len(r.Trailer)),
		"RemoteAddr":       r.RemoteAddr,
		"RequestURI":       r.RequestURI,
		"Pattern":          r.Pattern,
		"TLS":              "none",
	}
	if r.TLS != nil {
		m["TLS"] = fmt.Sprintf("%+v", *r.TLS)
		if m["TLS"] == fmt.Sprintf("%+v", tls.ConnectionState{HandshakeComplete: true}) {
			m["TLS"] = "done"
		}
	}
	for name, values := range r.Header {
		m["Header "+name] = fmt.Sprintf("%q", values)
	}
	env := lib.env(r)
	for name, value := range env {
		m["ProcessEnv "+name] = value
	}
	env["added"] = "by the handler"
	if lib.env(r)["added"] == "" || lib.env(r.Clone(r.Context()))["added"] == "" {
		m["ProcessEnv"] = "another map each time"
	}
	return m
}

// differences lists the fields that are not the same, but for RequestURI. If
// one of the handlers was not called, that is the one difference.
func differences(std, our map[string]string) (list []string) {
	if std["answer"] != "" || our["answer"] != "" {
		if std["answer"] == our["answer"] {
			return nil
		}
		return []string{"answer: " + orHandler(std["answer"]) + " -> " + orHandler(our["answer"])}
	}
	all := maps.Clone(std)
	maps.Copy(all, our)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		a, inStd := std[name]
		b, inOur := our[name]
		if (a != b || inStd != inOur) && name != "RequestURI" {
			list = append(list, fmt.Sprintf("%s: %s -> %s", name, orNone(a, inStd), orNone(b, inOur)))
		}
	}
	return list
}

func orNone(value string, there bool) string {
	if !there {
		return "none"
	}
	return value
}

func orHandler(answer string) string {
	if answer == "" {
		return "handler"
	}
	return answer
}

func TestProcessEnvOfOtherRequest(t *testing.T) {
	for _, lib := range both {
		if env := lib.env(&http.Request{}); env != nil {
			t.Errorf("%s: ProcessEnv = %v, want nil", lib.name, env)
		}
	}
}

// Whoever goes on to fastcgi.Server keeps ProcessEnv and the errors.
func TestProcessEnvBehindServer(t *testing.T) {
	h := cgihttp.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if env := ProcessEnv(r); !maps.Equal(env, map[string]string{"A": "1"}) {
			t.Errorf("ProcessEnv = %v, want A", env)
		}
	}))
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := &fastcgi.Server{Handler: h}
		served := make(chan error)
		go func() { served <- s.Serve(l) }()
		w := newWeb(l.dial())
		w.send(beginN1 + get1 + params1("A", "1") + endParams1 + endStdin1)
		if got := w.replies(); got != `STDOUT(1 Status: 200 "") END(1 REQUEST_COMPLETE) closed` {
			t.Errorf("replies = %s", got)
		}
		w.close()
		s.Close() // closes l
		<-served
	})
}
