package main

import (
	"cmp"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary a "sluice" too, in the PATH of the tests: the
// scripts and the tests that need a process run the program as a user does.
// The other programs are in programs_test.go.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sluice":       main,
		"spawn-fcgi":   main,
		"worker":       workerMain,
		"http-get":     httpGetMain,
		"await":        awaitMain,
		"tell-signals": tellSignalsMain,
	})
}

// fails is "fails STATUS PROGRAM [ARG...]": the program must end with this
// status. What it says is for stdout and stderr, as after exec.
func fails(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: fails STATUS PROGRAM [ARG...]")
	}
	err := ts.Exec(args[1], args[2:]...)
	status := 0
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		status = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	if args[0] != strconv.Itoa(status) {
		ts.Fatalf("exit status %d, want %s", status, args[0])
	}
}

// send is "send SIGNAL PROGRAM": it reaches all of that name in the background.
func send(ts *testscript.TestScript, neg bool, args []string) {
	signals := map[string]os.Signal{"TERM": syscall.SIGTERM, "HUP": syscall.SIGHUP, "KILL": syscall.SIGKILL}
	if neg || len(args) != 2 || signals[args[0]] == nil {
		ts.Fatalf("usage: send TERM|HUP|KILL PROGRAM")
	}
	found := false
	for _, cmd := range ts.BackgroundCmds() {
		// After wait a command is not in the list any more.
		if filepath.Base(cmd.Path) == args[1] {
			found = true
			ts.Check(cmd.Process.Signal(signals[args[0]]))
		}
	}
	if !found {
		ts.Fatalf("there is no %s in the background", args[1])
	}
}

// quickRace is the value of GORACE for programs that tests start: the race
// detector lets a program sleep for a second at its end.
func quickRace() string { return cmp.Or(os.Getenv("GORACE"), "atexit_sleep_ms=0") }

// TestScripts runs testdata/*.txt, which read like a session at a terminal.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:  "testdata",
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"fails": fails, "send": send},
		Setup: func(env *testscript.Env) error {
			env.Setenv("GORACE", quickRace())
			return nil
		},
	})
}
