package sluice

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/config"
)

// Where a time is over in these tests, what is awaited comes long before the
// default of that time, so that a lost setting is noticed and a slow machine
// is not.
const soon = 200 * time.Millisecond

// dial opens a connection on which nothing takes longer than the tests'
// patience.
func (g *rig) dial() net.Conn {
	g.t.Helper()
	nc, err := net.Dial("tcp", g.s.Addrs()[0].String())
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(20 * time.Second))
	return nc
}

// answer reads one response from a connection.
func answer(t *testing.T, from *bufio.Reader, to *http.Request) (status int, content string) {
	t.Helper()
	resp, err := http.ReadResponse(from, to)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Error(err)
	}
	return resp.StatusCode, string(b)
}

// A head that does not get to its end is cut off.
func effectTimeoutHeader(t *testing.T) {
	g := startEdited(t, func(c *config.Config) { c.Timeout.Header = soon })
	begun := time.Now()
	nc := g.dial()
	io.WriteString(nc, "GET / HTTP/1.1\r\nHos")
	if b, err := io.ReadAll(nc); err != nil {
		t.Errorf("a slow head: %q, %v, want the end of the connection", b, err)
	}
	if took := time.Since(begun); took >= defaultHeaderTimeout {
		t.Errorf("cut off after %v, as without timeout.header", took)
	}
}

func effectTimeoutBody(t *testing.T) {
	g := startEdited(t, func(c *config.Config) { c.Timeout.Body = soon })
	nc := g.dial()
	io.WriteString(nc, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc")
	if status, content := answer(t, bufio.NewReader(nc), nil); status != 408 {
		t.Errorf("a slow body: %d %q, want 408", status, content)
	}
}

// A client that does not read does not hold a worker.
func effectTimeoutWrite(t *testing.T) {
	g := startEdited(t, func(c *config.Config) { c.Timeout.Write = soon })
	nc := g.dial()
	io.WriteString(nc, "GET /flood HTTP/1.1\r\nHost: x\r\n\r\n")
	await(t, "the request ends", func() bool { return strings.Contains(g.out.String(), "GET /flood") })
	if _, err := io.Copy(io.Discard, nc); errors.Is(err, os.ErrDeadlineExceeded) {
		t.Error("the connection is still open")
	}
}

// An unused connection is closed.
func effectTimeoutIdle(t *testing.T) {
	g := startEdited(t, func(c *config.Config) { c.Timeout.Idle = soon })
	nc := g.dial()
	io.WriteString(nc, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	r := bufio.NewReader(nc)
	if status, _ := answer(t, r, nil); status != 200 {
		t.Errorf("status %d, want 200", status)
	}
	if b, err := io.ReadAll(r); len(b) > 0 || err != nil {
		t.Errorf("an idle connection: %q, %v, want its end", b, err)
	}
}

// A request that takes longer than the drain is cut off; without a limit, it
// is waited for.
func effectTimeoutDrain(t *testing.T) {
	g := startEdited(t, func(c *config.Config) { c.Timeout.Drain = soon })
	release := g.hold()
	if err := g.end(); err == nil {
		t.Error("the drain is complete, with a request under way")
	}
	release()

	g = startEdited(t, func(c *config.Config) { c.Timeout.Drain = -1 })
	release = g.hold()
	addr := g.s.Addrs()[0].String()
	g.stop()
	await(t, "the listener closes", func() bool {
		nc, err := net.Dial("tcp", addr)
		if err == nil {
			nc.Close()
		}
		return err != nil
	})
	time.Sleep(soon) // time to be cut off in, if -1 was taken for a time that is over
	if content, err := release(); err != nil || content == "" {
		t.Errorf("the request under way: %q, %v", content, err)
	}
	if err := g.end(); err != nil {
		t.Error(err)
	}
}

// Of two gateways that dial the same worker, which never takes the connection,
// the one with less time answers first, though it was asked last.
func effectTimeoutDial(t *testing.T) {
	socket := fullSocket(t)
	gateway := func(d time.Duration) *rig {
		cfg := toForeign()
		cfg.Backends[0].Connect = []string{"unix:" + socket}
		cfg.Backends[0].Timeout.Dial = d
		return start(t, cfg)
	}
	patient, hasty := gateway(time.Minute), gateway(soon)
	late := patient.ask("/")
	time.Sleep(2 * soon) // what both would need for the default of 5 s, the patient one has begun
	if r := <-hasty.ask("/"); r.status != 504 {
		t.Errorf("a worker that is full: %v, want 504", r)
	}
	select {
	case r := <-late:
		t.Errorf("with a minute to dial: %v, want no answer yet", r)
	default: // the end of the gateway does not wait for the minute
	}
}

func effectTimeoutFirstByte(t *testing.T) {
	g := startEdited(t, func(c *config.Config) { c.Backends[0].Timeout.FirstByte = soon })
	g.wants(504, "GET", "/silent", "")
	if len(g.log.With("/silent", "backend=app")) == 0 {
		t.Errorf("the log does not say why:\n%s", g.log)
	}
}

// An answer that comes to a stop is broken off.
func effectTimeoutRead(t *testing.T) {
	g := startEdited(t, func(c *config.Config) { c.Backends[0].Timeout.Read = soon })
	resp, err := g.client.Get(URL(g.s.Addrs()[0]) + "stall")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if string(b) != "the beginning" || err == nil || os.IsTimeout(err) {
		t.Errorf("%q, %v, want the beginning and that the connection was closed", b, err)
	}
}

// What the client sees is not certain, as it has not sent everything when the
// answer comes; so the access log says it.
func effectBackendTimeoutWrite(t *testing.T) {
	cfg := toForeign(deafWorker(t))
	cfg.Backends[0].Timeout.Write = soon
	g := start(t, cfg)
	sent := make(chan error, 1)
	go func() { // until the gateway closes the connection
		_, _, err := g.try("POST", "/deaf", strings.Repeat("x", 16<<20))
		sent <- err
	}()
	await(t, "the request ends", func() bool { return strings.Contains(g.out.String(), `"POST /deaf HTTP/1.1" 504`) })
	if err := <-sent; err != nil {
		if e, ok := errors.AsType[*url.Error](err); !ok || e.Timeout() {
			t.Errorf("the client: %v", err)
		}
	}
}
