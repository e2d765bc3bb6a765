package fastcgi

import "strconv"

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
	c.control = AppendHeader(c.control, TypeUnknownType, 0, 8, 0)
	c.control = append(c.control, byte(p.Type), 0, 0, 0, 0, 0, 0, 0)
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
	s := c.server
	known := [...]struct {
		name  string
		value int
	}{
		{MaxConns, limit(s.MaxConns, DefaultMaxConns)},
		{MaxReqs, min(limit(s.MaxConnRequests, DefaultMaxConnRequests), limit(s.MaxRequests, DefaultMaxRequests))},
		{MpxsConn, 1},
	}
	start := len(c.control)
	c.control = AppendHeader(c.control, TypeGetValuesResult, 0, 0, 0)
	for _, k := range known {
		for _, a := range asked {
			if a.Name == k.name {
				c.control, _ = AppendPair(c.control, k.name, strconv.Itoa(k.value)) // never too long
				break
			}
		}
	}
	setLength(c.control, start)
	return nil
}
