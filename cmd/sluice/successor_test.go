package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var handedTo = regexp.MustCompile(`msg="handed over, draining" to=(\d+)`)

// A gateway that replaces itself, again and again, answers everybody, at a port
// and at a unix socket, and leaves nothing behind.
func TestSuccession(t *testing.T) {
	const successions, clients = 5, 32
	ctx := bounded(t)
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket, file := filepath.Join(dir, "http"), filepath.Join(dir, "sluice.toml")
	text := "listen = [\"127.0.0.1:0\", \"unix:" + socket + "\"]\n[backend.app]\ncommand = [\"worker\", \"fd:0\"]\nprocesses.max = 2\n[[route]]\nbackend = \"app\"\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startProgram(ctx, t, "serve", "-c", file)
	last := p.cmd.Process.Pid
	t.Cleanup(func() { syscall.Kill(last, syscall.SIGTERM) })

	var good, bad atomic.Int64
	var first atomic.Pointer[string]
	stop := make(chan struct{})
	var crowd sync.WaitGroup
	for n := range clients {
		crowd.Go(func() {
			url, client := p.url+"status?200", &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
			if n%2 == 1 {
				client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					return (&net.Dialer{}).DialContext(ctx, "unix", socket)
				}}
			}
			defer client.CloseIdleConnections()
			for {
				do := ask
				if n%4 >= 2 {
					do = tell
				}
				if why := do(client, url); why == "" {
					good.Add(1)
				} else {
					bad.Add(1)
					first.CompareAndSwap(nil, &why)
				}
				select {
				case <-stop:
					return
				case <-time.After(5 * time.Millisecond):
				}
			}
		})
	}
	for n := range successions {
		time.Sleep(300 * time.Millisecond) // of requests
		if err := syscall.Kill(last, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		var found [][]string
		for len(found) <= n && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
			found = handedTo.FindAllStringSubmatch(p.log.String(), -1)
		}
		if len(found) <= n {
			t.Fatalf("succession %d: nothing was handed over", n)
		}
		was := last
		last, _ = strconv.Atoi(found[n][1])
		for runs(was) && ctx.Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
	}
	close(stop)
	crowd.Wait()
	t.Logf("%d requests, %d failed, %d successions", good.Load()+bad.Load(), bad.Load(), successions)
	if bad.Load() > 0 {
		t.Errorf("%d of %d requests failed, the first: %s", bad.Load(), good.Load()+bad.Load(), *first.Load())
	}
	if good.Load() < clients*10 {
		t.Errorf("%d requests: the test shows nothing", good.Load())
	}

	// A successor that does not come up changes nothing.
	if err := os.WriteFile(file, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	syscall.Kill(last, syscall.SIGUSR2)
	for !strings.Contains(p.log.String(), "successor failed") && ctx.Err() == nil {
		time.Sleep(10 * time.Millisecond)
	}
	if why := ask(http.DefaultClient, p.url+"status?200"); why != "" {
		t.Errorf("after a successor that failed: %s", why)
	}
	if err := syscall.Kill(last, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for ctx.Err() == nil {
		if _, err := os.Lstat(socket); os.IsNotExist(err) {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the last one has left its socket")
}

// runs reports whether a process is there, and is no zombie.
func runs(pid int) bool {
	now, err := readProc(pid)
	return err == nil && now.state != "Z"
}

// ask says what is wrong with an answer, "" if nothing is; tell does so for a
// POST, which a client does not send twice.
func ask(client *http.Client, url string) string { return wrong(client.Get(url)) }

func tell(client *http.Client, url string) string {
	return wrong(client.Post(url, "text/plain", strings.NewReader("a body")))
}

func wrong(resp *http.Response, err error) string {
	if err != nil {
		return err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	switch {
	case err != nil:
		return err.Error()
	case resp.StatusCode != 200:
		return resp.Status + " " + string(b)
	}
	return ""
}
