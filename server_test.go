package sluice

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
)

func TestServe(t *testing.T) {
	g := start(t, oneApp(t, 2))
	pids := map[int]bool{}
	for range 10 {
		pids[g.pid()] = true
	}
	if pids[os.Getpid()] || len(pids) == 0 {
		t.Fatalf("answered by %v, want children", pids)
	}
	if _, content, err := g.try("POST", "/echo", "a body"); content != "a body" || err != nil {
		t.Errorf("echo: %q, %v", content, err)
	}
	if err := g.end(); err != nil {
		t.Errorf("Serve: %v", err)
	}
	for pid := range pids {
		if !gone(pid) {
			t.Errorf("process %d is left behind", pid)
		}
	}
	if !strings.Contains(g.out.String(), `"POST /echo HTTP/1.1" 200 6`) {
		t.Errorf("access log: %s", g.out)
	}
	if err := g.s.Reload(oneApp(t, 1)); err != ErrClosed {
		t.Errorf("Reload after the end: %v, want ErrClosed", err)
	}
}

// The requests under way are finished, new ones are not taken.
func TestDrain(t *testing.T) {
	g := start(t, oneApp(t, 1))
	release := g.hold()
	addr := g.s.Addrs()[0].String()
	g.stop()
	await(t, "the listener closes", func() bool {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			nc.Close()
		}
		return err != nil
	})
	if content, err := release(); err != nil || content == "" {
		t.Errorf("the request under way: %q, %v", content, err)
	}
	if err := g.end(); err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// A connection that a browser has opened for later does not hold up the drain
// for long, and is not cut before a request that is on its way has come.
func TestDrainWithSilentConnections(t *testing.T) {
	g := start(t, oneApp(t, 1))
	addr := g.s.Addrs()[0].String()
	for range 3 {
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
	}
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	await(t, "all are accepted", func() bool { return g.s.quiet.silent.Load() == 4 })
	begun := time.Now()
	g.stop()
	io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	answer, err := io.ReadAll(nc)
	if !strings.HasPrefix(string(answer), "HTTP/1.1 200") {
		t.Errorf("a request that came during the drain: %q, %v", answer, err)
	}
	if err := g.end(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begun); took >= 5*time.Second {
		t.Errorf("the drain took %v: it waited for connections without a request", took)
	}
}

func TestDrainTimeout(t *testing.T) {
	cfg := oneApp(t, 1)
	cfg.Timeout.Drain = 100 * time.Millisecond
	g := start(t, cfg)
	pid := g.pid()
	release := g.hold()
	if err := g.end(); err == nil || !strings.Contains(err.Error(), "still under way") {
		t.Errorf("Serve: %v, want that requests were still under way", err)
	}
	if _, err := release(); err == nil {
		t.Error("the request that was cut off looks complete")
	}
	if !gone(pid) {
		t.Errorf("process %d is left behind", pid)
	}
}

func TestClose(t *testing.T) {
	g := start(t, oneApp(t, 1))
	pid := g.pid()
	release := g.hold()
	g.stop()
	g.s.Close()
	g.end()
	if _, err := release(); err == nil {
		t.Error("the request that was cut off looks complete")
	}
	if !gone(pid) {
		t.Errorf("process %d is left behind", pid)
	}
}

// Close does not wait for what an earlier configuration left, either.
func TestCloseAfterReload(t *testing.T) {
	cfg := oneApp(t, 1, "SLUICE_TEST_STUBBORN")
	cfg.Backends[0].Stop.Timeout = -1 // for ever
	g := start(t, cfg)
	pid := g.pid()
	if err := g.s.Reload(oneApp(t, 1)); err != nil {
		t.Fatal(err)
	}
	if now := g.pid(); now == pid {
		t.Fatal("the old process answers")
	}
	if gone(pid) {
		t.Fatal("the process that ignores SIGTERM has ended: the test shows nothing")
	}
	g.s.Close()
	g.end()
	if !gone(pid) {
		t.Errorf("process %d is left behind", pid)
	}
}

