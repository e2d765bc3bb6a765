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
	"strconv"
	"syscall"
	"time"

	"github.com/sluice-gateway/sluice"
)

// What a predecessor tells its successor, by variables of the environment: which
// listeners it finds at which descriptors (JSON, address to number), and where
// to say that it serves.
const (
	handedListeners = "SLUICE_HANDED_LISTENERS"
	handedReady     = "SLUICE_HANDED_READY"
)

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
	attr, err := handOver(listeners, w)
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

// handOver says what a successor gets.
func handOver(listeners map[string]int, ready *os.File) (*syscall.ProcAttr, error) {
	files := []uintptr{0, 1, 2}
	at := make(map[string]int)
	for _, spec := range slices.Sorted(maps.Keys(listeners)) {
		at[spec] = len(files)
		files = append(files, uintptr(listeners[spec]))
	}
	text, err := json.Marshal(at)
	if err != nil {
		return nil, err
	}
	env := append(os.Environ(), handedListeners+"="+string(text), handedReady+"="+strconv.Itoa(len(files)))
	return &syscall.ProcAttr{Env: env, Files: append(files, ready.Fd())}, nil
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

// takeOver returns the listeners that a predecessor has handed over, and what
// tells it that we serve. The variables are removed, so that nobody takes them
// for theirs.
func takeOver() (listeners map[string]net.Listener, ready func(), err error) {
	text, number := os.Getenv(handedListeners), os.Getenv(handedReady)
	os.Unsetenv(handedListeners)
	os.Unsetenv(handedReady)
	if text == "" {
		return nil, func() {}, nil
	}
	at := make(map[string]int)
	if err := json.Unmarshal([]byte(text), &at); err != nil {
		return nil, nil, fmt.Errorf("%s: %w", handedListeners, err)
	}
	fd, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", handedReady, err)
	}
	listeners = make(map[string]net.Listener)
	for spec, fd := range at {
		l, err := sluice.TakeOver(os.NewFile(uintptr(fd), spec), spec)
		if err != nil {
			return nil, nil, err
		}
		listeners[spec] = l
	}
	pipe := os.NewFile(uintptr(fd), "predecessor")
	return listeners, func() {
		pipe.Write([]byte("."))
		pipe.Close()
	}, nil
}
