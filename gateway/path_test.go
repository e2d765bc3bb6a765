package gateway

import (
	"errors"
	"strings"
	"testing"
)

func TestCleanPath(t *testing.T) {
	for raw, want := range map[string]string{
		"/":                 "/",
		"/a":                "/a",
		"/a/":               "/a/",
		"/a/b.php/c":        "/a/b.php/c",
		"/a%20b":            "/a b",
		"/%61":              "/a",
		"/%C3%BC":           "/ü",
		"/%ff":              "/\xff",
		"/ü":                "/ü",
		"/a+b":              "/a+b",
		"/a;b=c":            "/a;b=c",
		"/a:b@c!$&'()*,=~":  "/a:b@c!$&'()*,=~",
		"/%25":              "/%",
		"/%2525":            "/%25",
		"/%252e%252e/x":     "/%2e%2e/x", // decoded once
		"/%3f":              "/?",
		"/%23":              "/#",
		"//":                "/",
		"//a":               "/a",
		"/a//b":             "/a/b",
		"/a///":             "/a/",
		"/.":                "/",
		"/./":               "/",
		"/./a":              "/a",
		"/a/.":              "/a/",
		"/a/./b":            "/a/b",
		"/a/..":             "/",
		"/a/../":            "/",
		"/a/../b":           "/b",
		"/a/b/..":           "/a/",
		"/a/b/../c":         "/a/c",
		"/a/b/../../c":      "/c",
		"/a//../b":          "/b",
		"/a/%2e/b":          "/a/b",
		"/a/%2E%2e/b":       "/b",
		"/a/.%2e/b":         "/b",
		"/a/%2e./b":         "/b",
		"/...":              "/...",
		"/.a":               "/.a",
		"/a.":               "/a.",
		"/a..":              "/a..",
		"/..a":              "/..a",
		"/a/..b/c":          "/a/..b/c",
		"/a/b../c":          "/a/b../c",
		"/.well-known/x":    "/.well-known/x",
		"/a%20":             "/a ",
		"/%e2%80%ae":        "/\u202e",
		"/a?b":              "/a?b", // the caller has cut the query off
		"/index.php/../a":   "/a",
		"/x.jpg/a.php":      "/x.jpg/a.php",
		"/%61%2e%70%68%70":  "/a.php",
		"/a/b/c/../../../":  "/",
		"/a/b/c/../../../.": "/",
	} {
		if got, err := cleanPath(raw); got != want || err != nil {
			t.Errorf("cleanPath(%q) = %q, %v, want %q", raw, got, err, want)
		}
	}
}

func TestCleanPathRefuses(t *testing.T) {
	for raw, want := range map[string]error{
		"":                     errNoPath,
		"*":                    errNoPath,
		"a":                    errNoPath,
		"http://h/a":           errNoPath,
		"%2f":                  errNoPath,
		"/..":                  errAboveRoot,
		"/../":                 errAboveRoot,
		"/../a":                errAboveRoot,
		"/a/../..":             errAboveRoot,
		"/a/../../etc/passwd":  errAboveRoot,
		"/%2e%2e/a":            errAboveRoot,
		"/%2E%2E":              errAboveRoot,
		"/.%2e/a":              errAboveRoot,
		"/./../a":              errAboveRoot,
		"//../a":               errAboveRoot,
		"/a//../../b":          errAboveRoot,
		"/%2f":                 errHiddenSlash,
		"/a%2fb":               errHiddenSlash,
		"/a%2Fb":               errHiddenSlash,
		"/..%2fa":              errHiddenSlash,
		"/a/..%2f..%2fb":       errHiddenSlash,
		"/\\":                  errBackslash,
		"/a\\..\\b":            errBackslash,
		"/%5c":                 errBackslash,
		"/..%5c..%5cwindows":   errBackslash,
		"/a%5Cb":               errBackslash,
		"/%00":                 errControl,
		"/a.php%00.jpg":        errControl,
		"/a\x00":               errControl,
		"/%0a":                 errControl,
		"/index.php/%0aPATH":   errControl, // CVE-2019-11043
		"/%0d%0aSet-Cookie:x":  errControl,
		"/%09":                 errControl,
		"/a\tb":                errControl,
		"/a\nb":                errControl,
		"/%7f":                 errControl,
		"/\x7f":                errControl,
		"/%1b[31m":             errControl,
		"/%":                   errBadEscape,
		"/%2":                  errBadEscape,
		"/%zz":                 errBadEscape,
		"/%2x":                 errBadEscape,
		"/%u002e":              errBadEscape,
		"/a%":                  errBadEscape,
		"/%c0%ae%c0%ae/%2e%2e": nil, // overlong UTF-8 is two odd bytes, not a dot
		"/a#b":                 errFragment,
		"/#":                   errFragment,
	} {
		got, err := cleanPath(raw)
		if !errors.Is(err, want) || want != nil && got != "" {
			t.Errorf("cleanPath(%q) = %q, %v, want %v", raw, got, err, want)
		}
	}
}

func TestCleanPathReturnsWhatItGot(t *testing.T) {
	const raw = "/blog/post.php/a.b/c"
	if n := testing.AllocsPerRun(10, func() { cleanPath(raw) }); n != 0 {
		t.Errorf("%v allocations for a path with nothing to change, want 0", n)
	}
}

func TestCleanQuery(t *testing.T) {
	for _, good := range []string{"", "a=b&c=%00", "ü", "#"} {
		if err := cleanQuery(good); err != nil {
			t.Errorf("cleanQuery(%q): %v", good, err)
		}
	}
	for _, bad := range []string{"a\nb", "\r", "\x00", "\x7f", "\t"} {
		if cleanQuery(bad) == nil {
			t.Errorf("cleanQuery(%q) is nil", bad)
		}
	}
}

// What comes out is what it promises, and cleaning it again, once encoded,
// changes nothing.
func FuzzCleanPath(f *testing.F) {
	for _, s := range []string{"/", "/a/../b", "/%2e%2e", "//a", "/a%2fb", "/%25", "/a/./.", "/ü/%C3%BC", "/a\\b", "/%0a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		p, err := cleanPath(raw)
		if err != nil {
			return
		}
		if p == "" || p[0] != '/' || strings.Contains(p, "//") || strings.ContainsAny(p, "\\\x00\n\r\x7f") {
			t.Fatalf("cleanPath(%q) = %q", raw, p)
		}
		for _, segment := range strings.Split(p, "/") {
			if segment == "." || segment == ".." {
				t.Fatalf("cleanPath(%q) = %q: a dot segment is left", raw, p)
			}
		}
		encoded := strings.NewReplacer("%", "%25", "#", "%23").Replace(p)
		if again, err := cleanPath(encoded); again != p || err != nil {
			t.Fatalf("cleanPath(%q) = %q, and again %q, %v", raw, p, again, err)
		}
	})
}
