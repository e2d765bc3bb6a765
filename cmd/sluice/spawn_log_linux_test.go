package main

import (
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/internal/testproc"
	"golang.org/x/sys/unix"
)

// A log that nobody reads does not keep the supervisor from hearing signals.
func TestSpawnHearsWithoutReader(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	size, err := unix.FcntlInt(w.Fd(), unix.F_SETPIPE_SZ, 4096)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(bounded(t), ours(t, "sluice"), "spawn", "-n", "-s", "s", "--no-ping", "--", "/bin/sh", "-c", "while :; do echo xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx; done")
	cmd.Dir, cmd.Stderr = testproc.ShortDir(t), w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }() // the context bounds it; awaited below
	await(t, "a full pipe", func() bool {
		n, err := unix.IoctlGetInt(int(r.Fd()), unix.TIOCINQ)
		return err == nil && n > size-200
	})
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("it ended with %v", err)
		}
	case <-time.After(patience):
		t.Errorf("it has not ended %v after SIGTERM", patience)
		cmd.Process.Kill()
		<-ended
	}
}
