package scgi_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/testpeer"
	"github.com/sluice-gateway/sluice/internal/testproc"
	"github.com/sluice-gateway/sluice/scgi"
)

// The applications behind our Client. start returns a unix socket.
var applications = []struct {
	name  string
	start func(t *testing.T) (socket string)
}{
	{"python", startPython},
	{"uwsgi", startUWSGI},
}

func startPython(t *testing.T) (socket string) {
	python := testpeer.Need(t, "python3", "python3")
	socket = filepath.Join(testproc.ShortDir(t), "a.sock")
	testproc.Start(t, exec.Command(python, "testdata/echo.py", socket)).AwaitListening(t, "unix", socket)
	return socket
}

// startUWSGI starts an SCGI server that we did not write.
func startUWSGI(t *testing.T) (socket string) {
	uwsgi := testpeer.Need(t, "uwsgi", "uwsgi-core")
	testpeer.NeedFile(t, "/usr/lib/uwsgi/plugins/python3_plugin.so", "uwsgi-plugin-python3")
	socket = filepath.Join(testproc.ShortDir(t), "a.sock")
	cmd := exec.Command(uwsgi, "--plugin", "python3", "--scgi-socket", socket, "--master", "--processes", "2", "--die-on-term",
		"--pythonpath", "testdata", "--module", "echo", "--listen", "64")
	cmd.Env = []string{"PYTHONDONTWRITEBYTECODE=1"}
	testproc.Start(t, cmd).AwaitListening(t, "unix", socket)
	return socket
}

// pattern is what echo.py answers with for do=big.
var pattern = func() string {
	b := make([]byte, 256)
	for i := range b {
		b[i] = byte(i)
	}
	return strings.Repeat(string(b), 10<<20/len(b))
}()

func sum(body string) string { return fmt.Sprintf("%d %x", len(body), sha256.Sum256([]byte(body))) }

func TestApplications(t *testing.T) {
	for _, app := range applications {
		t.Run(app.name, func(t *testing.T) {
			socket := app.start(t)
			var client scgi.Client
			ask := func(query, body string) (int, string, error) {
				r := &cgi.Request{Method: "GET", Target: "/a%20b?" + query, Proto: "HTTP/1.1", Host: "example.org",
					Header: cgi.Header{{Name: "X-A", Value: "1"}, {Name: "X-A", Value: "2"}}}
				if body != "" {
					r.Method, r.Body, r.ContentLength = "POST", cgi.BytesBody([]byte(body)), int64(len(body))
				}
				resp, err := client.RoundTrip(t.Context(), "unix", socket, r)
				if err != nil {
					return 0, "", err
				}
				defer resp.Body.Close()
				got, err := io.ReadAll(resp.Body)
				return resp.Status, string(got), err
			}
			for _, tt := range []struct {
				name, query, body string
				status            int
				want              string
			}{
				{"small body", "do=sum", "hello", 200, sum("hello")},
				{"no body", "do=sum", "", 200, sum("")},
				{"long body", "do=sum", pattern[:1<<20+1], 200, sum(pattern[:1<<20+1])},
				{"long answer", "do=big", "", 200, pattern},
				{"long answer to a long body that is not read", "do=big", pattern[:1<<20], 200, pattern},
				{"status", "do=missing", "", 404, "missing"},
			} {
				t.Run(tt.name, func(t *testing.T) {
					if status, got, err := ask(tt.query, tt.body); status != tt.status || got != tt.want || err != nil {
						t.Errorf("%d, %d bytes %.100q, %v\nwant %d, %d bytes %.100q", status, len(got), got, err, tt.status, len(tt.want), tt.want)
					}
				})
			}
			t.Run("params", func(t *testing.T) {
				_, got, err := ask("q=1&r", "")
				for _, want := range []string{"CONTENT_LENGTH=0\n", "HTTP_HOST=example.org\n", "HTTP_X_A=1, 2\n", "QUERY_STRING=q=1&r\n", "REQUEST_METHOD=GET\n", "REQUEST_URI=/a%20b?q=1&r\n", "SCGI=1\n"} {
					if !strings.Contains("\n"+got, "\n"+want) || err != nil {
						t.Errorf("%q is missing, %v:\n%s", want, err, got)
					}
				}
			})
			t.Run("answer that is cut", func(t *testing.T) {
				if _, got, err := ask("do=cut", ""); got != "cut" || !errors.Is(err, io.ErrUnexpectedEOF) {
					t.Errorf("%q, %v, want io.ErrUnexpectedEOF", got, err)
				}
			})
			t.Run("early answer", func(t *testing.T) {
				if status, got, err := ask("do=early", pattern); status != 413 || got != "early" || err != nil {
					t.Errorf("%d %q, %v, want 413 early", status, got, err)
				}
			})
			t.Run("many at once", func(t *testing.T) {
				var wg sync.WaitGroup
				for i := range 8 {
					wg.Go(func() {
						for j := range 20 {
							body := pattern[:i*1000+j]
							if _, got, err := ask("do=sum", body); got != sum(body) || err != nil {
								t.Errorf("%q, %v, want %q", got, err, sum(body))
							}
						}
					})
				}
				wg.Wait()
			})
		})
	}
}
