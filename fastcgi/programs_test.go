package fastcgi_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi/cgihttp"
	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/sluice-gateway/sluice/internal/testproc"
)

// serve serves l with h until the test ends.
func serve(t *testing.T, l net.Listener, h http.Handler) *fastcgi.Server {
	t.Helper()
	s := &fastcgi.Server{Handler: cgihttp.Handler(h)}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }() // ends with the Shutdown
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		if err := <-done; !errors.Is(err, fastcgi.ErrClosed) {
			t.Errorf("serve: %v, want %v", err, fastcgi.ErrClosed)
		}
	})
	return s
}

// A program is a process that a test has started, with those it has started
// itself.
type program struct {
	cmd    *exec.Cmd
	output string        // file of its standard output and error
	done   chan struct{} // closed when it has ended; then err is set
	err    error
}

// startProgram starts cmd. The end of the test ends it; if the test has
// failed, its output is shown.
func startProgram(t *testing.T, cmd *exec.Cmd) *program {
	t.Helper()
	p := &program{cmd: cmd, output: filepath.Join(t.TempDir(), "output"), done: make(chan struct{})}
	f, err := os.Create(p.output)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f // a file needs no goroutine that copies
	cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH"))
	cmd.SysProcAttr = testproc.Attributes()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.err = cmd.Wait(); close(p.done) }() // stop waits for it
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("%v: %v: %s", cmd, p.err, p.said())
		}
	})
	return p
}

func (p *program) said() []byte {
	b, err := os.ReadFile(p.output)
	if err != nil {
		return []byte(err.Error())
	}
	return b[max(0, len(b)-8<<10):]
}

// stop asks the process to end, and after a while kills it with its children.
func (p *program) stop(t *testing.T) {
	select {
	case <-p.done:
		return
	default:
		p.cmd.Process.Signal(syscall.SIGTERM)
	}
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		t.Errorf("%v does not end on SIGTERM", p.cmd)
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
}

// awaitListening waits until the program accepts connections.
func (p *program) awaitListening(t *testing.T, network, address string) {
	t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(20 * time.Second); ; {
		c, err := net.DialTimeout(network, address, time.Second)
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-p.done:
			t.Fatalf("%v ended: %v: %s", p.cmd, p.err, p.said())
		case <-poll.C:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v does not listen: %v: %s", p.cmd, err, p.said())
		}
	}
}

// shortDir makes a folder that other users can read, with a name that is short
// enough for unix sockets.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeFile(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// copyProgram copies a script, which may be run then.
func copyProgram(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, b, 0o755); err != nil {
		t.Fatal(err)
	}
}

// countingRelay passes connections on, so that a test can count those that a
// peer has accepted.
func countingRelay(t *testing.T, network, address string) (relayNetwork, relayAddress string, accepted func() int) {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(shortDir(t), "r.sock"))
	if err != nil {
		t.Fatal(err)
	}
	var n atomic.Int32
	var wg sync.WaitGroup // its goroutines end when l and the connections close
	wg.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			n.Add(1)
			far, err := net.Dial(network, address)
			if err != nil {
				near.Close()
				continue
			}
			pass := func(to, from net.Conn) {
				io.Copy(to, from)
				to.Close()
				from.Close()
			}
			wg.Go(func() { pass(near, far) })
			wg.Go(func() { pass(far, near) })
		}
	})
	t.Cleanup(func() { l.Close(); wg.Wait() })
	return "unix", l.Addr().String(), func() int { return int(n.Load()) }
}
