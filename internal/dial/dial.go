// Package dial connects to applications.
package dial

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"syscall"
	"time"
)

// A unix socket whose backlog is full refuses at once with EAGAIN; TCP would
// try again by itself.
const (
	retryMin = 2 * time.Millisecond
	retryMax = 50 * time.Millisecond
)

// A Func makes a connection.
type Func func(ctx context.Context, network, address string) (net.Conn, error)

// Dial connects to address, within timeout if that is positive. A unix socket
// whose backlog is full belongs to an application that is busy, not down, so it
// is asked again. The error does not repeat the address; if ctx is done, it is
// its cause, and if the time is up, a timeout.
func Dial(ctx context.Context, network, address string, timeout time.Duration) (net.Conn, error) {
	return Func(nil).Dial(ctx, network, address, timeout)
}

// Dial is the function Dial with f in the place of Connect; f may be nil.
func (f Func) Dial(ctx context.Context, network, address string, timeout time.Duration) (net.Conn, error) {
	if f == nil {
		f = Connect
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx) // f may not look
	}
	caller := ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, timeout, Timeout(fmt.Sprintf("no connection for %v", timeout)))
		defer cancel()
	}
	for pause := retryMin; ; pause = min(2*pause, retryMax) {
		nc, err := f(ctx, network, address)
		if err == nil {
			return nc, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if !errors.Is(err, syscall.EAGAIN) {
			return nil, Bare(err)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			if caller.Err() != nil {
				return nil, context.Cause(caller)
			}
			return nil, Timeout(fmt.Sprintf("the backlog of the socket is full (%v)", syscall.EAGAIN))
		}
	}
}

// Bare strips what a cgi.Error says itself.
func Bare(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// Name is how an address is written in errors and logs.
func Name(network, address string) string {
	if network == "unix" {
		return "unix:" + address
	}
	return address
}

// A Timeout is an error that is a timeout.
type Timeout string

func (e Timeout) Error() string   { return string(e) }
func (e Timeout) Timeout() bool   { return true }
func (e Timeout) Temporary() bool { return true }

// Broken reports whether err says that a connection broke, as against a peer
// that is slow or talks nonsense.
func Broken(err error) bool {
	for _, e := range []error{io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
