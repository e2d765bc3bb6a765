package cgihttp

import (
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
)

func TestPlainTargets(t *testing.T) {
	tests := []struct {
		target string
		plain  bool // read without net/url
	}{
		{"/", true}, {"/a/b.html", true}, {"//a", true}, {"/a?", true}, {"/a??", true}, {"/a?b=c d\"&é=%zz", true}, {"/:@&=+$,;~", true},
		{"/%41", false}, {"/a!", false}, {"/a*'()", false}, {"/é", false}, {"/a#b", false}, {"/a\\b", false},
	}
	for _, tt := range tests {
		var u url.URL
		if got := parsePlain(&u, tt.target); got != tt.plain {
			t.Errorf("parsePlain(%q) = %v, want %v", tt.target, got, tt.plain)
		}
	}
}

// What is read without net/url is what net/url would have read, and whatever
// it refuses is refused.
func FuzzParseTarget(f *testing.F) {
	for _, s := range []string{"/", "*", "/a?b", "/a?", "/a??", "//h/p", "/%41%zz", "/a b", "/\x7f", "/?\x00", "/é?é", "/a:b;c,d=e&f@g$h+i", "/!'()*#[]|"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		var got url.URL
		err := parseTarget(&got, target)
		if target == "" || target[0] != '/' && target != "*" {
			if err == nil {
				t.Errorf("parseTarget(%q) took it", target)
			}
			return
		}
		want, wantErr := url.ParseRequestURI(target)
		if (err != nil) != (wantErr != nil) {
			t.Fatalf("parseTarget(%q) = %v, net/url: %v", target, err, wantErr)
		}
		if err == nil && !reflect.DeepEqual(&got, want) {
			t.Errorf("parseTarget(%q) = %#v, net/url: %#v", target, got, *want)
		}
	})
}

// FuzzHeader compares the header map with one made by Header.Add.
func FuzzHeader(f *testing.F) {
	f.Add("Accept", "accept", "X-A")
	f.Add("Cookie", "Cookie", "cookie")
	f.Add("", "-", "A-")
	f.Add("hOST", "Host", "x y")
	f.Add("X--b", "x--B", "É")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		fields := cgi.Header{{Name: a, Value: "1"}, {Name: b, Value: "2"}, {Name: c, Value: "3"}, {Name: a, Value: "4"}}
		want := make(http.Header)
		for _, f := range fields {
			if http.CanonicalHeaderKey(f.Name) != "Host" {
				want.Add(f.Name, f.Value)
			}
		}
		var room [8]string
		for name, room := range map[string][]string{"room": room[:], "no room": nil} {
			got := headerOf(fields, room)
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: headerOf(%q) = %q, want %q", name, fields, got, want)
			}
			for _, values := range got {
				_ = append(values, "more") // must not reach the next field's
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: the values of headerOf(%q) overlap", name, fields)
			}
		}
	})
}

func TestIsToken(t *testing.T) {
	var got []byte
	for c := range 256 {
		if isToken(string([]byte{byte(c)})) {
			got = append(got, byte(c))
		}
	}
	want := []byte("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
	slices.Sort(want)
	if string(got) != string(want) || isToken("") {
		t.Errorf("tokens are made of %q, want %q", got, want)
	}
}
