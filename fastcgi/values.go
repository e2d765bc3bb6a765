package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// Values is [Client.Values] of the zero Client.
func Values(ctx context.Context, network, address string, names ...string) ([]cgi.Field, error) {
	return new(Client).Values(ctx, network, address, names...)
}

// Values asks the application at address about itself: FCGI_GET_VALUES. The
// result holds the names it knows, often none. The connection is one of its
// own and is closed after the question, because some applications close it
// then (php-fpm before 8.1). An application that closes it without an answer
// gives an error that wraps io.ErrUnexpectedEOF: it is there, but does not
// answer management records.
func (c *Client) Values(ctx context.Context, network, address string, names ...string) ([]cgi.Field, error) {
	failed := func(op string, err error) error {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return &Error{Protocol: "fastcgi", Op: op, Addr: dial.Name(network, address), Err: dial.Bare(err)}
	}
	nc, err := dial.Func(c.Dial).Dial(ctx, network, address, orDefault(c.DialTimeout, DefaultDialTimeout))
	if err != nil {
		return nil, failed("dial", err)
	}
	defer nc.Close()
	stop := context.AfterFunc(ctx, func() { nc.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	var question []byte
	for _, name := range names {
		question, _ = AppendPair(question, name, "")
	}
	if len(question) > MaxContent {
		return nil, failed("send", ErrTooLong)
	}
	out := AppendHeader(nil, TypeGetValues, 0, uint16(len(question)), 0)
	if _, err := nc.Write(append(out, question...)); err != nil {
		return nil, failed("send", err)
	}
	values, err := readValues(nc)
	if err != nil {
		return nil, failed("receive", err)
	}
	return values, nil
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
