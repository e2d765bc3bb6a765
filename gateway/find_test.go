package gateway

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
)

// site is a gateway such as people have: PHP, a private folder, an
// application below a prefix.
func site(t testing.TB) *Handler {
	t.Helper()
	php, app := &Backend{Name: "php"}, &Backend{Name: "app"}
	return &Handler{
		Files: tree(t),
		Index: []string{"index.html", "index.php"},
		Routes: []Route{
			{Match: compile(t, "/data/"), Deny: true},
			{Match: compile(t, "*.php"), Backend: php, CheckLocal: true},
			{Match: compile(t, "*.cgi"), Backend: app, CheckLocal: true},
			{Match: compile(t, "/app/"), Backend: app},
		},
	}
}

// said puts a decision into one line.
func said(d decision, no *refusal) string {
	switch {
	case no != nil:
		return cgi.Header{{Value: map[int]string{403: "403", 404: "404"}[no.status]}}[0].Value
	case d.to == nil:
		return "file " + d.file
	}
	return d.to.Name + " " + d.as.Name + " | " + d.as.PathInfo
}

func TestFind(t *testing.T) {
	h := site(t)
	for path, want := range map[string]string{
		"/":                            "file /index.html",
		"/a.txt":                       "file /a.txt",
		"/a b.txt":                     "file /a b.txt",
		"/ü.txt":                       "file /ü.txt",
		"/nothing":                     "404",
		"/a.txt/":                      "404",
		"/a.txt/x":                     "404",
		"/blog":                        "file /blog", // to be redirected
		"/blog/":                       "php /blog/index.php | ",
		"/bare/":                       "403",
		"/index.php":                   "php /index.php | ",
		"/index.php/":                  "php /index.php | /",
		"/index.php/a/b":               "php /index.php | /a/b",
		"/index.php/a.php/b":           "php /index.php | /a.php/b",
		"/in.php":                      "php /in.php | ",
		"/nothing.php":                 "404",
		"/nothing.php/x":               "404",
		"/nothing/x.php":               "404",
		"/upload/x.jpg":                "file /upload/x.jpg",
		"/upload/x.jpg/a.php":          "404",
		"/upload/x.jpg/.php":           "404",
		"/upload/x.php.txt":            "file /upload/x.php.txt",
		"/dir.php/":                    "file /dir.php/index.html",
		"/dir.php/readme.txt":          "file /dir.php/readme.txt",
		"/dir.php":                     "file /dir.php",
		"/out.txt":                     "404",
		"/out.php":                     "404",
		"/out.php/x":                   "404",
		"/up/":                         "404",
		"/up/secret.txt":               "404",
		"/up/secret.php":               "404",
		"/.env":                        "404",
		"/.git/config":                 "404",
		"/.git/x.php":                  "404",
		"/data/pages.txt":              "403",
		"/data":                        "403",
		"/data/x.php":                  "403",
		"/old/post.php.bak":            "404",
		"/old/post.php~":               "404",
		"/old/post.PHP":                "404",
		"/old/post.php.":               "404",
		"/old/post.php ":               "404",
		"/old/a.phtml":                 "404",
		"/old/tool.cgi":                "app /old/tool.cgi | ",
		"/old/tool.cgi/x":              "app /old/tool.cgi | /x",
		"/app":                         "app /app | ",
		"/app/":                        "app /app | /",
		"/app/x":                       "app /app | /x",
		"/app/file.txt":                "app /app | /file.txt",
		strings.Repeat("/a", 9):        "404",
		"/" + strings.Repeat("a", 300): "404",
	} {
		if got := said(h.find(path)); got != want {
			t.Errorf("find(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestFindFrontController(t *testing.T) {
	php := &Backend{Name: "php"}
	h := &Handler{Files: tree(t), Index: []string{"index.php"}, Routes: []Route{
		{Match: compile(t, "/files/"), Files: true},
		{Match: compile(t, "*.php"), Backend: php, CheckLocal: true},
		{Match: compile(t, ""), Backend: php, Fallback: "/index.php"},
	}}
	for path, want := range map[string]string{
		"/":                   "php /index.php | ",
		"/a.txt":              "file /a.txt",
		"/a.txt/x":            "php /index.php | ",
		"/news/2026":          "php /index.php | ",
		"/blog/":              "php /blog/index.php | ",
		"/bare/":              "php /index.php | ",
		"/nothing.php":        "404", // a script by its name that is not there
		"/upload/x.jpg/a.php": "php /index.php | ",
		"/old/post.php.bak":   "404",
		"/.env":               "404",
		"/out.txt":            "404",
		"/files/x":            "404",
	} {
		if got := said(h.find(path)); got != want {
			t.Errorf("find(%q) = %q, want %q", path, got, want)
		}
	}
	h.Routes[2].Fallback = "/nothing.php"
	if got := said(h.find("/news")); got != "404" {
		t.Errorf("a fallback that is not there: %s, want 404", got)
	}
}

func TestFindWithoutFiles(t *testing.T) {
	app := &Backend{Name: "app"}
	h := &Handler{Routes: []Route{
		{Match: compile(t, "*.php"), Backend: app, CheckLocal: true},
		{Match: compile(t, "/x/"), Backend: app, Fallback: "/index.php"},
	}}
	for path, want := range map[string]string{
		"/a.php/b": "app /a.php | /b",
		"/x/y":     "app /index.php | ",
		"/":        "404",
	} {
		if got := said(h.find(path)); got != want {
			t.Errorf("find(%q) = %q, want %q", path, got, want)
		}
	}
}

// A pattern that matches because of what stands behind a file in the path does
// not make a script of the file.
func TestFindWithRegexp(t *testing.T) {
	php := &Backend{Name: "php"}
	h := &Handler{Files: tree(t), Routes: []Route{
		{Match: compile(t, `~\.php(/|$)`), Backend: php, CheckLocal: true},
		{Match: compile(t, "/old/"), Backend: php, CheckLocal: true},
	}}
	for path, want := range map[string]string{
		"/blog/post.php":      "php /blog/post.php | ",
		"/blog/post.php/x":    "php /blog/post.php | /x",
		"/upload/x.jpg/a.php": "404",
		"/dir.php/readme.txt": "php /dir.php/readme.txt | ", // its folder matches: as the pattern says
		"/nothing.php":        "404",
		"/old/tool.cgi/x":     "php /old/tool.cgi | /x", // below a prefix every file is a script
	} {
		if got := said(h.find(path)); got != want {
			t.Errorf("find(%q) = %q, want %q", path, got, want)
		}
	}
}

func TestIsSource(t *testing.T) {
	h := &Handler{Routes: []Route{
		{Match: compile(t, "*.cgi"), Backend: &Backend{}},
		{Match: compile(t, "*.ini"), Deny: true},
		{Match: compile(t, "*.js"), Backend: &Backend{}},
	}}
	for _, name := range []string{
		"a.php", "a.PHP", "a.php5", "a.php7", "a.phps", "a.pht", "a.phtml", "a.phar", "a.inc", "a.php.", "a.php ",
		"#a.php#", "a.php~", "a.php.1", "a.php.bak", "a.php.dist", "a.php.new", "a.php.tmp", "a.php.rpmsave", "a.php_",
		"a.php-", "a.php copy", "a.php.gz", "a.inc.old", "a.cgi", "a.CGI", "a.cgi~", "a.ini.bak", "a.JS", "a.js~", "a.php.js",
	} {
		if !h.isSource("/x/" + name) {
			t.Errorf("%q is shown", name)
		}
	}
	for _, name := range []string{
		"a.txt", "a.php.txt", "a.php.html", "a.php.png", "a.phpx", "php", "aphp", "a.cgix", "a.cgi.txt", "a.inch", "a.zip", "a",
	} {
		if h.isSource("/x.php/" + name) {
			t.Errorf("%q is not shown", name)
		}
	}
}

// Whatever the path, a file that is served is in the root and no source.
func FuzzFind(f *testing.F) {
	h := site(f)
	for _, s := range []string{"/", "/a.txt", "/index.php/x", "/upload/x.jpg/a.php", "/up/secret.txt", "/old/post.php%2e", "/.env", "/dir.php/", "/app/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		path, err := cleanPath(raw)
		if err != nil {
			return
		}
		d, no := h.find(path)
		switch {
		case no != nil:
			if no.status < 400 {
				t.Fatalf("find(%q): refused with status %d", path, no.status)
			}
			return
		case d.to != nil:
			if got := d.as.Name + d.as.PathInfo; got != path && got != path+"index.php" {
				t.Fatalf("find(%q): script and path info are %q", path, got)
			}
			return
		}
		content, err := os.ReadFile(filepath.Join(h.Files.Dir(), d.file))
		if err == nil && (strings.Contains(string(content), source) || strings.Contains(string(content), secret)) {
			t.Fatalf("find(%q) serves %q", path, d.file)
		}
	})
}
