package spawn

import (
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/cmd/sluice/outcome"
	"github.com/sluice-gateway/sluice/process"
)

// deathFailure says of the death of an application why it is not up, or not any
// more, with the exit status that spawn-fcgi would have.
func deathFailure(d *process.Exit, wasUp bool) error {
	var text strings.Builder
	status := refusedStatus
	switch {
	case d.PID == 0:
		text.WriteString(d.Reason)
	case d.Status.Signaled():
		fmt.Fprintf(&text, "child signaled: %d", d.Status.Signal())
		status = 1
	default:
		status = d.Status.ExitStatus()
		fmt.Fprintf(&text, "child exited with: %d", status)
	}
	if status == 0 {
		status = 1 // what has ended is not up
	}
	if wasUp {
		text.WriteString(" (given up, after it was up)")
	}
	for _, line := range d.Output {
		text.WriteString("\nit wrote: " + line)
	}
	return &outcome.Failure{Err: &statusError{text.String(), status}, Hint: d.Advice}
}
