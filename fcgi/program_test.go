package fcgi

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
)

// A program whose import path is all that has been changed gives the same
// answers.
func TestSameProgram(t *testing.T) {
	var client fastcgi.Client
	defer client.Close()
	std, our := startProgram(t, "net/http/fcgi"), startProgram(t, "github.com/sluice-gateway/sluice/fcgi")
	for _, tt := range programTests {
		t.Run(tt.name, func(t *testing.T) {
			want, got := answerOf(t, &client, std, tt), answerOf(t, &client, our, tt)
			if got != want {
				t.Errorf("answer:\n%.2000s\nwant that of net/http/fcgi:\n%.2000s", got, want)
			}
			if !strings.Contains(got, tt.has) {
				t.Errorf("answer:\n%.2000s\nwant %q in it", got, tt.has)
			}
		})
	}
}

type programTest struct {
	name string
	r    cgi.Request
	body string
	has  string // in the answer of both
}

var programTests = []programTest{
	{"pattern and REMOTE_USER", cgi.Request{Target: "/hello/world", RemoteUser: "ann"}, "", "hello world, you are ann\n"},
	{"form", cgi.Request{Method: "POST", Target: "/form", Header: cgi.Header{{Name: "Content-Type", Value: "application/x-www-form-urlencoded"}}}, "a=b&c=d", "Location: /hello/b"},
	{"everything", cgi.Request{Method: "PUT", Target: "/echo?x=%20", HTTPS: true, RemoteAddr: "192.0.2.7", RemotePort: "1234", Header: cgi.Header{{Name: "User-Agent", Value: "test"}}}, "body", "X-Request: PUT https://a.example/echo?x=%20 a.example 192.0.2.7:1234 true test"},
	{"long body", cgi.Request{Method: "POST", Target: "/echo"}, strings.Repeat("0123456789", 100_000), "0123456789"},
	{"file", cgi.Request{Target: "/program/main.go"}, "", "package main"},
	{"part of a file", cgi.Request{Target: "/program/main.go", Header: cgi.Header{{Name: "Range", Value: "bytes=3-9"}}}, "", "206\n"},
	{"folder", cgi.Request{Target: "/program"}, "", "Location: program/"},
	{"path to be cleaned", cgi.Request{Target: "/a/../hello/x"}, "", "Location: /hello/x"},
	{"not found", cgi.Request{Target: "/nothing"}, "", "404\n"},
}

// startProgram compiles testdata/program with another import path and starts
// it. It returns its address.
func startProgram(t *testing.T, path string) (address string) {
	t.Helper()
	const source = "testdata/program/main.go"
	dir := t.TempDir()
	main, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	changed := bytes.Replace(main, []byte(`"net/http/fcgi"`), []byte(`"`+path+`"`), 1)
	file := filepath.Join(dir, "main.go")
	original, err := filepath.Abs(source)
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {original: file}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"main.go": changed, "overlay.json": overlay} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	program := filepath.Join(dir, "program")
	build := exec.Command("go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "-o", program, "./testdata/program")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build, err, out)
	}
	return startChild(t, exec.Command(program)).address
}

// answerOf asks a program and writes its answer down, without what differs for
// a reason that TestSameResponse has: date, length, and the type of nothing.
func answerOf(t *testing.T, client *fastcgi.Client, address string, tt programTest) string {
	t.Helper()
	r := tt.r
	r.Proto, r.Host = "HTTP/1.1", "a.example"
	if r.Method == "" {
		r.Method = "GET"
	}
	if tt.body != "" {
		r.Body, r.ContentLength = cgi.BytesBody([]byte(tt.body)), int64(len(tt.body))
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	res, err := client.RoundTrip(ctx, "unix", address, &r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	fmt.Fprintln(&b, res.Status)
	if len(body) > 0 {
		fmt.Fprintln(&b, res.Header.Get("Content-Type"))
	}
	for _, name := range []string{"Location", "Set-Cookie", "X-Request", "Allow", "Last-Modified", "Content-Range", "Accept-Ranges"} {
		fmt.Fprintf(&b, "%s: %s\n", name, res.Header.Get(name))
	}
	fmt.Fprintf(&b, "%s", body)
	return b.String()
}
