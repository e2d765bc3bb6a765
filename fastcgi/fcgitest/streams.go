package fcgitest

import (
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/fastcgi"
)

// ReadRequest reads one request to its end or to ABORT_REQUEST. Records of other
// requests that have begun are kept for later calls.
//
// That of an authorizer ends with its params: it has no STDIN (FastCGI 1.0
// §6.3). Some web servers end it all the same; no later call sees that.
func (c *Conn) ReadRequest() Request {
	c.t.Helper()
	q := c.ReadHead()
	switch {
	case q.Aborted:
	case q.Role == fastcgi.RoleAuthorizer:
		c.leaveStdin(q.ID)
	default:
		q.Body, q.Aborted = c.readStream(fastcgi.TypeStdin, q.ID)
	}
	if q.Role == fastcgi.RoleFilter && !q.Aborted {
		q.Data, q.Aborted = c.readStream(fastcgi.TypeData, q.ID)
	}
	delete(c.open, q.ID)
	return q
}

// ReadHead reads BEGIN_REQUEST and PARAMS of the next request and leaves its
// body where it is. [Conn.ReadStream] reads that.
func (c *Conn) ReadHead() Request {
	c.t.Helper()
	c.begin()
	r := c.takeBegin()
	b, err := fastcgi.ParseBegin([]byte(r.Content))
	if err != nil {
		c.Fatalf("read a request: %v", err)
	}
	c.open[r.ID] = true
	delete(c.bare, r.ID)
	q := Request{ID: r.ID, Role: b.Role, KeepConn: b.KeepConn}
	params, aborted := c.readStream(fastcgi.TypeParams, q.ID)
	if q.Aborted = aborted; aborted {
		delete(c.open, q.ID)
		return q
	}
	if q.Params, err = fastcgi.ParsePairs([]byte(params), 0); err != nil {
		c.Fatalf("read a request: %v", err)
	}
	return q
}

// leaveStdin makes the end of a STDIN be left out, whether it has come or will.
func (c *Conn) leaveStdin(id uint16) {
	i := slices.IndexFunc(c.aside, func(r Record) bool { return r.ID == id })
	if i >= 0 && c.aside[i].Type == fastcgi.TypeStdin && c.aside[i].Content == "" {
		c.aside = slices.Delete(c.aside, i, i+1)
		return
	}
	c.bare[id] = true
}

// takeBegin returns the next BEGIN_REQUEST. Only what belongs to a request
// that has begun may come before it.
func (c *Conn) takeBegin() Record {
	c.t.Helper()
	for i := 0; i < len(c.aside); i++ {
		if r := c.aside[i]; r.Type == fastcgi.TypeBeginRequest {
			c.aside = append(c.aside[:i:i], c.aside[i+1:]...)
			return r
		}
	}
	for {
		r, err := c.receive()
		switch {
		case err != nil:
			c.Fatalf("read a request: %v", err)
		case r.Type == fastcgi.TypeBeginRequest:
			return r
		case !c.open[r.ID]:
			c.Fatalf("read a request: got %v, want BEGIN_REQUEST", r)
		}
		c.aside = append(c.aside, r)
	}
}

// ReadStream reads one stream of a request to its end and returns what was in
// it. Any other record of that request fails the test.
func (c *Conn) ReadStream(t fastcgi.Type, id uint16) string {
	c.t.Helper()
	c.begin()
	content, aborted := c.readStream(t, id)
	if aborted {
		c.Fatalf("read %v of request %d: got ABORT_REQUEST", t, id)
	}
	return content
}

func (c *Conn) readStream(t fastcgi.Type, id uint16) (content string, aborted bool) {
	c.t.Helper()
	var s strings.Builder
	for {
		r := c.takeOf(id, t.String())
		switch {
		case r.Type == fastcgi.TypeAbortRequest:
			return s.String(), true
		case r.Type != t:
			c.Fatalf("read %v of request %d: got %v after %d bytes", t, id, r, s.Len())
		case r.Content == "":
			return s.String(), false
		}
		s.WriteString(r.Content)
	}
}

// ReadAnswer reads the answer to one request: STDOUT and STDERR as they come,
// to END_REQUEST. Answers to others are kept for later calls. A stream that
// goes on after its end fails the test; END_REQUEST without the end of STDOUT
// is left to [Conn.Expect] to see.
func (c *Conn) ReadAnswer(id uint16) Answer {
	c.t.Helper()
	c.begin()
	a := Answer{ID: id}
	var stdout, stderr strings.Builder
	ended := make(map[fastcgi.Type]bool)
	for {
		r := c.takeOf(id, "the answer")
		if ended[r.Type] {
			c.Fatalf("read the answer to request %d: got %v after the end of that stream", id, r)
		}
		switch r.Type {
		case fastcgi.TypeStdout:
			stdout.WriteString(r.Content)
			ended[r.Type] = r.Content == ""
		case fastcgi.TypeStderr:
			stderr.WriteString(r.Content)
			ended[r.Type] = r.Content == ""
		case fastcgi.TypeEndRequest:
			end, err := fastcgi.ParseEnd([]byte(r.Content))
			if err != nil {
				c.Fatalf("read the answer to request %d: %v", id, err)
			}
			a.Stdout, a.Stderr = stdout.String(), stderr.String()
			a.Status, a.AppStatus = end.Status, end.AppStatus
			return a
		default:
			c.Fatalf("read the answer to request %d: got %v", id, r)
		}
	}
}
