package fcgitest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime/debug"
	"slices"
	"sync"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
)

// The carriers without a connection.

var (
	errCut    = errors.New("the answer was broken")
	errNobody = errors.New("nobody waits for the answer")
)

// openInProcess has the handler called with a cgi.Reply, and nothing between
// that and the reader of the answer but an io.Pipe.
func openInProcess(t *testing.T, all *cast) *link {
	log := new(logText)
	var running sync.WaitGroup
	do := func(ctx context.Context, r *cgi.Request) (*cgi.Response, error) {
		caller := ctx
		ctx, cancel := context.WithCancelCause(ctx)
		q, err := received(ctx, r)
		if err != nil {
			cancel(err)
			return nil, err
		}
		pr, pw := io.Pipe()
		o := &pipeOutput{ctx: ctx, w: pw, log: log}
		o.Reset(o, q)
		leave := func(cause error) {
			cancel(cause)
			pr.CloseWithError(cause)
			for _, b := range []cgi.Body{r.Body, dataBody(r)} {
				if b != nil {
					b.Cancel()
				}
			}
		}
		stop := context.AfterFunc(ctx, func() { leave(context.Cause(ctx)) })
		running.Go(func() { o.serve(all, q) }) // waited for by end
		head, rest, err := readHead(patiently{caller, pr}, r)
		if err != nil {
			stop()
			leave(err)
			return nil, err
		}
		end := func() error { stop(); leave(errNobody); return nil }
		return &cgi.Response{Head: head, Body: localBody{io.MultiReader(bytes.NewReader(rest), patiently{caller, pr}), end}}, nil
	}
	return &link{do: do, conns: func() int { return 0 }, lost: []error{errNobody, context.Canceled}, log: log, end: running.Wait}
}

func dataBody(r *cgi.Request) cgi.Body {
	if r.Data == nil {
		return nil
	}
	return r.Data.Body
}

// received returns r as an application gets it. When ctx is done its bodies can
// not be read any more, for the reason of that.
func received(ctx context.Context, r *cgi.Request) (*cgi.Request, error) {
	q := &cgi.Request{Role: r.Role}
	var v cgi.Receiver
	v.Start(q)
	for name, value := range r.Params() {
		if err := v.Param([]byte(name), []byte(value)); err != nil {
			return nil, err
		}
	}
	if err := v.End(); err != nil {
		return nil, err
	}
	if r.Body != nil && r.Role != cgi.Authorizer {
		q.Body = &exactly{ctx, r.Body, r.ContentLength}
	} else {
		q.ContentLength = 0
	}
	if q.Data != nil {
		q.Data.Body = &exactly{ctx, r.Data.Body, r.Data.Length}
	}
	return q, nil
}

// exactly is a body that ends after left bytes, and not before. If left is
// negative it ends as it likes.
type exactly struct {
	ctx context.Context
	cgi.Body
	left int64
}

// Read implements cgi.Body.
func (b *exactly) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, io.EOF
	}
	if b.left > 0 {
		p = p[:min(int64(len(p)), b.left)]
	}
	n, err := b.Body.Read(p)
	if b.left > 0 {
		b.left -= int64(n)
	}
	switch {
	case err != nil && b.ctx.Err() != nil:
		err = context.Cause(b.ctx)
	case err == io.EOF && b.left > 0:
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// A pipeOutput is a cgi.ResponseWriter whose answer goes to an io.Pipe.
type pipeOutput struct {
	cgi.Reply
	ctx context.Context
	w   *io.PipeWriter
	log io.Writer
}

// Send implements cgi.Output.
func (o *pipeOutput) Send(gathered, p []byte) error {
	all := slices.Concat(gathered, p)
	if len(all) == 0 {
		return nil // an io.Pipe would wait for a reader
	}
	_, err := o.w.Write(all)
	return err
}

// Gone implements cgi.Output.
func (o *pipeOutput) Gone() error { return context.Cause(o.ctx) }

// Stderr is found by cgi.Stderr.
func (o *pipeOutput) Stderr() io.Writer { return o.log }

func (o *pipeOutput) serve(h cgi.Handler, r *cgi.Request) {
	returned := false
	defer func() {
		if !returned {
			if v := recover(); v != nil {
				fmt.Fprintf(o.log, "%v\n%s", v, debug.Stack())
			}
			o.Fail()
		}
		rest, whole, _ := o.End()
		o.Send(rest, nil)
		if !whole {
			o.w.CloseWithError(errCut)
		}
		o.w.Close()
	}()
	h.ServeCGI(o.ctx, o, r)
	returned = true
}

// patiently reads for as long as ctx lasts: an error after that is its cause.
type patiently struct {
	ctx context.Context
	io.Reader
}

func (r patiently) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && r.ctx.Err() != nil {
		err = context.Cause(r.ctx)
	}
	return n, err
}

