package fcgi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// fixedElsewhere has tests of its own.
var fixedElsewhere = []fixedTest{
	{what: "a handler panics", // TestPanic
		std:  outcome{"the process ends", `exit status 2`},
		ours: outcome{"500, and a line in both logs", `STDERR, 500, running`}},
	{what: "panic(http.ErrAbortHandler)", // TestPanic
		std:  outcome{"the process ends", `exit status 2`},
		ours: outcome{"the answer is broken off", `closed, running`}},
	{what: "memory for a short answer", // TestAllocations
		std:  outcome{text: "70 KiB"},
		ours: outcome{text: "less than a fifth of that"}},
}

func panicOrHello(w http.ResponseWriter, r *http.Request) {
	switch r.Header.Get("Panic") {
	case "oops":
		panic("oops")
	case "abort":
		io.WriteString(w, "part of it")
		panic(http.ErrAbortHandler)
	}
	io.WriteString(w, "hello")
}

// The application is this test program, started as spawn-fcgi would.
func TestPanic(t *testing.T) {
	tests := []struct {
		row   fixedTest
		value string
	}{{fixedElsewhere[0], "oops"}, {fixedElsewhere[1], "abort"}}
	for _, tt := range tests {
		for _, lib := range both {
			t.Run(tt.value+"/"+lib.name, func(t *testing.T) {
				want := tt.row.ours.seen
				if lib.name == theirs.name {
					want = tt.row.std.seen
				}
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), childVariable+"="+lib.name)
				c := startChild(t, cmd)
				got := c.ask(t, beginN1+get1+params1("HTTP_PANIC", tt.value)+endParams1+endStdin1)
				switch answer := c.state(t); {
				case answer != "running":
					got = answer
				case strings.Contains(got, "panic serving"):
					got = "STDERR, " + got[strings.Index(got, "Status: ")+len("Status: "):][:3] + ", running"
				case !strings.Contains(got, "END"):
					got = "closed, running"
				}
				if got != want {
					t.Errorf("seen: %s\nwant: %s", got, want)
				}
			})
		}
	}
}

// A child is an application in a process of its own.
type child struct {
	address string
	out     bytes.Buffer // what it writes
	ended   chan error
}

// startChild starts a program with a listening socket as its standard input.
func startChild(t *testing.T, cmd *exec.Cmd) *child {
	t.Helper()
	dir, err := os.MkdirTemp("", "fcgi") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	c := &child{address: filepath.Join(dir, "s"), ended: make(chan error, 1)}
	l, err := net.Listen("unix", c.address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // so that nobody but the child listens
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	stdin, err := l.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &c.out, &c.out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { // until the process has ended
		c.ended <- cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-exited
		if t.Failed() {
			t.Logf("the child wrote: %s", c.out.Bytes())
		}
	})
	return c
}

// ask sends something and returns all that comes, be it nothing.
func (c *child) ask(t *testing.T, in string) string {
	t.Helper()
	nc, err := net.Dial("unix", c.address)
	if err != nil {
		return ""
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	io.WriteString(nc, in) // the child may be about to end
	out, err := io.ReadAll(nc)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	return strings.Join(describe(out), " ")
}

// state returns how the child has ended, or "running" if it still answers.
func (c *child) state(t *testing.T) string {
	t.Helper()
	if c.ask(t, wholeN1) == hello1 {
		return "running"
	}
	select {
	case err := <-c.ended:
		return fmt.Sprint(err)
	case <-time.After(20 * time.Second):
		return "neither running nor ended"
	}
}
