package fastcgi

import (
	"errors"
	"fmt"
	"io"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/spill"
)

// An answer is what has come of the response to one request: a state machine
// that is fed records and does no I/O.
type answer struct {
	parser   cgi.HeadParser
	head     cgi.Head
	haveHead bool
	interim  []cgi.Head // 1xx, not yet taken
	stderr   func(p []byte)

	body    spill.Queue // of STDOUT, not yet taken by the reader
	size    int64       // bytes of body so far
	pieces  int         // of STDOUT
	parsed  int         // bytes of heads that the application was not told of
	started bool        // some record has come
	quiet   bool        // STDOUT has been ended
	end     bool        // END_REQUEST has come
	discard bool        // nobody wants the body any more
}

// feed takes one piece. An error is final: if it wraps ErrMalformed, nothing
// more that the application sends can be trusted, otherwise it is about this
// answer.
func (a *answer) feed(p Piece) error {
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

func (a *answer) stdout(p Piece) error {
	a.pieces++
	if p.Ends {
		a.quiet = true
		return nil
	}
	if a.quiet {
		return fmt.Errorf("%w: STDOUT after its end", ErrMalformed)
	}
	b := p.Content
	for !a.haveHead && !a.discard {
		n, done, err := a.parser.Feed(b)
		if err != nil {
			return err
		}
		a.parsed += n
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
	if a.discard || len(b) == 0 {
		return nil
	}
	if err := a.body.Write(b); err != nil {
		return fmt.Errorf("%w: %w", ErrSlowReader, err)
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

// bodyLength returns how long the body of an answer must be, or -1 if that is
// not known. Some answers announce one that they do not have (RFC 9112 §6.3).
func bodyLength(method string, head cgi.Head) int64 {
	if method == "HEAD" || head.Status == 204 || head.Status == 304 {
		return -1
	}
	return head.ContentLength
}

var errEarly = fmt.Errorf("connection closed before the end of the response: %w", io.ErrUnexpectedEOF)
