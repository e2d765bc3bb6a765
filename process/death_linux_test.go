package process

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// How a process has died is known before it is reaped.
func TestAwaitDeath(t *testing.T) {
	for _, end := range []string{"exit 0", "exit 3", "exit 255", "kill -KILL $$", "ulimit -c 0; kill -SEGV $$"} {
		cmd := exec.Command("/bin/sh", "-c", "read x; "+end)
		in, err := cmd.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		in.Close()
		got, err := awaitDeath(cmd.Process.Pid)
		if err != nil || !gone(cmd.Process.Pid) {
			t.Errorf("%s: awaitDeath = %v, and it is gone: %v", end, err, gone(cmd.Process.Pid))
		}
		cmd.Wait()
		if want := cmd.ProcessState.Sys().(syscall.WaitStatus); got != want {
			t.Errorf("%s: awaitDeath = %#x, want %#x", end, got, want)
		}
	}
	if _, err := awaitDeath(os.Getpid()); err != unix.ECHILD {
		t.Errorf("awaitDeath of no child = %v, want ECHILD", err)
	}
}

func init() {
	moreParts["threads"] = func() error { // of a program that has hardly any other
		const n = 100
		g, err := NewGroup(Spec{Args: []string{"/bin/sleep", "60"}}, n, os.Getenv("TMPDIR"))
		if err != nil {
			return err
		}
		if err := g.Start(); err != nil {
			return err
		}
		if err := g.Ready(context.Background()); err != nil {
			return err
		}
		b, err := os.ReadFile("/proc/self/status")
		if err != nil {
			return err
		}
		fmt.Println(parseStatus(b)["Threads"])
		return g.Stop(context.Background())
	}
}

// Processes take no threads of ours.
func TestThreads(t *testing.T) {
	fd, err := unix.PidfdOpen(os.Getpid(), unix.PIDFD_NONBLOCK)
	if err != nil {
		t.Skip("there is no pidfd that does not block: ", err)
	}
	unix.Close(fd)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childMode+"=threads", "TMPDIR="+shortDir(t), "GORACE=atexit_sleep_ms=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if n := number(t, string(out)); n > 50 {
		t.Errorf("100 processes take %d threads", n)
	} else {
		t.Logf("100 processes take %d threads", n)
	}
}
