package gateway

import "testing"

func TestMatch(t *testing.T) {
	tests := []struct {
		pattern, path string
		want          bool
	}{
		{"", "/", true},
		{"", "/a/b", true},
		{"*.php", "/a.php", true},
		{"*.php", "/a.php/b/c", true},
		{"*.php", "/b/a.php", true},
		{"*.php", "/a.phpx/b.php", true},
		{"*.php", "/a.php5", false},
		{"*.php", "/a.PHP", false},
		{"*.php", "/a.php.txt", false},
		{"*.php", "/aphp", false},
		{"*.php", "/php", false},
		{"*.tar.gz", "/a.tar.gz", true},
		{"*.tar.gz", "/a.gz", false},
		{"/app/", "/app/", true},
		{"/app/", "/app/x", true},
		{"/app/", "/app", true},
		{"/app/", "/apple", false},
		{"/app/", "/x/app/", false},
		{"/", "/x", true},
		{"~^/(a|b)$", "/a", true},
		{"~^/(a|b)$", "/ab", false},
		{"~x", "/axb", true},
	}
	for _, tt := range tests {
		if got := compile(t, tt.pattern).matches(tt.path); got != tt.want {
			t.Errorf("%q matches %q: %v, want %v", tt.pattern, tt.path, got, tt.want)
		}
	}
}

func TestCompile(t *testing.T) {
	for _, good := range []string{"", "*.php", "*.tar.gz", "/a/", "/", "~^/x"} {
		if got := compile(t, good).String(); got != good {
			t.Errorf("Compile(%q).String() = %q", good, got)
		}
	}
	for _, bad := range []string{"*", "*.", "*.a/b", "*.p*p", "/a", "a/", "~(", "a*", " "} {
		if _, err := Compile(bad); err == nil {
			t.Errorf("Compile(%q): no error", bad)
		}
	}
}

func TestRemote(t *testing.T) {
	tests := []struct{ pattern, fallback, path, name, info string }{
		{"*.php", "", "/a/b.php/c/d", "/a/b.php", "/c/d"},
		{"*.php", "", "/b.php", "/b.php", ""},
		{"/app/", "", "/app/x/y", "/app", "/x/y"},
		{"/app/", "", "/app", "/app", ""},
		{"/", "", "/x", "", "/x"},
		{"", "", "/x/y", "", "/x/y"},
		{"~^/x", "", "/x/y", "", "/x/y"},
		{"", "/index.php", "/x/y", "/index.php", ""},
		{"*.php", "/index.php", "/a.php/x", "/a.php", "/x"},
	}
	for _, tt := range tests {
		rt := &Route{Match: compile(t, tt.pattern), Fallback: tt.fallback}
		if s := rt.remote(tt.path); s.Name != tt.name || s.PathInfo != tt.info {
			t.Errorf("route %q with fallback %q splits %q into %q and %q, want %q and %q",
				tt.pattern, tt.fallback, tt.path, s.Name, s.PathInfo, tt.name, tt.info)
		}
	}
}
