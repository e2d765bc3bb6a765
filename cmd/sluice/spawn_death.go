package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/sluice-gateway/sluice/process"
)

// deathFailure says of the death of an application why it is not up, or not any
// more, with the exit status that spawn-fcgi would have.
func deathFailure(d *process.Exit, wasUp bool) error {
	var text strings.Builder
	status := exitSpawnFCGI
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
	return &failure{err: &spawnError{text.String(), status}, hint: d.Advice}
}

// messageLines returns the lines that an error is printed in, without the name
// in front of each.
func messageLines(err error) []string {
	lines := strings.Split(strings.TrimSuffix(err.Error(), "\n"), "\n")
	if f, ok := errors.AsType[*failure](err); ok && f.hint != "" {
		lines = append(lines, "hint: "+f.hint)
	}
	return lines
}
