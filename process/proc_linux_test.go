package process

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

func init() {
	// The first process of a PID namespace, with the /proc of another.
	moreParts["abroad"] = func() error {
		if os.Getpid() != 1 {
			return errors.New("this is not the first process")
		}
		for pid := range everyProcess() {
			return fmt.Errorf("it sees process %d", pid)
		}
		if _, err := Adopt(); err == nil || !strings.HasSuffix(err.Error(), abroad) {
			return fmt.Errorf("Adopt = %w", err)
		}
		spec := script("(exec sleep 60) & echo there; wait")
		for name, change := range map[string]func(s *Spec){
			"user":   func(s *Spec) { s.Credential = &Credential{UID: nobody, GID: nobody} },
			"limits": func(s *Spec) { s.Isolation.Limits = []Limit{{"core", 0, 0}} },
			"memory": func(s *Spec) { s.MaxMemory = 1 << 30 },
		} {
			with := spec
			if change(&with); with.Check() == nil || !strings.HasSuffix(with.Check().Error(), abroad) {
				return fmt.Errorf("%s: Check = %w", name, with.Check())
			}
		}
		g, err := NewGroup(spec, 1, os.Getenv("TMPDIR"))
		if err != nil {
			return err
		}
		if err := g.Start(); err != nil {
			return err
		}
		if err := soon(func() bool { return len(g.Status()[0].Output) == 1 }); err != nil {
			return err
		}
		begin := time.Now()
		if err := g.Stop(context.Background()); err != nil || time.Since(begin) > 3*time.Second {
			return fmt.Errorf("Stop = %w, after %v", err, time.Since(begin))
		}
		if pid, err := syscall.Wait4(-1, nil, syscall.WNOHANG, nil); err != syscall.ECHILD {
			return fmt.Errorf("process %d is left: %w", pid, err)
		}
		return nil
	}
}

const abroad = "what a process is cannot be seen: /proc is that of another PID namespace: mount /proc (unshare has --mount-proc)"

// With the /proc of another PID namespace nothing is believed that it says.
func TestForeignProc(t *testing.T) {
	needRoot(t)
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), childMode+"=abroad", "TMPDIR="+shortDir(t), "GORACE=atexit_sleep_ms=0")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, syscall.EPERM) {
		t.Skip("no PID namespace can be made here: ", err)
	}
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
