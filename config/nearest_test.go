package config

import "testing"

func TestNearest(t *testing.T) {
	words := []string{"listen", "index", "max_body", "root"}
	tests := []struct {
		name, wrong, want string
	}{
		{"letter missing", "listn", "listen"},
		{"letter too much", "indexx", "index"},
		{"letters swapped", "rooot", "root"},
		{"a third is wrong", "lixxen", "listen"},
		{"more than a third is wrong", "lixxxn", ""},
		{"short word, one wrong", "rxot", "root"},
		{"short word, two wrong", "rxxt", ""},
		{"case and hyphen", "MAX-BODY", "max_body"},
		{"empty", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := nearest(tt.wrong, words); got != tt.want {
				t.Errorf("nearest(%q) = %q, want %q", tt.wrong, got, tt.want)
			}
		})
	}
}

func TestChecksLocal(t *testing.T) {
	yes, no := true, false
	tests := []struct {
		name  string
		route Route
		want  bool
	}{
		{"extension", Route{Path: "*.php"}, true},
		{"extension, not wanted", Route{Path: "*.php", CheckLocal: &no}, false},
		{"prefix", Route{Path: "/app/"}, false},
		{"prefix, wanted", Route{Path: "/app/", CheckLocal: &yes}, true},
		{"everything", Route{}, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.route.ChecksLocal(); got != tt.want {
				t.Errorf("ChecksLocal() of %+v = %v, want %v", tt.route, got, tt.want)
			}
		})
	}
}
