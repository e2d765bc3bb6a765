package config

import (
	"fmt"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// every has every key once.
const every = `
listen        = ["127.0.0.1:8080", "unix:@sluice"]
root          = "public"
index         = ["a.html", "b.html"]
max_body      = "32MiB"
access_log    = "-"
access_format = "json"
timeout       = { header = "5s", body = "6s", write = "7s", idle = -1, drain = "1m30s" }

[backend.php]
protocol      = "fastcgi"
connect       = ["unix:/run/php.sock", "[::1]:9000"]
params        = { HTTPS = "on" }
root          = "/srv/www"
max_load      = -1
queue         = { max = 10, timeout = "2s" }
timeout       = { dial = "1s", first_byte = "2s", read = "3s", write = "4s" }
keep_idle     = -5
multiplex     = 64

[backend.php2]
php = "auto"

[backend.app]
command = ["./app", "-v"]
dir     = "app"
copy_env = ["C"]
user    = "app"
group   = "web"
chroot  = "jail"
umask   = "027"
nice    = -5
limits  = { nofile = "10:unlimited" }
no_new_privileges = true
watch = ["app.py", "lib"]
[backend.app.env]
A = "1"
B = ""
[backend.app.processes]
min           = 0
max           = 4
spare         = 1
idle_timeout  = "10s"
max_requests  = 1000
max_age       = "1h"
max_memory    = "1MiB"
hung_timeout  = "2m"
start_timeout = "1m"
[backend.app.stop]
signal  = "SIGQUIT"
timeout = "20s"

[[route]]
path = "/static/"
files = true
[[route]]
path = "/data/"
deny = true
[[route]]
path        = "*.php"
backend     = "php"
check_local = false
max_body    = 1_000
fallback    = "/index.php"
[[route]]
path    = '~^/[a-z]+$'
backend = "php2"
[[route]]
backend = "app"
`

func TestParseReadsEveryKey(t *testing.T) {
	no := false
	want := &Config{
		Listen: []string{"127.0.0.1:8080", "unix:@sluice"}, Root: "public", Index: []string{"a.html", "b.html"},
		MaxBody: 32 << 20, AccessLog: "-", AccessFormat: "json",
		Timeout: Timeout{5 * time.Second, 6 * time.Second, 7 * time.Second, -1, 90 * time.Second},
		Backends: []Backend{
			{
				Name: "php", Protocol: "fastcgi", Connect: []string{"unix:/run/php.sock", "[::1]:9000"},
				Params: map[string]string{"HTTPS": "on"}, Root: "/srv/www", MaxLoad: -1, Queue: Queue{10, 2 * time.Second},
				Timeout: BackendTimeout{time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second}, KeepIdle: -1, Multiplex: 64,
			},
			{Name: "php2", PHP: "auto"},
			{
				Name: "app", Command: []string{"./app", "-v"}, Dir: "app", Env: map[string]string{"A": "1", "B": ""},
				CopyEnv: []string{"C"}, As: Account{"app", "web"}, Chroot: "jail", Umask: "027", Nice: -5,
				Limits: map[string]string{"nofile": "10:unlimited"}, NoNewPrivileges: true, Watch: []string{"app.py", "lib"},
				Processes: Processes{
					Min: 0, Max: 4, Scales: true, Spare: 1, IdleTimeout: 10 * time.Second, MaxRequests: 1000, MaxAge: time.Hour, MaxMemory: 1 << 20,
					HungTimeout: 2 * time.Minute, StartTimeout: time.Minute,
				},
				Stop: Stop{syscall.SIGQUIT, 20 * time.Second},
			},
		},
		Routes: []Route{
			{Path: "/static/", Files: true},
			{Path: "/data/", Deny: true},
			{Path: "*.php", Backend: "php", CheckLocal: &no, MaxBody: 1000, Fallback: "/index.php"},
			{Path: "~^/[a-z]+$", Backend: "php2"},
			{Backend: "app"},
		},
	}
	got, problems := Parse("s.toml", []byte(every))
	if len(problems) > 0 {
		t.Fatalf("Parse found %v", problems)
	}
	want.file, want.places = got.file, got.places
	if !reflect.DeepEqual(got, want) {
		t.Errorf("Parse =\n%+v, want\n%+v", got, want)
	}
	for _, k := range names(configKeys()) {
		if !strings.Contains(every, "\n"+strings.Split(k, ".")[0]) && k != "backend" && k != "route" {
			t.Errorf("the key %s is not among every key", k)
		}
	}
}

func TestParseReadsNumbers(t *testing.T) {
	tests := []struct {
		name, value string
		want        int64
	}{
		{"bytes", `512`, 512},
		{"bytes with a unit", `"512B"`, 512},
		{"decimal unit", `"1GB"`, 1e9},
		{"binary unit", `"1GiB"`, 1 << 30},
		{"largest", `"1024TiB"`, 1 << 50},
		{"largest, as bytes", `1125899906842624`, 1 << 50},
		{"hexadecimal", `0x400`, 1024},
		{"with a sign", `+7`, 7},
		{"zero", `0`, 0},
		{"no limit", `-1`, -1},
		{"no limit, in other words", `-99999999999999999999`, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg, problems := Parse("", []byte("root = \".\"\nmax_body = "+tt.value))
			if len(problems) > 0 || cfg.MaxBody != tt.want {
				t.Errorf("max_body = %s reads as %d with %v, want %d", tt.value, cfg.MaxBody, problems, tt.want)
			}
		})
	}
}

