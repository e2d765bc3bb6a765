package fcgitest_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"syscall"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
	. "github.com/sluice-gateway/sluice/fastcgi/fcgitest"
)

// The client may write before the application closes, or after: which it was
// is not known, but a GET can be asked again in any case.
func TestCloseOnAccept(t *testing.T) {
	for name, script := range map[string]func(*Conn){"close": (*Conn).Close, "reset": (*Conn).Reset} {
		t.Run(name, func(t *testing.T) {
			app := ApplicationOn(t, Listen(t, "tcp"), script)
			client := newClient(t)
			for range 20 {
				for _, method := range []string{"GET", "POST"} {
					status, body, err := fetch(t, client, app, &cgi.Request{Method: method, Target: "/"})
					e, ok := errors.AsType[*fastcgi.Error](err)
					if !ok || said(e)&(refused|timeout) != 0 {
						t.Fatalf("%s = %d, %q, %v, want a lost connection", method, status, body, err)
					}
					if want := method == "GET" || e.Sent == 0; (said(e) == retry) != want {
						t.Errorf("%s: error %v after %d bytes: safe to retry %v, want %v", method, e, e.Sent, !want, want)
					}
				}
			}
		})
	}
}

// A reset in the body must not be taken for its end.
func TestResetInBody(t *testing.T) {
	read := make(chan struct{})
	app := ApplicationOn(t, Listen(t, "tcp"), func(c *Conn) {
		c.ReadRequest()
		c.Send(head, Stdout(1, "half"))
		c.Pause(read) // a reset takes what is not read with it
		c.Reset()
	})
	resp, err := newClient(t).RoundTrip(t.Context(), app.Network, app.Address, &cgi.Request{Method: "GET", Target: "/"})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	half := make([]byte, 4)
	if _, err := io.ReadFull(resp.Body, half); err != nil || string(half) != "half" {
		t.Fatalf("body = %q, %v", half, err)
	}
	close(read)
	_, err = resp.Body.Read(half)
	if e, ok := errors.AsType[*fastcgi.Error](err); !ok || !errors.Is(err, syscall.ECONNRESET) || said(e) != 0 {
		t.Errorf("error = %v, want one of a reset connection that is not safe to retry", err)
	}
}

// What comes when nothing was asked is not the answer to the next request,
// whoever it is from.
func TestUnasked(t *testing.T) {
	for name, unasked := range map[string]Record{
		"STDOUT": Stdout(1, "\n\nforged"), "END_REQUEST": done, "half a record": done.Cut(1),
	} {
		t.Run(name, func(t *testing.T) {
			idle, closed := make(chan struct{}), make(chan struct{})
			app := Application(t, func(c *Conn) {
				if c.N > 0 {
					serve(c)
					return
				}
				defer close(closed)
				c.ReadRequest()
				c.Send(good...)
				c.Pause(idle)
				c.Send(unasked)
				c.ExpectClosed()
			})
			client := newClient(t)
			if _, body, err := fetch(t, client, app, &cgi.Request{Method: "GET", Target: "/"}); err != nil || body != "hello" {
				t.Fatalf("first request = %q, %v", body, err)
			}
			close(idle)
			<-closed
			if _, body, err := fetch(t, client, app, &cgi.Request{Method: "POST", Target: "/"}); err != nil || body != "good" {
				t.Errorf("next request = %q, %v, want good", body, err)
			}
		})
	}
}

// STDERR goes to the log, a line an event, with no byte that a terminal obeys,
// and no more than 64 KiB of it.
func TestStderrIsLogged(t *testing.T) {
	app := Application(t, func(c *Conn) {
		id := c.ReadRequest().ID
		c.Send(Stderr(id, "first\nsec"), Stderr(id, "ond\n"), Stdout(id, hello), Stderr(id, "\x1b[2J"), EndRequest(id, 0, 0))
		id = c.ReadRequest().ID
		c.Send(Stream(fastcgi.TypeStderr, id, strings.Repeat("0123456789abcde\n", 1<<16), 0)...)
		c.Send(answer(id, hello)...)
		c.More()
	})
	var log bytes.Buffer
	client := newClient(t)
	client.Log = slog.New(slog.NewTextHandler(&log, nil))
	for range 2 {
		if _, body, err := fetch(t, client, app, &cgi.Request{Method: "GET", Target: "/"}); err != nil || body != "hello" {
			t.Fatalf("request = %q, %v", body, err)
		}
	}
	client.Close()
	for _, want := range []string{"text=first ", "text=second ", `text="\x1b[2J" `, "bytes=983040 "} {
		if !strings.Contains(strings.ReplaceAll(log.String(), "\n", " \n"), want) {
			t.Errorf("log lacks %s:\n%.2000s", want, log.String())
		}
	}
	if n := strings.Count(log.String(), "text=0123456789abcde"); n != 4096 {
		t.Errorf("%d lines of the 1 MiB are in the log, want 64 KiB", n)
	}
}
