package spawn

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"sync"
	"syscall"

	"github.com/sluice-gateway/sluice/cmd/sluice/outcome"
	"github.com/sluice-gateway/sluice/process"
)

// startSupervisor starts this program again, in a session of its own, and waits
// until the application is up or has failed.
func (p *plan) startSupervisor(stdout, stderr io.Writer) error {
	r, w, err := os.Pipe()
	if err != nil {
		return outcome.Fail(err)
	}
	defer r.Close()
	// Signals count from before the start, so that none leaves a supervisor
	// behind that nobody waits for.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP)
	defer signal.Stop(signals)
	cmd, err := startAgain(w)
	w.Close()
	if err != nil {
		return outcome.Failf("start the supervisor: %w", err)
	}
	defer endOn(signals, cmd.Process)()
	text, err := io.ReadAll(r)
	if err != nil {
		return outcome.Fail(err)
	}
	var report startReport
	if err := json.Unmarshal(text, &report); err != nil {
		return outcome.Failf("the supervisor ended without a word: %v", cmd.Wait())
	}
	outcome.Print(stderr, p.name(), report.Message...)
	if !report.Up {
		cmd.Wait()
		return outcome.Code(report.Status)
	}
	_, err = fmt.Fprintf(stdout, "%s: child spawned successfully: PID: %d\n", p.name(), cmd.Process.Pid)
	return outcome.Fail(err)
}

// startAgain starts this program again, as a supervisor that reports to w.
func startAgain(w *os.File) (*exec.Cmd, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := &exec.Cmd{
		Path: self, Args: os.Args, Env: append(os.Environ(), reportVar+"=3"), Stderr: os.Stderr, ExtraFiles: []*os.File{w},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	// What whoever started us has open besides, a lock or a pipe, is not for
	// somebody who stays.
	process.KeepDescriptors()
	return cmd, cmd.Start()
}

// endOn ends the supervisor, which reports that, when somebody is impatient.
// stop ends the watching, and waits for that.
func endOn(signals <-chan os.Signal, supervisor *os.Process) (stop func()) {
	over := make(chan struct{})
	var runs sync.WaitGroup
	runs.Go(func() { // ends with stop
		for {
			select {
			case <-signals:
				supervisor.Signal(syscall.SIGTERM)
			case <-over:
				return
			}
		}
	})
	return func() { close(over); runs.Wait() }
}
