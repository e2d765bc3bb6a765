package fcgitest_test

import (
	"io"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/sluice-gateway/sluice/fastcgi/fcgitest"
)

// An application that dies in the middle of its answer.
func ExampleApplication() {
	var t *testing.T // of the test

	app := fcgitest.Application(t, func(c *fcgitest.Conn) {
		c.ReadRequest()
		c.Send(fcgitest.Stdout(1, "Content-Type: text/plain\r\n\r\nhalf of").Cut(-3))
	})
	client := new(fastcgi.Client)
	t.Cleanup(client.Close)
	resp, err := client.RoundTrip(t.Context(), app.Network, app.Address, &cgi.Request{Method: "GET", Target: "/"})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err == nil {
		t.Errorf("the answer was taken for complete: %q", b)
	}
}

// A web server that changes its mind.
func ExampleDial() {
	var t *testing.T // of the test
	var network, address string

	c := fcgitest.Dial(t, network, address)
	c.Send(
		fcgitest.Begin(1, fastcgi.RoleResponder, true),
		fcgitest.Params(1, "REQUEST_METHOD=POST", "CONTENT_LENGTH=5"),
		fcgitest.Params(1),
		fcgitest.Abort(1),
	)
	if a := c.ReadAnswer(1); a.Status != fastcgi.RequestComplete {
		t.Errorf("status %v", a.Status)
	}
	c.Send(fcgitest.Request{ID: 1, Params: fcgitest.Fields("REQUEST_METHOD=GET")}.Records()...)
	c.ReadAnswer(1)
	c.ExpectClosed() // no KeepConn in the second request
}
