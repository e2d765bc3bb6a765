package cgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
)

// A Program is a process that a web server has started to answer one request
// (RFC 3875 §7.2).
type Program struct {
	Env    []string // "NAME=value"; the meta-variables among others
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
}

// ErrNotCGI is the error of a process that was not started as a CGI program.
var ErrNotCGI = errors.New("cgi: not started as a CGI program: there is no GATEWAY_INTERFACE in the environment")

// Serve answers the request for which this process was started as a CGI
// program. It returns ErrNotCGI if it was not: the same program can then go on
// to serve FastCGI.
func Serve(ctx context.Context, h Handler) error {
	return Program{os.Environ(), os.Stdin, os.Stdout, os.Stderr}.Serve(ctx, h)
}

// Serve answers the request with h. A panic of h is answered with status 500 if
// nothing has been sent, and told to Stderr. An answer that could not be
// completed is an error: the process should exit with a status that is not 0.
//
// After CONTENT_LENGTH bytes the body is at its end; without CONTENT_LENGTH
// there is none (RFC 3875 §4.1.2), but for web servers that pass on a chunked
// one and say so (HTTP_TRANSFER_ENCODING). A body that is cancelled leaves a
// goroutine behind that reads Stdin.
func (p Program) Serve(ctx context.Context, h Handler) error {
	params, ok := p.params()
	if !ok {
		return ErrNotCGI
	}
	out := &programOutput{ctx, p.Stdout, p.Stderr, Reply{}}
	r, err := FromParams(params)
	if err != nil {
		fmt.Fprintln(p.Stderr, err)
		out.Reset(out, &Request{Method: "GET"})
		out.WriteHeader(400, Header{{"Content-Type", "text/plain; charset=utf-8"}})
		io.WriteString(out, "Bad Request\n")
		return out.end()
	}
	p.addBody(r)
	out.Reset(out, r)
	served := make(chan struct{})
	go func() { // which h may end
		defer close(served)
		out.serve(ctx, h, r)
	}()
	<-served
	return out.end()
}

// params returns the environment as params.
func (p Program) params() (params []Field, ok bool) {
	for _, v := range p.Env {
		name, value, _ := strings.Cut(v, "=")
		params = append(params, Field{name, value})
	}
	return params, slices.ContainsFunc(params, func(f Field) bool { return f.Name == "GATEWAY_INTERFACE" && f.Value != "" })
}

// addBody adds the body, if there is one.
func (p Program) addBody(r *Request) {
	switch _, chunked := r.Param("HTTP_TRANSFER_ENCODING"); {
	case r.ContentLength > 0:
		r.Body = newPipeBody(io.LimitReader(p.Stdin, r.ContentLength), r.ContentLength)
	case r.ContentLength < 0 && chunked:
		r.Body = newPipeBody(p.Stdin, -1)
	default:
		r.ContentLength = 0
	}
}

// A pipeBody is a body whose reading can be given up.
type pipeBody struct {
	*io.PipeReader
	left int64 // bytes to come, or -1
}

func newPipeBody(src io.Reader, length int64) *pipeBody {
	pr, pw := io.Pipe()
	go func() { // ends with the body, or with the process
		_, err := io.Copy(pw, src)
		pw.CloseWithError(err)
	}()
	return &pipeBody{pr, length}
}

// Read implements Body.
func (b *pipeBody) Read(p []byte) (int, error) {
	n, err := b.PipeReader.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
	}
	if err == io.EOF && b.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// Cancel implements Body.
func (b *pipeBody) Cancel() { b.CloseWithError(errors.New("cgi: read request body: cancelled")) }

// programOutput is the ResponseWriter of a Program.
type programOutput struct {
	ctx            context.Context
	stdout, stderr io.Writer
	Reply
}

// Send implements Output.
func (o *programOutput) Send(gathered, p []byte) error {
	for _, b := range [][]byte{gathered, p} {
		if len(b) == 0 {
			continue
		}
		if _, err := o.stdout.Write(b); err != nil {
			return err
		}
	}
	return nil
}

// Gone implements Output.
func (o *programOutput) Gone() error {
	if o.ctx.Err() != nil {
		return context.Cause(o.ctx)
	}
	return nil
}

// Stderr is found by the function Stderr.
func (o *programOutput) Stderr() io.Writer { return o.stderr }

func (o *programOutput) serve(ctx context.Context, h Handler, r *Request) {
	returned := false
	defer func() {
		if returned {
			return
		}
		if v := recover(); v != nil { // nil after runtime.Goexit
			fmt.Fprintf(o.stderr, "panic serving %s %s: %v\n%s", r.Method, r.Path(), v, debug.Stack())
		}
		o.Fail()
	}()
	h.ServeCGI(ctx, o, r)
	returned = true
}

// end sends the rest.
func (o *programOutput) end() error {
	rest, whole, err := o.End()
	if err != nil {
		fmt.Fprintln(o.stderr, err)
	}
	if serr := o.Send(rest, nil); serr != nil {
		return fmt.Errorf("cgi: write response: %w", serr)
	}
	if gone := o.Gone(); gone != nil {
		return gone
	}
	if !whole {
		return errAborted
	}
	return nil
}
