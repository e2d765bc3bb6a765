// Package outcome says how a command ends: an error with what to do about it,
// the lines that it is printed in, and the exit status.
package outcome

import (
	"errors"
	"fmt"
	"io"
	"strings"
)

// Exit statuses.
const (
	OK      = 0
	Problem = 1 // problems found, or something failed
	Usage   = 2 // the command line is wrong
)

// A Failure is an error that is not about the command line.
type Failure struct {
	Err  error
	Hint string // what to do; may be empty
}

func (f *Failure) Error() string { return f.Err.Error() }
func (f *Failure) Unwrap() error { return f.Err }

// Failf returns a Failure without a hint.
func Failf(format string, args ...any) error { return &Failure{Err: fmt.Errorf(format, args...)} }

// Fail marks err as a Failure, if it is not one; nil stays nil.
func Fail(err error) error {
	if _, ok := errors.AsType[*Failure](err); ok || err == nil {
		return err
	}
	return &Failure{Err: err}
}

// A Code is an error that ends the program without a further word.
type Code int

func (c Code) Error() string { return fmt.Sprintf("exit status %d", int(c)) }

// Lines returns the lines that an error is printed in: one for each that was
// joined in it, and what to do.
func Lines(err error) (lines []string) {
	for line := range strings.Lines(err.Error()) {
		lines = append(lines, strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "sluice: "))
	}
	if f, ok := errors.AsType[*Failure](err); ok && f.Hint != "" {
		lines = append(lines, "hint: "+f.Hint)
	}
	return lines
}

// Print prints lines in the name of a program.
func Print(w io.Writer, program string, lines ...string) {
	for _, line := range lines {
		fmt.Fprintf(w, "%s: %s\n", program, line)
	}
}

// Hint prints what to do; nothing if that is nothing.
func Hint(w io.Writer, program, hint string) {
	if hint != "" {
		Print(w, program, "hint: "+hint)
	}
}

// Report prints the error of a command, unless there is nothing more to say, and
// returns the exit status. help is the command line that explains the right one.
func Report(w io.Writer, program string, err error, help string) int {
	var code Code
	switch {
	case err == nil:
		return OK
	case errors.As(err, &code):
		return int(code)
	}
	Print(w, program, Lines(err)...)
	if _, ok := errors.AsType[*Failure](err); ok {
		return Problem
	}
	// All other errors come from reading the command line.
	Hint(w, program, fmt.Sprintf("see %q", help))
	return Usage
}
