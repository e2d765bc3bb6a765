package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice"
)

// legacyVariable is the variable of the environment that tells a successor, in JSON,
// what it gets.
const legacyVariable = "SLUICE_HANDED_OVER"

// A legacy is what a predecessor leaves to its successor.
type legacy struct {
	Listeners map[string]int // their descriptors, by their addresses
	Processes map[string]int // how many take requests, by backend
	Ready     int            // the descriptor at which to say that it serves
}

// successorTimeout bounds how long a successor may take to serve.
const successorTimeout = 2 * time.Minute

// dismissTimeout bounds how long one may take to end that does not come to serve.
const dismissTimeout = 5 * time.Second

// startSuccessor starts the program once more, with the listeners of s, and
// waits until it serves. Then nothing is left for us but to finish what we have.
// program is ours, or what has taken its place in the meantime. When ctx is done
// the successor is ended.
func startSuccessor(ctx context.Context, s *sluice.Server, program string) (pid int, err error) {
	listeners, err := s.Listeners()
	if err != nil {
		return 0, err
	}
	defer func() {
		for _, fd := range listeners {
			syscall.Close(fd)
		}
	}()
	r, w, err := os.Pipe()
	if err != nil {
		return 0, err
	}
	defer r.Close()
	defer w.Close()
	attr, err := handOver(legacy{listeners, s.Ready(), 0}, w)
	if err != nil {
		return 0, err
	}
	pid, _, err = syscall.StartProcess(program, append([]string{program}, os.Args[1:]...), attr)
	w.Close()
	if err != nil {
		return 0, err
	}
	if err := awaitSuccessor(ctx, r); err != nil {
		dismiss(pid)
		return 0, err
	}
	return pid, nil
}

// dismiss ends a successor that is not to be one: nicely, so that it leaves
// nothing behind, if it can.
func dismiss(pid int) {
	p, err := os.FindProcess(pid)
	if err != nil {
		return
	}
	p.Signal(syscall.SIGTERM)
	defer time.AfterFunc(dismissTimeout, func() { p.Kill() }).Stop()
	p.Wait()
}

// handOver says what a successor gets. The descriptors of what are ours.
func handOver(what legacy, ready *os.File) (*syscall.ProcAttr, error) {
	files := []uintptr{0, 1, 2}
	theirs := make(map[string]int)
	for _, spec := range slices.Sorted(maps.Keys(what.Listeners)) {
		theirs[spec] = len(files)
		files = append(files, uintptr(what.Listeners[spec]))
	}
	what.Listeners, what.Ready = theirs, len(files)
	text, err := json.Marshal(what)
	if err != nil {
		return nil, err
	}
	return &syscall.ProcAttr{Env: append(os.Environ(), legacyVariable+"="+string(text)), Files: append(files, ready.Fd())}, nil
}

// awaitSuccessor waits for the word of a successor. The end of the pipe without
// one is its own end.
func awaitSuccessor(ctx context.Context, r *os.File) error {
	r.SetReadDeadline(time.Now().Add(successorTimeout))
	defer context.AfterFunc(ctx, func() { r.SetReadDeadline(time.Unix(1, 0)) })()
	_, err := r.Read(make([]byte, 1))
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, io.EOF):
		return errors.New("it ended before it served: its log says why")
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("it does not serve after %v", successorTimeout)
	}
	return err
}

// takeOver puts what a predecessor has handed over into o, and returns what tells
// it that we serve; nil if there is none. The variable is removed, so that nobody
// takes it for his.
func takeOver(o *sluice.Options) (tell func(), err error) {
	text := os.Getenv(legacyVariable)
	os.Unsetenv(legacyVariable)
	if text == "" {
		return nil, nil
	}
	var what legacy
	if err := json.Unmarshal([]byte(text), &what); err != nil {
		return nil, fmt.Errorf("%s: %w", legacyVariable, err)
	}
	o.Ready = what.Processes
	o.Listeners = make(map[string]net.Listener)
	for spec, fd := range what.Listeners {
		l, err := sluice.TakeOver(os.NewFile(uintptr(fd), spec), spec)
		if err != nil {
			return nil, err
		}
		o.Listeners[spec] = l
	}
	pipe := os.NewFile(uintptr(what.Ready), "predecessor")
	return func() {
		pipe.Write([]byte("."))
		pipe.Close()
	}, nil
}
