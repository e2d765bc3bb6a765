package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// A failure is an error that is not about the command line.
type failure struct {
	err  error
	hint string // what to do; may be empty
}

func (f *failure) Error() string { return f.err.Error() }
func (f *failure) Unwrap() error { return f.err }

func failf(format string, args ...any) error { return &failure{err: fmt.Errorf(format, args...)} }

// fail marks err as a failure, if it is not one; nil stays nil.
func fail(err error) error {
	if _, ok := errors.AsType[*failure](err); ok || err == nil {
		return err
	}
	return &failure{err: err}
}

// unreadable is the failure to read a configuration.
func unreadable(file string, err error) error {
	f := &failure{err: fmt.Errorf("configuration %s: %w", file, err)}
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		f.err = fmt.Errorf("%s configuration %s: %w", pe.Op, file, pe.Err)
	}
	if errors.Is(err, fs.ErrNotExist) {
		f.hint = "without a configuration, \"sluice serve FOLDER\" serves a folder"
	}
	return f
}

// printError prints an error, a line for each that was joined in it, and what
// to do.
func printError(w io.Writer, err error) { printErrorAs(w, "sluice", err) }

// printErrorAs is printError under another name than ours.
func printErrorAs(w io.Writer, name string, err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(w, "%s: %s\n", name, strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "sluice: "))
	}
	if f, ok := errors.AsType[*failure](err); ok && f.hint != "" {
		fmt.Fprintf(w, "%s: hint: %s\n", name, f.hint)
	}
}

func printHint(w io.Writer, hint string) {
	if hint != "" {
		fmt.Fprintf(w, "sluice: hint: %s\n", hint)
	}
}

// An exitCode ends the program without a further word.
type exitCode int

func (c exitCode) Error() string { return fmt.Sprintf("exit status %d", int(c)) }
