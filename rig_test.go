package sluice

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/internal/backend"
	"github.com/sluice-gateway/sluice/internal/testlog"
)

// A rig is a running Server.
type rig struct {
	t      *testing.T
	s      *Server
	log    *testlog.Buffer
	out    *testlog.Buffer
	stop   context.CancelFunc
	ended  chan error
	client http.Client
}

// startsByReload makes start begin with another configuration, whose processes
// can stay, and reload.
var startsByReload bool

// start runs a Server until the test ends.
func start(t *testing.T, cfg *config.Config) *rig {
	t.Helper()
	if !startsByReload {
		return startWith(t, cfg)
	}
	first := *cfg
	first.Backends = nil
	for _, b := range cfg.Backends {
		for _, name := range processesStayFor {
			field(&b, name).SetZero()
		}
		if len(b.Command) > 0 {
			b.Processes.Max = 1
		}
		first.Backends = append(first.Backends, b)
	}
	g := startWith(t, &first)
	g.reloadInto(cfg)
	return g
}

func startWith(t *testing.T, cfg *config.Config) *rig {
	t.Helper()
	g := &rig{t: t, log: new(testlog.Buffer), out: new(testlog.Buffer), ended: make(chan error, 1)}
	s, err := New(t.Context(), cfg, Options{Log: g.log.Logger(), Stdout: g.out})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	g.s, g.stop = s, stop
	g.client = http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{}}
	go func() { g.ended <- s.Serve(ctx) }() // until end, which Cleanup calls
	t.Cleanup(func() {
		g.client.CloseIdleConnections()
		stop()
		s.Close()
		select {
		case <-g.ended:
		case <-time.After(20 * time.Second):
			t.Error("the server does not end")
		}
	})
	return g
}

// backend returns the running one.
func (g *rig) backend(name string) *backend.Backend { return g.s.current.Load().backends[name] }

// end drains the server and returns what Serve said.
func (g *rig) end() error {
	g.t.Helper()
	g.stop()
	select {
	case err := <-g.ended:
		g.ended <- err
		return err
	case <-time.After(20 * time.Second):
		g.t.Fatalf("the server does not end:\n%s", g.log)
		return nil
	}
}

// try sends a request.
func (g *rig) try(method, path, body string) (status int, content string, err error) {
	r, err := http.NewRequest(method, URL(g.s.Addrs()[0])+path[1:], strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	resp, err := g.client.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// get wants a GET to succeed, and returns what came.
func (g *rig) get(path string) string {
	g.t.Helper()
	status, content, err := g.try("GET", path, "")
	if err != nil || status != 200 {
		g.t.Fatalf("GET %s: %d %q, %v\n%s", path, status, content, err, g.log)
	}
	return content
}

// pid returns the process that answers.
func (g *rig) pid() int {
	g.t.Helper()
	n, err := strconv.Atoi(g.get("/"))
	if err != nil {
		g.t.Fatal(err)
	}
	return n
}

// hold starts a request that goes on until release is called, which returns
// what came of it.
func (g *rig) hold() (release func() (string, error)) {
	g.t.Helper()
	file := filepath.Join(g.t.TempDir(), "go")
	resp, err := g.client.Get(URL(g.s.Addrs()[0]) + "hold?" + file)
	if err != nil {
		g.t.Fatal(err)
	}
	return func() (string, error) {
		defer resp.Body.Close()
		if err := os.WriteFile(file, nil, 0o666); err != nil {
			return "", err
		}
		b, err := io.ReadAll(resp.Body)
		return string(b), err
	}
}

// await waits until something outside has happened.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if is() {
			return
		}
	}
	t.Fatalf("waited in vain: %s", what)
}

// gone reports whether a process has ended.
func gone(pid int) bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) }

// oneApp is a configuration with the test binary as the application.
func oneApp(t *testing.T, processes int, env ...string) *config.Config {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b := config.Backend{
		Name: "app", Command: []string{self}, Env: map[string]string{workerVariable: "1"},
		Processes: config.Processes{Max: processes},
	}
	for _, e := range env {
		b.Env[e] = "1"
	}
	return &config.Config{
		Listen: []string{"127.0.0.1:0"}, Backends: []config.Backend{b},
		Routes: []config.Route{{Path: "", Backend: "app"}},
	}
}
