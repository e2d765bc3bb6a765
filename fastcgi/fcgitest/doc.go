// Package fcgitest is the other side of a FastCGI connection, scripted: an
// application for the tests of a web server, a web server for the tests of an
// application, right or wrong in any way that the wire allows.
//
// An application is a function that is called with each connection:
//
//	app := fcgitest.Application(t, func(c *fcgitest.Conn) {
//		c.ReadRequest()
//		c.Send(fcgitest.Stdout(1, "Status: 200 OK\r\n\r\nhalf of"))
//		c.Close() // without END_REQUEST
//	})
//	// give app.Network and app.Address to the web server under test
//
// A web server is a connection that the test itself holds:
//
//	c := fcgitest.Dial(t, "unix", path)
//	c.Send(fcgitest.Begin(1, fastcgi.RoleResponder, true), fcgitest.Abort(1))
//	if a := c.ReadAnswer(1); a.Status != fastcgi.RequestComplete {
//		...
//	}
//
// A Record is right unless it is told otherwise, with [Record.WithVersion],
// [Record.WithLength] and the like; [Conn.Raw] sends any bytes at all. What
// the side under test sends is read strictly: a record that FastCGI 1.0 does
// not allow fails the test, like everything else that was not expected. The
// failure says what was expected, what came, and what was said before.
//
// Nothing sleeps and nothing waits for ever: every call is bounded by
// [Conn.Timeout], and the end of a test waits for the scripts it has started.
// Over a net.Pipe all of it works in a bubble of testing/synctest as well.
package fcgitest
