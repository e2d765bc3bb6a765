package fastcgi

import (
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/sluice-gateway/sluice/cgi"
)

// An answer is what has come of the response to one request: a state machine
// that is fed records and does no I/O.
type answer struct {
	parser   cgi.HeadParser
	head     cgi.Head
	haveHead bool
	interim  []cgi.Head // 1xx, not yet taken
	stderr   func(p []byte)

	body    *bytesBuffer // of STDOUT, not yet taken by the reader; nil if nothing
	size    int64        // bytes of body so far
	started bool         // some record has come
	quiet   bool         // STDOUT has been ended
	end     bool         // END_REQUEST has come
	discard bool         // nobody wants the body any more
}

// feed takes one piece. An error is final and the connection is lost with it.
func (a *answer) feed(p Piece) error {
	if p.ID == 0 {
		return a.management(p)
	}
	if p.ID != RequestID {
		return fmt.Errorf("%w: %v for request %d, want %d", ErrMalformed, p.Type, p.ID, RequestID)
	}
	a.started = true
	switch p.Type {
	case TypeStdout:
		return a.stdout(p)
	case TypeStderr:
		if a.stderr != nil && len(p.Content) > 0 {
			a.stderr(p.Content)
		}
		return nil
	case TypeEndRequest:
		return a.ended(p)
	}
	return fmt.Errorf("%w: the application sent %v", ErrMalformed, p.Type)
}

// management ignores what an application may say about itself without being
// asked; a record of a request must not have id 0.
func (a *answer) management(p Piece) error {
	if p.Type >= TypeBeginRequest && p.Type <= TypeData {
		return fmt.Errorf("%w: %v with request id 0", ErrMalformed, p.Type)
	}
	return nil
}

func (a *answer) stdout(p Piece) error {
	if p.Ends {
		a.quiet = true
		return nil
	}
	if a.quiet {
		return fmt.Errorf("%w: STDOUT after its end", ErrMalformed)
	}
	b := p.Content
	for !a.haveHead {
		n, done, err := a.parser.Feed(b)
		if err != nil {
			return err
		}
		if b = b[n:]; !done {
			return nil
		}
		head, err := a.parser.Head()
		if err != nil {
			return err
		}
		if head.Status >= 200 {
			a.head, a.haveHead = head, true
			break
		}
		if len(a.interim) == maxInterim {
			return fmt.Errorf("%w: more than %d interim responses at once", cgi.ErrMalformed, maxInterim)
		}
		a.interim = append(a.interim, head)
	}
	a.size += int64(len(b))
	if !a.discard && len(b) > 0 {
		if a.body == nil {
			a.body = bodies.Get().(*bytesBuffer)
		}
		a.body.b = append(a.body.b, b...)
	}
	return nil
}

func (a *answer) ended(p Piece) error {
	end, err := ParseEnd(p.Content)
	if err != nil {
		return err
	}
	a.end = true
	switch {
	case end.Status != RequestComplete:
		return &RefusedError{end.Status}
	case !a.haveHead && a.parser.Started():
		return fmt.Errorf("%w: END_REQUEST before the head of the response was complete", cgi.ErrMalformed)
	case !a.haveHead:
		return fmt.Errorf("%w: END_REQUEST without a response (application status %d)", cgi.ErrMalformed, end.AppStatus)
	}
	return nil
}

// closed says what a close of the connection means at this point: nil if the
// answer is complete without END_REQUEST. Some applications close right after
// the end of STDOUT, or after as many bytes as they announced; anything else
// has been cut.
func (a *answer) closed(cause error) error {
	switch {
	case a.end:
		return nil
	case a.haveHead && errors.Is(cause, io.EOF) && (a.quiet || a.size == a.head.ContentLength):
		return nil
	case errors.Is(cause, io.EOF):
		return errEarly
	}
	return cause
}

// waiting is how much of the body has come and was not taken, in bytes.
func (a *answer) waiting() int {
	if a.body == nil {
		return 0
	}
	return len(a.body.b)
}

// A bytesBuffer holds a part of the body of an answer.
type bytesBuffer struct{ b []byte }

var bodies = sync.Pool{New: func() any { return new(bytesBuffer) }}

// free is called by whoever took the buffer and has no more use for it.
func (f *bytesBuffer) free() {
	if f != nil && cap(f.b) <= 2*window {
		f.b = f.b[:0]
		bodies.Put(f)
	}
}

var errEarly = fmt.Errorf("connection closed before the end of the response: %w", io.ErrUnexpectedEOF)
