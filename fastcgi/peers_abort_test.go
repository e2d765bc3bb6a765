package fastcgi_test

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/fastcgi"
)

// checkUsable has every process of the peer answer, and one of them again.
func (p *running) checkUsable(t *testing.T, c *fastcgi.Client) {
	var wg sync.WaitGroup
	for range p.processes + 1 {
		wg.Go(func() { p.checkSum(t, c, []byte("still there")) })
	}
	wg.Wait()
}

func (p *running) testAbortAnswer(t *testing.T) {
	c := p.client(t)
	for range p.processes + 1 {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		resp, err := c.RoundTrip(ctx, p.network, p.address, p.request("slow", nil))
		if err != nil {
			t.Fatal(err)
		}
		begun := make([]byte, len("begun\n"))
		if _, err := io.ReadFull(resp.Body, begun); err != nil || string(begun) != "begun\n" {
			t.Errorf("answer = %q, %v, want it to begin", begun, err)
		}
		cancel()
		if _, err := io.ReadAll(resp.Body); !errors.Is(err, context.Canceled) {
			t.Errorf("rest of the answer: error %v, want %v", err, context.Canceled)
		}
		resp.Body.Close()
	}
	p.checkUsable(t, c)
}

func (p *running) testAbortBody(t *testing.T) {
	c := p.client(t)
	for range p.processes + 1 {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		body := &halfBody{waits: cancel, cancelled: make(chan struct{})}
		r := p.request("sum", []byte{})
		r.Body, r.ContentLength = body, 1<<20
		if got, err := p.fetch(ctx, c, r); !errors.Is(err, context.Canceled) {
			t.Errorf("fetch = %v, %v, want %v", got, err, context.Canceled)
		}
	}
	p.checkUsable(t, c)
}

// testExit has a process end before its answer does: that must not look like
// the end of the answer.
func (p *running) testExit(t *testing.T) {
	got, err := p.fetch(t.Context(), p.client(t), p.request("exit", nil))
	var failed *fastcgi.Error
	if !errors.As(err, &failed) || failed.Op != "receive" || failed.Timeout() || failed.SafeToRetry {
		t.Errorf("error %v (%T), want one of receiving, not to be tried again", err, err)
	}
	if got != (answer{200, "", "begun\n"}) {
		t.Errorf("answer = %v, want its beginning", got)
	}
}

// A halfBody gives less than was announced and then blocks, as a client does
// that stops sending.
type halfBody struct {
	given     bool
	waits     func() // called when it blocks
	once      sync.Once
	cancelled chan struct{}
}

func (b *halfBody) Read(p []byte) (int, error) {
	if !b.given {
		b.given = true
		return len(p), nil
	}
	b.waits()
	<-b.cancelled
	return 0, io.ErrUnexpectedEOF
}

func (b *halfBody) Cancel() { b.once.Do(func() { close(b.cancelled) }) }
