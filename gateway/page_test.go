package gateway

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
)

// Every status has a page for people and one for tools; both have the id of
// the log line, and nothing that is private.
func TestPages(t *testing.T) {
	missing := socket(t)
	g := newRig(t, func(g *rig) {
		g.h.Files = tree(t)
		g.h.Routes = []Route{
			{Match: compile(t, "/deny/"), Deny: true},
			{Match: compile(t, "/down/"), Backend: g.backend},
			{Match: compile(t, "/small/"), Backend: g.backend, MaxBody: 1},
			{Match: compile(t, "*.php"), Backend: g.backend, CheckLocal: true},
		}
	}, missing)
	for path, status := range map[string]int{
		"/%00": 400, "/deny/x": 403, "/bare/": 403, "/nothing": 404, "/nothing.php": 404,
		"/a.txt": 405, "/small/": 413, "/down/": 502,
	} {
		for _, accept := range []string{"text/html,application/xhtml+xml", "*/*"} {
			resp, body, err := g.do("POST", path, strings.NewReader("body"), "Accept", accept)
			if err != nil || resp.StatusCode != status {
				t.Errorf("%s: %d, %v, want %d", path, resp.StatusCode, err, status)
				continue
			}
			html := strings.HasPrefix(body, "<!doctype html>")
			if want := strings.HasPrefix(accept, "text/html"); html != want || strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") != want {
				t.Errorf("%s for Accept %q: HTML %v", path, accept, html)
			}
			if !strings.Contains(body, resp.Status[:3]) || !strings.Contains(body, explain(status)) {
				t.Errorf("%s: the page does not say what happened: %s", path, body)
			}
			for _, private := range []string{missing, g.h.Files.Dir(), "sluice", "app", "php", "unix:", "{{"} {
				if strings.Contains(strings.ReplaceAll(body, "application behind", ""), private) {
					t.Errorf("%s: %q is in the page: %s", path, private, body)
				}
			}
			g.logged("id=" + pageID(t, body))
		}
	}
}

// pageID returns the id on a page.
func pageID(t *testing.T, body string) string {
	t.Helper()
	id := regexp.MustCompile(`equest (?:<code>)?([A-Z2-7]{12})\b`).FindStringSubmatch(body)
	if id == nil {
		t.Fatalf("no id in %q", body)
	}
	return id[1]
}

func TestPageOfFrontEnd(t *testing.T) {
	g := newRig(t, nil)
	resp := g.want(414, "", "GET", "/"+strings.Repeat("a", 40_000), nil, "Accept", "text/html")
	if resp.Header.Get("Cache-Control") != "no-store" {
		t.Error("the front end's own page was sent")
	}
	g.want(431, "", "GET", "/", nil, "Cookie", strings.Repeat("a", 40_000))
	g.logged("status=431", "cookie")
}

func TestLongPathsAreShortenedInTheLog(t *testing.T) {
	g := newRig(t, nil, socket(t))
	g.want(502, "", "GET", "/"+strings.Repeat("a", 10_000), nil)
	if n := len(g.log.String()); n > 3000 {
		t.Errorf("%d bytes of log for one request", n)
	}
}

func TestAccepts(t *testing.T) {
	for accept, want := range map[string]bool{
		"":                          false,
		"*/*":                       false,
		"text/html":                 true,
		"TEXT/HTML;q=0.9":           true,
		"application/json":          false,
		"image/png, text/html ;q=1": true,
		"text/htmlx":                false,
	} {
		if got := accepts(accept, "text/html"); got != want {
			t.Errorf("accepts(%q) = %v", accept, got)
		}
	}
}

// What an application must not be told, or told wrongly.
func TestParams(t *testing.T) {
	files := tree(t)
	var got map[string]string
	g := newRig(t, func(g *rig) {
		g.h.Files = files
		g.backend.Params = []cgi.Field{{Name: "APP_ENV", Value: "test"}, {Name: "SERVER_NAME", Value: "mine"}}
		g.h.Routes = []Route{
			{Match: compile(t, "*.php"), Backend: g.backend, CheckLocal: true},
			{Match: compile(t, "/app/"), Backend: &Backend{Name: "far", Pool: g.backend.Pool, Transport: g.backend.Transport, Root: "/srv/far"}},
		}
	}, worker(t, func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		got = make(map[string]string)
		for n, v := range r.Params() {
			got[n] = v
		}
	}))
	dir := files.Dir()
	check := func(target string, want map[string]string, fields ...string) {
		t.Helper()
		g.want(200, "", http.MethodGet, target, nil, fields...)
		for name, value := range want {
			if v, ok := got[name]; v != value || ok != (value != "" || name == "QUERY_STRING" || name == "SCRIPT_NAME") {
				t.Errorf("%s: %s is %q, want %q", target, name, v, value)
			}
		}
	}
	check("/blog/../index.php/%C3%BC/x?a=%20b", map[string]string{
		"SCRIPT_NAME": "/index.php", "PATH_INFO": "/ü/x", "SCRIPT_FILENAME": dir + "/index.php",
		"DOCUMENT_ROOT": dir, "PATH_TRANSLATED": dir + "/ü/x", "QUERY_STRING": "a=%20b",
		"REQUEST_URI": "/blog/../index.php/%C3%BC/x?a=%20b", "APP_ENV": "test", "SERVER_NAME": "mine",
		"HTTP_PROXY": "", "HTTP_X_OK": "yes", "HTTP_X_SECRET": "", "HTTP_CONNECTION": "", "HTTP_UNDER_SCORE": "",
	}, "Proxy", "http://evil", "X-Ok", "yes", "X-Secret", "for you", "Connection", "keep-alive, X-Secret", "Under_Score", "x")
	check("/app/x", map[string]string{
		"SCRIPT_NAME": "/app", "PATH_INFO": "/x", "DOCUMENT_ROOT": "/srv/far", "PATH_TRANSLATED": "/srv/far/x", "APP_ENV": "",
	})
}
