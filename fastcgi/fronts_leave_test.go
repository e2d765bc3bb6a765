package fastcgi_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/fastcgi"
)

func (b *behind) testClientGoesAway(t *testing.T) {
	resp, err := b.client.Get("http://example.org/drip")
	if err != nil {
		t.Fatal(err)
	}
	drop := make([]byte, len("drop\n"))
	if _, err := io.ReadFull(resp.Body, drop); err != nil || string(drop) != "drop\n" {
		t.Errorf("answer = %q, %v", drop, err)
	}
	resp.Body.Close() // and the connection with it
	b.awaitLoss(t)
}

// testClientGoesAwayInSilence has the client leave before there is any answer.
func (b *behind) testClientGoesAwayInSilence(t *testing.T) {
	b.leave(t, "GET", "/wait")
	b.awaitLoss(t)
}

// testOneOfTwoGoesAway has a client leave while another one waits, who must not
// notice.
func (b *behind) testOneOfTwoGoesAway(t *testing.T) {
	release := b.hold(t)
	b.testClientGoesAway(t)
	release()
}

func (b *behind) testClientGoesAwayInItsBody(t *testing.T) {
	release := b.hold(t)
	b.leave(t, "POST", "/body")
	b.awaitLoss(t)
	release()
}

// leave makes a request and gives it up when it has begun. A POST sends half of
// its body before that.
func (b *behind) leave(t *testing.T, method, target string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, "http://example.org"+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	if method == "POST" {
		r.Body = io.NopCloser(io.MultiReader(strings.NewReader(mebibytes[:1<<20]), stalled{ctx}))
		r.ContentLength = 2 << 20
	}
	go func() { // ends at the latest with the request, which has a timeout
		select {
		case <-b.begun:
		case <-ctx.Done():
		}
		cancel()
	}()
	if resp, err := b.client.Do(r); !errors.Is(err, context.Canceled) {
		t.Errorf("answer = %v, %v, want none", resp, err)
	}
}

// A stalled reader has nothing to give, until its context is done.
type stalled struct{ ctx context.Context }

func (s stalled) Read([]byte) (int, error) {
	<-s.ctx.Done()
	return 0, s.ctx.Err()
}

// awaitLoss waits until a handler has been told that its client has gone.
func (b *behind) awaitLoss(t *testing.T) {
	t.Helper()
	select {
	case cause := <-b.causes:
		if !errors.Is(cause, fastcgi.ErrConnectionLost) && !errors.Is(cause, fastcgi.ErrAborted) {
			t.Errorf("cause = %v, want ErrConnectionLost or ErrAborted", cause)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the handler was not told that the client has gone")
	}
}
