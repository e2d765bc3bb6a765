package fcgitest_test

import (
	"slices"
	"strings"

	"github.com/sluice-gateway/sluice/fastcgi"
	. "github.com/sluice-gateway/sluice/fastcgi/fcgitest"
)

// Management records.
func managementRows() []serverRow {
	question := func(r Record, want Record) func(*Conn) { return expect([]Record{r}, want) }
	names := make([]string, 101)
	return []serverRow{
		{name: "GET_VALUES of nothing", talk: question(GetValues(), GetValuesResult())},
		{name: "GET_VALUES of unknown names", talk: question(GetValues("X", "", "fcgi_max_conns"), GetValuesResult())},
		{name: "GET_VALUES twice for one name", talk: question(GetValues(fastcgi.MpxsConn, "X", fastcgi.MpxsConn), GetValuesResult("FCGI_MPXS_CONNS=1"))},
		{name: "GET_VALUES with values", talk: question(GetValues("FCGI_MPXS_CONNS=0"), GetValuesResult("FCGI_MPXS_CONNS=1"))},
		{name: "GET_VALUES of all", talk: question(GetValues(fastcgi.MaxConns, fastcgi.MaxReqs, fastcgi.MpxsConn), GetValuesResult("FCGI_MAX_CONNS=2048", "FCGI_MAX_REQS=512", "FCGI_MPXS_CONNS=1"))},
		{name: "GET_VALUES, padded", talk: question(GetValues(fastcgi.MpxsConn).WithPadding(255), GetValuesResult("FCGI_MPXS_CONNS=1"))},
		{name: "GET_VALUES malformed", rule: "name-value pair at byte 0 runs past the end", talk: hangUp(typed(9, 0, "\x0d\x00"))},
		{name: "GET_VALUES with a huge length", rule: "name-value pair at byte 0 runs past the end", talk: hangUp(typed(9, 0, "\xff\xff\xff\xff\xff\xff\xff\xff"))},
		{name: "GET_VALUES of too many names", rule: "more than 100 params", talk: hangUp(GetValues(names...))},
		{name: "GET_VALUES inside a request", talk: func(c *Conn) {
			c.Send(slices.Insert(ask(1, true), 2, GetValues(fastcgi.MpxsConn))...)
			c.Expect(GetValuesResult("FCGI_MPXS_CONNS=1"))
			answers(c, 1, "no body")
		}},
		{name: "unknown management type", talk: question(typed(77, 0, "abc"), UnknownType(77))},
		{name: "every unknown management type", talk: func(c *Conn) {
			for n := fastcgi.Type(12); n != 0; n++ {
				c.Send(typed(n, 0, "abc"))
				c.Expect(UnknownType(n))
			}
			serves(c, 1)
		}},
		{name: "management type 0", talk: question(typed(0, 0, ""), UnknownType(0))},
		{name: "management type 255, longest", talk: question(typed(255, 0, mega[:65535]), UnknownType(255))},
		{name: "unknown management type inside a request", talk: func(c *Conn) {
			c.Send(slices.Insert(ask(1, true), 1, typed(12, 0, ""))...)
			c.Expect(UnknownType(12))
			answers(c, 1, "no body")
		}},
		{name: "GET_VALUES_RESULT unasked", talk: ignore(GetValuesResult("FCGI_MPXS_CONNS=1"), typed(10, 0, "\xff"))},
		{name: "UNKNOWN_TYPE unasked", talk: ignore(UnknownType(9), typed(11, 0, ""))},
	}
}

// More than the server takes.
func limitRows() []serverRow {
	overloaded := func(id uint16) Record { return EndRequest(id, fastcgi.Overloaded, 0) }
	get := pairText("REQUEST_METHOD=GET") // 19 bytes
	return []serverRow{
		{name: "most params", talk: echo("no body", ask(1, true, "A=b")...), server: func(s *fastcgi.Server) { s.MaxPairs = 2 }},
		{name: "one param more", talk: refuse(431, ask(1, true, "A=b", "C=d")...), server: func(s *fastcgi.Server) { s.MaxPairs = 2 }},
		{name: "more params than by default", talk: refuse(431, Begin(1, 1, true), typed(4, 1, strings.Repeat("\x00\x00", 2001)), Params(1))},
		{name: "most bytes of params", talk: echo("no body", ask(1, true)...), server: func(s *fastcgi.Server) { s.MaxParams = len(get) }},
		{name: "one byte more", talk: refuse(431, ask(1, true, "=x")...), server: func(s *fastcgi.Server) { s.MaxParams = len(get) + 2 }},
		{name: "params without end", talk: func(c *Conn) {
			c.Send(Begin(1, 1, true))
			c.Send(Stream(4, 1, mega, 0)...)
			refuses(c, 1, 431)
			c.Send(Params(1), Stdin(1, ""))
			serves(c, 1)
		}},
		{name: "more requests than a connection may have", talk: func(c *Conn) {
			c.Send(Begin(1, 1, true), Begin(2, 1, true), Begin(3, 1, true))
			c.Expect(overloaded(3))
			c.Send(Abort(2))
			c.Expect(EndRequest(2, 0, 0))
			serves(c, 3)
		}, server: connLimit(2)},
		{name: "all ids at once", talk: func(c *Conn) {
			for id := range uint16(512) {
				c.Send(Begin(id+1, 1, true))
			}
			for id := uint16(513); id < 1513; id++ {
				c.Send(Begin(id, 1, true))
				c.Expect(overloaded(id))
			}
			c.Send(Abort(7))
			c.Expect(EndRequest(7, 0, 0))
			serves(c, 65535)
		}},
		{name: "overloaded, connection not kept", talk: func(c *Conn) {
			c.Send(Begin(1, 1, true), Begin(2, 1, false))
			c.Expect(overloaded(2))
			c.Send(ask(1, true)[1:]...)
			answers(c, 1, "no body")
			c.ExpectClosed()
		}, server: limit(1)},
		{name: "a second request where there may be one", talk: func(c *Conn) {
			c.Send(Begin(1, 1, true), Begin(2, 1, true))
			c.Expect(EndRequest(2, fastcgi.CantMultiplex, 0))
			c.Send(ask(1, true)[1:]...)
			answers(c, 1, "no body")
			serves(c, 2)
		}, server: connLimit(1)},
		{name: "more requests than the server may have", talk: func(c *Conn) {
			c.Send(Begin(1, 1, true), Begin(2, 1, true))
			c.Expect(overloaded(2))
			c.Send(ask(1, true)[1:]...)
			answers(c, 1, "no body")
		}, server: limit(1)},
	}
}

func pairText(params ...string) string { return Params(1, params...).Content }

func connLimit(n int) func(*fastcgi.Server) {
	return func(s *fastcgi.Server) { s.MaxConnActive = n }
}

func limit(n int) func(*fastcgi.Server) {
	return func(s *fastcgi.Server) { s.MaxActive = n }
}