// A request that is taken in the last moment is broken off, and holds nobody up.
func TestRequestAfterTheEnd(t *testing.T) {
	g := start(t, oneApp(t, 1))
	if err := g.end(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if v := recover(); v != http.ErrAbortHandler {
			t.Errorf("recovered %v, want that the request is aborted", v)
		}
	}()
	g.s.front.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
}

// What a Sluice that was killed leaves behind does not stop the next one.
func TestStaleSocket(t *testing.T) {
	path := filepath.Join(readable(t), "s")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
	cfg := oneApp(t, 1)
	cfg.Listen = []string{"unix:" + path}
	g := start(t, cfg)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != socketMode {
		t.Errorf("socket: %v, %v, want mode %o", info.Mode(), err, socketMode)
	}
	if err := g.end(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the socket is left behind")
	}
}

// A worker is killed in mid-request: that request fails, and no other.
func TestWorkerIsKilled(t *testing.T) {
	g := start(t, oneApp(t, 1))
	pid := g.pid()
	release := g.hold()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	if _, err := release(); err == nil {
		t.Error("a response whose worker was killed looks complete")
	}
	for range 5 {
		if status, content, err := g.try("POST", "/echo", "x"); status != 200 || content != "x" || err != nil {
			t.Errorf("after the kill: %d %q, %v\n%s", status, content, err, g.log)
		}
	}
	if now := g.pid(); now == pid {
		t.Error("the killed process answers")
	}
	for _, want := range []string{"killed by SIGKILL", "worker=unix:", "backend=app", "response broken off"} {
		if !strings.Contains(g.log.String(), want) {
			t.Errorf("%q is not in the log:\n%s", want, g.log)
		}
	}
}