// Who corrects a file wants to know all that is wrong with it, not one thing
// after the other.
func TestParseReportsEverythingAtOnce(t *testing.T) {
	src := "listne = 1\nmax_body = \"x\"\n" +
		"[backend.php]\nconnect = [\"9000\"]\nmax_load = \"3\"\nqueue = { maxx = 1 }\n" +
		"[timeout]\nidle = 10s\n" +
		"[[route]]\npath = \"*php\"\nbackend = \"php\"\n" +
		"[[route]]\npath = \"~(\"\ndeny = 1\n"
	_, problems := Parse("s.toml", []byte(src))
	var at []int
	for _, p := range problems {
		at = append(at, p.Line)
	}
	if want := []int{1, 2, 4, 5, 6, 8, 10, 13, 14}; !reflect.DeepEqual(at, want) {
		t.Errorf("problems are in the lines %v, want %v:\n%v", at, want, problems)
	}
}

func TestParseIsBounded(t *testing.T) {
	many := func(n int, format string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	tests := []struct {
		name, src, want string // want is the last problem
		n               int
	}{
		{"file", strings.Repeat("#", maxFile+1), "1:1: the file has 1048577 bytes, want at most 1048576", 1},
		{"problems", many(1002, "zz%d = 1\n"), "1000:1: there are 3 problems more from here on", 1001},
		{"backends", "root = \".\"\n" + many(1001, "[backend.b%d]\nphp = \"auto\"\n[[route]]\npath = \"~^/%[1]d$\"\nbackend = \"b%[1]d\"\n"),
			"5004:3: there are more than 1000 routes", 2},
		{"routes", "root = \".\"\n" + many(1001, "[[route]]\npath = \"/%d/\"\ndeny = true\n"), "3002:3: there are more than 1000 routes", 1},
		{"dotted keys", "root = \".\"\n" + strings.Repeat(strings.Repeat("a.", 1000)+"a = 1\n", 2),
			"3:2001: " + strings.Repeat("a.", 31) + "… is given twice (remove one; the first is in line 2)", 2},
		{"listeners", "root = \".\"\nlisten = [" + many(65, "\"unix:/s%d\",") + "]", "listen has more than 64 elements", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := Parse("s.toml", []byte(tt.src))
			if n := len(problems); n != tt.n || !strings.Contains(problems[n-1].String(), tt.want) {
				t.Errorf("Parse found %d problems, %v, want %d that end with %q", n, problems[max(0, n-2):], tt.n, tt.want)
			}
		})
	}
}

func TestProblemString(t *testing.T) {
	tests := []struct {
		name string
		p    Problem
		want string
	}{
		{"all", Problem{"s.toml", 3, 4, "wrong", "do this"}, "s.toml:3:4: wrong (do this)"},
		{"no hint", Problem{"s.toml", 3, 4, "wrong", ""}, "s.toml:3:4: wrong"},
		{"no place", Problem{"s.toml", 0, 0, "wrong", ""}, "s.toml: wrong"},
		{"no file", Problem{"", 0, 0, "wrong", "do this"}, "wrong (do this)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := tt.p.String(); got != tt.want {
				t.Errorf("String() = %q, want %q", got, tt.want)
			}
		})
	}
}

// Columns are those of an editor.
func TestPlacesCountCharacters(t *testing.T) {
	tests := []struct {
		name, src string
		line, col int
	}{
		{"after a byte order mark", "\uFEFFrot = 1", 1, 1},
		{"after letters of several bytes", "root = \".\"\nindex = [\"äöü\", 1]", 2, 17},
		{"after tabs", "root = \".\"\n\t\tzebra = 1", 2, 3},
		{"with CRLF", "root = \".\"\r\n\r\nzebra = 1\r\n", 3, 1},
		{"in an array over lines", "root = \".\"\nindex = [\n  \"a\", # one\n  2,\n]\n", 4, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, problems := Parse("", []byte(tt.src))
			if len(problems) == 0 || problems[0].Line != tt.line || problems[0].Col != tt.col {
				t.Errorf("Parse(%q) = %+v, want one at %d:%d", tt.src, problems, tt.line, tt.col)
			}
		})
	}
}