// A localBody is the body of an answer.
type localBody struct {
	io.Reader
	close func() error
}

// Close implements io.Closer.
func (b localBody) Close() error { return b.close() }

// readHead reads the head of an answer, and what has come together with it.
func readHead(src io.Reader, r *cgi.Request) (head cgi.Head, rest []byte, err error) {
	var p cgi.HeadParser
	buf := make([]byte, 4096)
	for {
		n, err := src.Read(buf)
		for b := buf[:n]; len(b) > 0; {
			used, done, err := p.Feed(b)
			if err != nil {
				return head, nil, err
			}
			if b = b[used:]; !done {
				break
			}
			switch head, err = p.Head(); {
			case err != nil:
				return head, nil, err
			case head.Status >= 200:
				return head, slices.Clone(b), nil
			case r.Informational != nil:
				r.Informational(head.Status, head.Header)
			}
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return head, nil, err
		}
	}
}

// TestConformanceProgram is the program of the CGI rows when it is started as
// one, and nothing otherwise.
func TestConformanceProgram(t *testing.T) {
	switch err := cgi.Serve(t.Context(), newCast(conformCases(nil))); {
	case err == cgi.ErrNotCGI:
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	default:
		os.Exit(0)
	}
}

// openProgram starts this test as a CGI program for each request.
func openProgram(t *testing.T, _ *cast) *link {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log := new(logText)
	do := func(ctx context.Context, r *cgi.Request) (*cgi.Response, error) {
		caller := ctx
		ctx, cancel := context.WithCancel(ctx)
		x := &execution{cmd: exec.CommandContext(ctx, exe, "-test.run=^TestConformanceProgram$"), body: r.Body, cancel: cancel}
		x.cmd.Env = []string{"GORACE=atexit_sleep_ms=0"} // the race detector would sleep for a second
		for name, value := range r.Params() {
			x.cmd.Env = append(x.cmd.Env, name+"="+value)
		}
		if r.Body != nil && r.ContentLength < 0 {
			x.cmd.Env = append(x.cmd.Env, "HTTP_TRANSFER_ENCODING=chunked") // as Apache says it
		}
		x.cmd.Stderr = log
		if err := x.start(r); err != nil {
			cancel()
			return nil, err
		}
		head, rest, err := readHead(patiently{caller, x.stdout}, r)
		if err != nil {
			x.end()
			return nil, err
		}
		return &cgi.Response{Head: head, Body: localBody{io.MultiReader(bytes.NewReader(rest), patiently{caller, x}), x.end}}, nil
	}
	return &link{do: do, conns: func() int { return 0 }, log: log, end: func() {}}
}

// An execution is a CGI program that answers.
type execution struct {
	cmd    *exec.Cmd
	cancel func()
	body   cgi.Body // of the request; may be nil
	stdout io.Reader
	sent   chan struct{} // closed when all of the body has been sent that will be

	once sync.Once
	err  error // how the program ended
}

func (x *execution) start(r *cgi.Request) (err error) {
	if x.stdout, err = x.cmd.StdoutPipe(); err != nil {
		return err
	}
	stdin, err := x.cmd.StdinPipe()
	if err != nil {
		return err
	}
	if err := x.cmd.Start(); err != nil {
		return err
	}
	x.sent = make(chan struct{})
	go func() { // ended by wait
		defer close(x.sent)
		defer stdin.Close()
		if r.Body != nil {
			io.Copy(stdin, &exactly{context.Background(), r.Body, r.ContentLength})
		}
	}()
	return nil
}

// Read reads the answer. It is complete if the program says so with its exit
// status.
func (x *execution) Read(p []byte) (int, error) {
	n, err := x.stdout.Read(p)
	if err == io.EOF {
		if err := x.wait(); err != nil {
			return n, err
		}
	}
	return n, err
}

// end ends the program, if it still runs.
func (x *execution) end() error {
	x.cancel()
	x.wait()
	return nil
}

func (x *execution) wait() error {
	x.once.Do(func() {
		if x.body != nil {
			x.body.Cancel()
		}
		x.err = x.cmd.Wait()
		<-x.sent
		x.cancel()
	})
	return x.err
}
