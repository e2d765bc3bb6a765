package sluice

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
)

// All listeners are open, and none after the end.
func effectListen(t *testing.T) {
	socket := filepath.Join(shortDir(t), "http.sock")
	g := startEdited(t, func(c *config.Config) {
		c.Listen = []string{"127.0.0.1:0", "127.0.0.2:0", "unix:" + socket}
	})
	addrs := g.s.Addrs()
	if len(addrs) != 3 {
		t.Fatalf("listeners: %v, want three", addrs)
	}
	for _, a := range addrs {
		nc, err := net.Dial(a.Network(), a.String())
		if err != nil {
			t.Error(err)
			continue
		}
		nc.Close()
	}
	if err := g.end(); err != nil {
		t.Error(err)
	}
	for _, a := range addrs {
		if nc, err := net.Dial(a.Network(), a.String()); err == nil {
			nc.Close()
			t.Errorf("%v is still open after the end", a)
		}
	}
	if _, err := os.Lstat(socket); err == nil {
		t.Error("the unix socket is still there after the end")
	}
}

func effectRoot(t *testing.T) {
	g := startEdited(t, func(c *config.Config) {
		withRoot(t, c, "a.txt")
		c.Routes[0].Path = "/app/"
	})
	if got := g.get("/a.txt"); got != "file a.txt" {
		t.Errorf("the file: %q", got)
	}
}

func effectIndex(t *testing.T) {
	for _, tt := range []struct {
		index []string
		want  string
	}{
		{[]string{"none.html", "start.html"}, "file start.html"},
		{nil, "file index.html"}, // the default
	} {
		g := startEdited(t, func(c *config.Config) {
			withRoot(t, c, "index.html", "start.html")
			c.Index, c.Routes[0].Path = tt.index, "/app/"
		})
		if got := g.get("/"); got != tt.want {
			t.Errorf("index %q: %q, want %q", tt.index, got, tt.want)
		}
	}
}

func effectMaxBody(t *testing.T) {
	g := startEdited(t, func(c *config.Config) { c.MaxBody = 4 })
	g.wants(200, "POST", "/echo", "1234")
	g.wants(413, "POST", "/echo", "12345")
}

func effectAccessLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "access.log")
	for to, want := range map[string][2]bool{ // in stdout, in the file
		"":    {true, false},
		"-":   {true, false},
		"off": {false, false},
		file:  {false, true},
	} {
		g := startEdited(t, func(c *config.Config) { c.AccessLog = to })
		g.get("/asked")
		g.end() // the line is written after the answer
		inFile, _ := os.ReadFile(file)
		got := [2]bool{len(g.out.With("/asked")) == 1, len(inFile) > 0}
		if got != want {
			t.Errorf("access log %q: a line in stdout, in the file: %v, want %v", to, got, want)
		}
		os.Remove(file)
	}
}

// What log analysers read, to the letter.
var combinedLine = regexp.MustCompile(`^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}(:\d\d){3} [+-]\d{4}\] "GET /asked HTTP/1\.1" 200 \d+ "-" "Go-http-client/1\.1"\n$`)

func effectAccessFormat(t *testing.T) {
	for format, is := range map[string]func(string) bool{
		"":         combinedLine.MatchString,
		"combined": combinedLine.MatchString,
		"json":     func(line string) bool { return json.Valid([]byte(line)) },
	} {
		g := startEdited(t, func(c *config.Config) { c.AccessFormat = format })
		g.get("/asked")
		g.end()
		if line := g.out.String(); !is(line) {
			t.Errorf("access format %q: %s", format, line)
		}
	}
}

// Two routes, two applications.
func effectRoutes(t *testing.T) {
	cfg := toForeign(foreign(t, named("first")))
	other := toForeign(foreign(t, named("second"))).Backends[0]
	other.Name = "other"
	cfg.Backends = append(cfg.Backends, other)
	cfg.Routes = []config.Route{{Path: "/second/", Backend: "other"}, {Path: "", Backend: "app"}}
	g := start(t, cfg)
	for path, want := range map[string]string{"/": "first", "/x": "first", "/second/x": "second"} {
		if got := g.get(path); got != want {
			t.Errorf("%s is answered by %q, want %q", path, got, want)
		}
	}
}

func effectDeny(t *testing.T) {
	g := startEdited(t, func(c *config.Config) {
		c.Routes = append([]config.Route{{Path: "/data/", Deny: true}}, c.Routes...)
	})
	g.wants(403, "GET", "/data/x", "")
	g.get("/other")
}

func effectFiles(t *testing.T) {
	g := startEdited(t, func(c *config.Config) {
		withRoot(t, c, "static/a.txt")
		c.Routes = append([]config.Route{{Path: "/static/", Files: true}}, c.Routes...)
	})
	if got := g.get("/static/a.txt"); got != "file static/a.txt" {
		t.Errorf("the file: %q", got)
	}
	g.wants(404, "GET", "/static/b.txt", "")
}

// With and without the check, for a route that has it by default and for one
// that does not.
func effectCheckLocal(t *testing.T) {
	yes, no := true, false
	for _, tt := range []struct {
		path  string
		check *bool
		want  int
	}{
		{"", nil, 200}, {"", &yes, 404}, {"*.app", nil, 404}, {"*.app", &no, 200},
	} {
		g := startEdited(t, func(c *config.Config) {
			withRoot(t, c, "here.app")
			c.Routes[0].Path, c.Routes[0].CheckLocal = tt.path, tt.check
		})
		g.get("/here.app")
		g.wants(tt.want, "GET", "/nothing.app", "")
	}
}

// The limit of a route wins, in both directions.
func effectRouteMaxBody(t *testing.T) {
	g := startEdited(t, func(c *config.Config) {
		c.MaxBody = 4
		c.Routes = []config.Route{
			{Path: "/more/", Backend: "app", MaxBody: 8},
			{Path: "/less/", Backend: "app", MaxBody: 2},
			{Path: "/unlimited/", Backend: "app", MaxBody: -1},
			{Path: "", Backend: "app"},
		}
	})
	for path, want := range map[string]int{"/more/x": 200, "/less/x": 413, "/unlimited/x": 200, "/x": 200} {
		g.wants(want, "POST", path, "123")
	}
	for path, want := range map[string]int{"/more/x": 200, "/less/x": 413, "/unlimited/x": 200, "/x": 413} {
		g.wants(want, "POST", path, "12345")
	}
}

func effectFallback(t *testing.T) {
	g := startEdited(t, func(c *config.Config) {
		withRoot(t, c, "front.app", "a.txt")
		c.Routes[0].Fallback = "/front.app"
	})
	if got := g.get("/a.txt"); got != "file a.txt" {
		t.Errorf("the file: %q", got)
	}
	g.contains("/params", "SCRIPT_NAME=/front.app")
	g.contains("/params", "REQUEST_URI=/params")
}

// Clients that know that Sluice speaks HTTP/2 need not ask first.
func TestUnencryptedHTTP2(t *testing.T) {
	g := start(t, oneApp(t, 1))
	var protocols http.Protocols
	protocols.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: &protocols}
	defer transport.CloseIdleConnections()
	client := http.Client{Transport: transport, Timeout: 20 * time.Second}
	resp, err := client.Get(URL(g.s.Addrs()[0]) + "params")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 || resp.StatusCode != 200 {
		t.Errorf("answered %s with status %d, want HTTP/2.0 and 200", resp.Proto, resp.StatusCode)
	}
}

// shortDir makes a folder whose path leaves room for the name of a socket,
// which t.TempDir with the name of a test does not.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}
