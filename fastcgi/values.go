package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/dial"
)

// The variables that an application can be asked for (FastCGI 1.0 §4.1).
const (
	MaxConns = "FCGI_MAX_CONNS"  // connections it accepts at the same time
	MaxReqs  = "FCGI_MAX_REQS"   // requests it serves at the same time
	MpxsConn = "FCGI_MPXS_CONNS" // "1" if it takes several requests on one connection
)

// maxValues bounds the answer to GET_VALUES, in variables.
const maxValues = 100

// Values is [Client.Values] of a zero Client.
func Values(ctx context.Context, network, address string, names ...string) ([]cgi.Field, error) {
	var c Client
	defer c.Close()
	return c.Values(ctx, network, address, names...)
}

// Values asks the application at address about itself: FCGI_GET_VALUES. The
// result holds the names it knows, often none. The connection is one of its
// own and is closed after the question, because some applications close it
// then (php-fpm before 8.1). An application that closes it without an answer
// gives an error that wraps io.ErrUnexpectedEOF: it is there, but does not
// answer management records.
//
// The error is an *Error. Dial and Write are bounded as those of a request, and
// the whole answer by FirstByteTimeout. If it does not come for a while, an idle
// connection of the client is closed, as for a request: it may have the only
// process of the application. From an answer with FCGI_MAX_CONNS on, one
// connection less than that is kept idle at the most, which may be none.
func (c *Client) Values(ctx context.Context, network, address string, names ...string) ([]cgi.Field, error) {
	h := c.host(network, address)
	defer h.users.Add(-1)
	return h.values(ctx, names)
}

// values is Values.
func (h *host) values(ctx context.Context, names []string) ([]cgi.Field, error) {
	var q question
	values, err := q.ask(ctx, h, names)
	if err == nil {
		h.learn(values)
		return values, nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return nil, &Error{
		Protocol: "fastcgi", Op: q.op, Addr: h.name, Sent: q.sent, Err: dial.Bare(err),
		SafeToRetry: ctx.Err() == nil && q.again && (q.sent == 0 || dial.Broken(err)), // it changes nothing
	}
}

// A question is GET_VALUES, and how far it has got.
type question struct {
	op    string
	sent  int64
	again bool // there is nothing wrong with it
}

func (q *question) ask(ctx context.Context, h *host, names []string) ([]cgi.Field, error) {
	q.op = "send"
	b := AppendHeader(nil, TypeGetValues, 0, 0, 0)
	for _, name := range names {
		b, _ = AppendPair(b, name, "")
	}
	if len(b)-headerLen > MaxContent {
		return nil, ErrTooLong
	}
	setLength(b, 0)
	q.op = "dial"
	h.mu.Lock()
	closed := h.closed
	h.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	q.again = true
	nc, err := h.dial(ctx)
	if err != nil {
		if failed, ok := errors.AsType[*Error](err); ok {
			err = failed.Err
		}
		return nil, err
	}
	defer nc.Close()
	var p place
	h.wait(&p)
	defer h.answered(&p)
	return q.talk(ctx, h.client, nc, b)
}

// talk sends b and reads the answer.
func (q *question) talk(ctx context.Context, c *Client, nc net.Conn, b []byte) ([]cgi.Field, error) {
	write, read := c.bounds().write, c.bounds().firstByte
	if write > 0 {
		nc.SetWriteDeadline(time.Now().Add(write))
	}
	if read > 0 {
		nc.SetReadDeadline(time.Now().Add(read))
	}
	defer context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })()
	q.op = "send"
	n, err := nc.Write(b)
	q.sent = int64(n)
	if isTimeout(err) {
		return nil, dial.Timeout(fmt.Sprintf("the application has not read GET_VALUES for %v", write))
	}
	if err != nil {
		return nil, err
	}
	q.op = "receive"
	values, err := readValues(nc)
	if isTimeout(err) {
		return nil, dial.Timeout(fmt.Sprintf("no answer to GET_VALUES for %v", read))
	}
	return values, err
}

// readValues reads records until the answer to GET_VALUES has come.
func readValues(r io.Reader) ([]cgi.Field, error) {
	var d Decoder
	buf := make([]byte, smallRead)
	for total := 0; total <= MaxContent+headerLen; {
		n, err := r.Read(buf)
		total += n
		for b := buf[:n]; ; {
			p, rest, ok, err := d.Next(b)
			if err != nil {
				return nil, err
			}
			if !ok {
				break
			}
			b = rest
			switch {
			case p.Type == TypeGetValuesResult && p.ID == 0:
				return ParsePairs(p.Content, maxValues)
			case p.Type == TypeUnknownType && p.ID == 0:
				return nil, nil
			}
		}
		if errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("connection closed without an answer to GET_VALUES: %w", io.ErrUnexpectedEOF)
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: something else than an answer to GET_VALUES", ErrMalformed)
}
