package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"syscall"

	"github.com/sluice-gateway/sluice/process"
	"golang.org/x/sys/unix"
)

// reportVar tells a supervisor on which descriptor it says how its start went.
// It is a variable and no flag, so that ps shows what was typed.
const reportVar = "SLUICE_SPAWN_REPORT"

// A startReport is how the start of a supervisor in the background went.
type startReport struct {
	Up      bool
	Status  int      // to exit with
	Message []string // for standard error
}

// startSupervisor starts this program again, in a session of its own, and waits
// until the application is up or has failed.
func (p *spawnPlan) startSupervisor(stdout, stderr io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	r, w, err := os.Pipe()
	if err != nil {
		return fail(err)
	}
	defer r.Close()
	cmd := &exec.Cmd{
		Path: self, Args: os.Args, Env: append(os.Environ(), reportVar+"=3"), Stderr: os.Stderr, ExtraFiles: []*os.File{w},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	// What whoever started us has open besides, a lock or a pipe, is not for
	// somebody who stays.
	process.KeepDescriptors()
	if err := cmd.Start(); err != nil {
		w.Close()
		return failf("start the supervisor: %w", err)
	}
	w.Close()
	// Who is impatient ends the supervisor, which reports that.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP)
	defer signal.Stop(signals)
	ctx, done := context.WithCancel(context.Background())
	defer done()
	go func() { // ends with ctx
		for {
			select {
			case <-signals:
				cmd.Process.Signal(syscall.SIGTERM)
			case <-ctx.Done():
				return
			}
		}
	}()
	text, err := io.ReadAll(r)
	if err != nil {
		return fail(err)
	}
	var report startReport
	if err := json.Unmarshal(text, &report); err != nil {
		return failf("the supervisor ended without a word: %v", cmd.Wait())
	}
	for _, line := range report.Message {
		fmt.Fprintf(stderr, "%s: %s\n", p.name(), line)
	}
	if !report.Up {
		cmd.Wait()
		return exitCode(report.Status)
	}
	_, err = fmt.Fprintf(stdout, "%s: child spawned successfully: PID: %d\n", p.name(), cmd.Process.Pid)
	return fail(err)
}

// A reporter is the supervisor's end of that; nil in the foreground.
type reporter struct{ file *os.File }

// takeReport returns the reporter of a supervisor in the background, nil if we
// are none.
func takeReport() (*reporter, error) {
	number, ok := os.LookupEnv(reportVar)
	if !ok {
		return nil, nil
	}
	os.Unsetenv(reportVar)
	fd, err := strconv.Atoi(number)
	if err != nil || fd < 3 {
		return nil, fmt.Errorf("%s is %q: it is ours, and nobody else should set it", reportVar, number)
	}
	syscall.CloseOnExec(fd)
	return &reporter{os.NewFile(uintptr(fd), "report")}, nil
}

// send says how the start went. It does so once.
func (r *reporter) send(report startReport) {
	if r == nil || r.file == nil {
		return
	}
	json.NewEncoder(r.file).Encode(report) // whoever waited for it may be gone
	r.file.Close()
	r.file = nil
}

// detach lets go of what whoever started us may wait for, or want to unmount.
func (l *spawnLog) detach() error {
	if err := os.Chdir("/"); err != nil {
		return err
	}
	if l.file == nil {
		return nil
	}
	return unix.Dup2(int(l.file.Fd()), 2)
}
