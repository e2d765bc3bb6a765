package address

import (
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	tests := []struct {
		name, in string
		want     Address
		text     string // of String; empty: as in
	}{
		{"unix", "unix:/run/app.sock", Address{"unix", "/run/app.sock"}, ""},
		{"unix, relative", "unix:app.sock", Address{"unix", "app.sock"}, ""},
		{"unix, abstract", "unix:@app", Address{"unix", "@app"}, ""},
		{"unix, with a colon", "unix:/run/a:80", Address{"unix", "/run/a:80"}, ""},
		{"unix, named like a scheme", "unix:fd:0", Address{"unix", "fd:0"}, ""},
		{"bare path", "/run/app.sock", Address{"unix", "/run/app.sock"}, "unix:/run/app.sock"},
		{"bare relative path", "./app.sock", Address{"unix", "./app.sock"}, "unix:./app.sock"},
		{"bare path in a folder", "run/app.sock", Address{"unix", "run/app.sock"}, "unix:run/app.sock"},
		{"bare path with a colon", "/run/a:80", Address{"unix", "/run/a:80"}, "unix:/run/a:80"},
		{"bare abstract", "@app", Address{"unix", "@app"}, "unix:@app"},
		{"name and port", "localhost:9000", Address{"tcp", "localhost:9000"}, ""},
		{"IPv4 and port", "127.0.0.1:9000", Address{"tcp", "127.0.0.1:9000"}, ""},
		{"IPv6 and port", "[::1]:9000", Address{"tcp", "[::1]:9000"}, ""},
		{"IPv6 with zone", "[fe80::1%eth0]:9000", Address{"tcp", "[fe80::1%eth0]:9000"}, ""},
		{"every host", ":9000", Address{"tcp", ":9000"}, ""},
		{"port 0", "localhost:0", Address{"tcp", "localhost:0"}, ""},
		{"largest port", "localhost:65535", Address{"tcp", "localhost:65535"}, ""},
		{"port with zeros", "localhost:0080", Address{"tcp", "localhost:80"}, "localhost:80"},
		{"descriptor", "fd:0", Address{"fd", "0"}, ""},
		{"descriptor of systemd", "fd:3", Address{"fd", "3"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("Parse(%q) = %+v, want %+v", tt.in, got, tt.want)
			}
			text := tt.text
			if text == "" {
				text = tt.in
			}
			if got.String() != text {
				t.Errorf("Parse(%q).String() = %q, want %q", tt.in, got, text)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	tests := []struct {
		name, in, want string // want is a part of the error
	}{
		{"empty", "", "address is empty"},
		{"NUL", "/run/a\x00b", "NUL"},
		{"unix without path", "unix:", "and then a path"},
		{"abstract without name", "unix:@", "and then a path"},
		{"at sign alone", "@", "and then a path"},
		{"host alone", "localhost", "want unix:/path, host:port or fd:0"},
		{"port alone", "9000", "want unix:/path, host:port or fd:0"},
		{"empty port", "localhost:", `port "" is not a number`},
		{"port 65536", "localhost:65536", `port "65536" is not a number from 0 to 65535`},
		{"negative port", "localhost:-1", `port "-1" is not a number`},
		{"port by name", "localhost:http", `port "http" is not a number`},
		{"IPv6 without brackets", "::1:9000", "want unix:/path, host:port or fd:0"},
		{"IPv6 without port", "[::1]", "want unix:/path, host:port or fd:0"},
		{"name in brackets", "[localhost]:80", "want unix:/path, host:port or fd:0"},
		{"URL", "http://127.0.0.1:9000/", "is a URL"},
		{"TCP as a URL", "tcp://127.0.0.1:9000", "is a URL"},
		{"descriptor without number", "fd:", "descriptor's number"},
		{"descriptor by name", "fd:stdin", "descriptor's number"},
		{"negative descriptor", "fd:-1", "descriptor's number"},
		{"descriptor with zeros", "fd:00", "descriptor's number"},
		{"descriptor 65536", "fd:65536", "descriptor's number"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Parse(tt.in)
			if err == nil {
				t.Fatalf("Parse(%q) = %+v, want an error", tt.in, got)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse(%q) = %q, want it to say %q", tt.in, err, tt.want)
			}
		})
	}
}

// FuzzParse: what is written by String reads the same again.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"unix:/run/app.sock", "unix:@app", "/run/a:80", "@app", "localhost:9000", "[::1]:9000", ":0080", "fd:3", "fd:x",
		"tcp://h:1", "[unix]:80", "unix:fd:0", "::1", "[fe80::1%lo]:1", "\x00",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, err := Parse(s)
		if err != nil {
			return
		}
		if again, err := Parse(a.String()); err != nil || again != a {
			t.Errorf("Parse(%q) = %+v, but Parse(%q) = %+v, %v", s, a, a, again, err)
		}
	})
}
