package main

import (
	"errors"
	"fmt"
	"strings"
)

// failure says of the death of an application why it is not up, or not any
// more, with the exit status that spawn-fcgi would have.
func (d *death) failure(wasUp bool) error {
	var text strings.Builder
	status := exitSpawnFCGI
	switch {
	case !d.started:
		text.WriteString(d.reason)
	case d.status.Signaled():
		fmt.Fprintf(&text, "child signaled: %d", d.status.Signal())
		status = 1
	default:
		status = d.status.ExitStatus()
		fmt.Fprintf(&text, "child exited with: %d", status)
	}
	if status == 0 {
		status = 1 // what has ended is not up
	}
	if wasUp {
		text.WriteString(" (given up, after it was up)")
	}
	for _, line := range d.output {
		text.WriteString("\nit wrote: " + line)
	}
	return &failure{err: &spawnError{text.String(), status}, hint: d.advice}
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
