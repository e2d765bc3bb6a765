// Package testproc runs programs for tests.
package testproc

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

const (
	startTime = 20 * time.Second // until a program listens
	stopTime  = 10 * time.Second // from SIGTERM to the end
)

// A Program is a process that a test has started, with those it has started
// itself.
type Program struct {
	cmd    *exec.Cmd
	output string        // file of its standard output and error
	done   chan struct{} // closed when it has ended; then err is set
	err    error
}

// Start starts cmd, whose environment is cmd.Env and PATH. The end of the test
// ends it; if the test has failed, its output is shown.
func Start(t *testing.T, cmd *exec.Cmd) *Program {
	t.Helper()
	p := &Program{cmd: cmd, output: filepath.Join(t.TempDir(), "output"), done: make(chan struct{})}
	f, err := os.Create(p.output)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	cmd.Stdout, cmd.Stderr = f, f // a file needs no goroutine that copies
	cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH"))
	cmd.SysProcAttr = Attributes()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { p.err = cmd.Wait(); close(p.done) }() // stop waits for it
	t.Cleanup(func() {
		p.stop(t)
		if t.Failed() {
			t.Logf("%v: %v: %s", cmd, p.err, p.Said())
		}
	})
	return p
}

// Said returns the last 8 KiB that the program has printed.
func (p *Program) Said() string {
	b, err := os.ReadFile(p.output)
	if err != nil {
		return err.Error()
	}
	return string(b[max(0, len(b)-8<<10):])
}

// stop asks the process to end, and after a while kills it with its children.
func (p *Program) stop(t *testing.T) {
	select {
	case <-p.done:
		return
	default:
		p.cmd.Process.Signal(syscall.SIGTERM)
	}
	select {
	case <-p.done:
	case <-time.After(stopTime):
		t.Errorf("%v does not end on SIGTERM", p.cmd)
		syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL)
		<-p.done
	}
}

// AwaitListening waits until the program accepts connections.
func (p *Program) AwaitListening(t *testing.T, network, address string) {
	t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for deadline := time.Now().Add(startTime); ; {
		c, err := net.DialTimeout(network, address, time.Second)
		if err == nil {
			c.Close()
			return
		}
		select {
		case <-p.done:
			t.Fatalf("%v ended: %v: %s", p.cmd, p.err, p.Said())
		case <-poll.C:
		}
		if time.Now().After(deadline) {
			t.Fatalf("%v does not listen: %v: %s", p.cmd, err, p.Said())
		}
	}
}

// ShortDir makes a folder that other users can read, with a name that is short
// enough for unix sockets.
func ShortDir(t testing.TB) string {
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
