package fastcgi

import (
	"strconv"

	"github.com/sluice-gateway/sluice/cgi"
)

// manage handles a management record: one with request id 0.
func (c *serverConn) manage(p Piece) error {
	switch {
	case p.Type == TypeGetValues:
		return c.values(p.Content)
	case p.Type == TypeGetValuesResult, p.Type == TypeUnknownType:
		return nil // answers to what was never asked; not to be answered in turn
	case p.Type >= TypeBeginRequest && p.Type <= TypeData:
		return errorf("%v with request id 0", p.Type)
	}
	// FastCGI 1.0 §4.2
	c.out.add(func(dst []byte) []byte {
		dst = AppendHeader(dst, TypeUnknownType, 0, 8, 0)
		return append(dst, byte(p.Type), 0, 0, 0, 0, 0, 0, 0)
	})
	return nil
}

// values answers GET_VALUES: of the names that were asked for those that we
// know, each once (FastCGI 1.0 §4.1). MAX_REQS is the number for one
// connection, because that is what a web server that multiplexes uses it for.
func (c *serverConn) values(content []byte) error {
	asked, err := ParsePairs(content, maxValues)
	if err != nil {
		return err
	}
	answer := AppendHeader(nil, TypeGetValuesResult, 0, 0, 0)
	seen := make(map[string]bool)
	for _, a := range asked {
		if value, ok := c.value(a); ok && !seen[a.Name] {
			seen[a.Name] = true
			answer, _ = AppendPair(answer, a.Name, strconv.Itoa(value)) // never too long
		}
	}
	setLength(answer, 0)
	c.out.add(func(dst []byte) []byte { return append(dst, answer...) })
	return nil
}

// value returns what is asked for.
func (c *serverConn) value(asked cgi.Field) (value int, ok bool) {
	l := &c.server.limit
	switch asked.Name {
	case MaxConns:
		if l.conns < 0 {
			return 0, false
		}
		return l.conns, true
	case MaxReqs:
		return min(l.connActive, l.active, maxID), true
	case MpxsConn:
		if l.connActive == 1 {
			return 0, true
		}
		c.server.muxed.Store(true)
		c.muxed.Store(true)
		c.shown.Store(true)
		return 1, true
	case FlowWindow:
		n, err := strconv.ParseUint(asked.Value, 10, 31)
		if err == nil && n > 0 {
			c.credit.Store(int64(n)) // without a number it is only a question
		}
		return min(l.bodyAhead, maxWindow), true
	}
	return 0, false
}

// maxID is the highest request id.
const maxID = 1<<16 - 1

// window is how many bytes of a body the web server may send before it must
// wait, by its flow control; 0 if it has none.
func (c *serverConn) window() int64 {
	if c.credit.Load() == 0 {
		return 0
	}
	return int64(min(c.server.limit.bodyAhead, maxWindow))
}
