package spawn

import (
	"context"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/sluice-gateway/sluice/cmd/sluice/outcome"
)

// spawnFCGI is the name of the program that we stand in for when we are called
// so.
const spawnFCGI = "spawn-fcgi"

// StandsIn reports whether a program that is called by this name is to stand in
// for spawn-fcgi.
func StandsIn(name string) bool { return filepath.Base(name) == spawnFCGI }

// Run is the whole program under the name spawn-fcgi.
func Run(ctx context.Context, version string, args []string, stdout, stderr io.Writer) (status int) {
	cmd := newCommand(spawnFCGI, version)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	cmd.CompletionOptions.DisableDefaultCmd = true
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	status = outcome.Report(stderr, spawnFCGI, err, spawnFCGI+" -h")
	if _, is := errors.AsType[outcome.Code](err); is || err == nil {
		return status
	}
	return compatStatus(err)
}

// refusedStatus is what spawn-fcgi ends with when it refuses something.
const refusedStatus = 255

// A statusError is an error with an exit status of its own, which counts under
// the name spawn-fcgi only.
type statusError struct {
	text   string
	status int
}

func (e *statusError) Error() string { return e.text }

// compatStatus returns what spawn-fcgi ends with after an error.
func compatStatus(err error) int {
	if e, ok := errors.AsType[*statusError](err); ok {
		return e.status
	}
	return refusedStatus
}

// errnoText returns an error of the system as C programs print it.
func errnoText(err error) string {
	var errno syscall.Errno
	if !errors.As(err, &errno) {
		return err.Error()
	}
	text := errno.Error()
	return strings.ToUpper(text[:1]) + text[1:]
}