// A request in the queue of a process that died was never read: another
// process answers it, whatever its method, and long before there is a
// successor.
func TestQueueOfADeadProcess(t *testing.T) {
	cfg := oneApp(t, 2)
	cfg.Backends[0].MaxLoad = 2
	cfg.Backends[0].KeepIdle = -1 // what is on an accepted connection may have been read
	g := start(t, cfg)
	stuck := g.pid()
	for g.pid() == stuck { // both are there
	}
	if err := syscall.Kill(stuck, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	await(t, "all of it has stopped", func() bool { return stopped(t, stuck) })
	const n = 4
	answers := make(chan string, n)
	for range n {
		go func() {
			_, content, err := g.try("POST", "/", "x")
			answers <- fmt.Sprint(content, err)
		}()
	}
	for range n / 2 { // by the other one; then only those in the queue are left
		<-answers
	}
	if err := syscall.Kill(stuck, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for range n / 2 {
		if got := <-answers; strings.HasPrefix(got, fmt.Sprint(stuck)) || !regexp.MustCompile(`^\d+<nil>$|^\d+ <nil>$`).MatchString(got) {
			t.Errorf("answer %q, want that of another process\n%s", got, g.log)
		}
	}
}

// stopped reports whether every thread of a process has stopped (proc(5)).
func stopped(t *testing.T, pid int) bool {
	t.Helper()
	stats, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", pid))
	if err != nil || len(stats) == 0 {
		t.Fatalf("no threads of process %d: %v", pid, err)
	}
	for _, file := range stats {
		b, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(b), ") T ") {
			return false
		}
	}
	return true
}

// A command that does not stay costs a request the time it may wait, and the
// log says what is wrong.
func TestCommandThatEnds(t *testing.T) {
	cfg := oneApp(t, 1)
	cfg.Backends[0].Command = []string{"/bin/false"}
	cfg.Backends[0].Queue.Timeout = 300 * time.Millisecond
	g := start(t, cfg)
	if status, _, err := g.try("POST", "/", "x"); status != 503 || err != nil {
		t.Errorf("%d, %v, want 503", status, err)
	}
	if len(g.log.With("process died", "exit status 1")) == 0 {
		t.Errorf("the log does not say why:\n%s", g.log)
	}
}

// A POST that ended its worker is not given to another one; the client is told.
func TestWorkerDiesOfARequest(t *testing.T) {
	g := start(t, oneApp(t, 2))
	g.pid()
	if status, _, err := g.try("POST", "/die", ""); status != 502 || err != nil {
		t.Errorf("POST /die: %d, %v, want 502", status, err)
	}
	if n := strings.Count(g.log.String(), "exit status 3"); n > 1 {
		t.Errorf("%d processes have died of one POST", n)
	}
	g.get("/")
}

// A GET is given to one more process at the most, whether the connections are
// kept ones or new.
func TestWorkersDieOfOneGet(t *testing.T) {
	for name, warm := range map[string]int{"new connections": 0, "kept connections": 12} {
		t.Run(name, func(t *testing.T) {
			g := start(t, oneApp(t, 4))
			for range warm {
				g.get("/")
			}
			if status, _, err := g.try("GET", "/die", ""); status < 502 || err != nil {
				t.Errorf("GET /die: %d, %v, want 502 or 503", status, err)
			}
			g.get("/")
			await(t, "the deaths are logged", func() bool { return len(g.log.With("process died")) >= 1 })
			if n := len(g.log.With("process died")); n > 2 {
				t.Errorf("%d processes have died of one GET, want 2 at the most:\n%s", n, g.log)
			}
		})
	}
}

func TestAccessLogInAFile(t *testing.T) {
	cfg := oneApp(t, 1)
	cfg.AccessLog = filepath.Join(t.TempDir(), "access.log")
	cfg.AccessFormat = "json"
	g := start(t, cfg)
	g.get("/x?y")
	if err := g.end(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(cfg.AccessLog)
	if err != nil {
		t.Fatal(err)
	}
	var line struct {
		Target, Backend, Worker string
		Status                  int
	}
	if err := json.Unmarshal(b, &line); err != nil {
		t.Fatalf("%v in %s", err, b)
	}
	if line.Target != "/x?y" || line.Status != 200 || line.Backend != "app" || !strings.HasPrefix(line.Worker, "unix:") {
		t.Errorf("access log: %s", b)
	}
}

// What cannot be started is said, and nothing is left behind.
func TestNewFails(t *testing.T) {
	dir := runtimes(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	tests := []struct {
		name string
		edit func(*config.Config)
		want string
	}{
		{"port in use", func(c *config.Config) { c.Listen = append(c.Listen, taken.Addr().String()) }, "in use"},
		{"no root", func(c *config.Config) { c.Root = "/nonexistent" }, "no such file"},
		{"no command", func(c *config.Config) { c.Backends[0].Command = []string{"/nonexistent"} }, "is not there"},
		{"no folder for the log", func(c *config.Config) { c.AccessLog = "/nonexistent/log" }, "open access log"},
		{"unknown backend", func(c *config.Config) { c.Routes[0].Backend = "other" }, "no backend"},
		{"bad pattern", func(c *config.Config) { c.Routes[0].Path = "x" }, "want"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := oneApp(t, 1)
			tt.edit(cfg)
			s, err := New(t.Context(), cfg, Options{})
			if err == nil {
				s.Close()
				t.Fatal("no error")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q in it", err, tt.want)
			}
		})
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// A client that uses its connection again is told that it ends, and not cut off.
func TestDrainWithKeptConnections(t *testing.T) {
	g := start(t, oneApp(t, 1))
	addr := g.s.Addrs()[0].String()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	r := bufio.NewReader(nc)
	ask := func() *http.Response {
		t.Helper()
		io.WriteString(nc, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		return resp
	}
	if resp := ask(); resp.Close {
		t.Error("a connection ends with its first response")
	}
	g.stop()
	await(t, "the listener is closed", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	if resp := ask(); resp.StatusCode != 200 || !resp.Close {
		t.Errorf("during the drain: %s, close %v, want 200 and that the connection ends", resp.Status, resp.Close)
	}
	if err := g.end(); err != nil {
		t.Error(err)
	}
}
