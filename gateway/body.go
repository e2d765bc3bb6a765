package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A requestBody is a request body on its way to an application.
type requestBody interface {
	cgi.Body

	// failed returns why the client's end could not be read, nil if it could.
	failed() error

	// rewind makes it ready to be sent once more; false if it cannot be.
	rewind() bool

	close()
}

// Why a request body is not taken.
var (
	errBodyTooLarge = errors.New("gateway: the request body is larger than max_body")
	errBodyTimeout  = errors.New("gateway: the client stopped sending its request body")
)

// openBody checks the body of the request against the limit, and makes it fit
// for CGI: one of unknown length is received first. So is a small one, so that
// a client which sends it slowly holds no worker, and it can be sent again.
func (t *turn) openBody(rt *Route) *refusal {
	src := t.r.Body
	if src == nil {
		return nil
	}
	limit := orDefault(t.h.MaxBody, DefaultMaxBody)
	if rt.MaxBody != 0 {
		limit = orDefault(rt.MaxBody, DefaultMaxBody)
	}
	live := &liveBody{ctx: t.ctx, src: src, timeout: orDefault(t.h.BodyTimeout, DefaultBodyTimeout)}
	switch {
	case t.r.ContentLength > limit:
		return bodyRefusal(fmt.Errorf("%w: %d bytes, want at most %d", errBodyTooLarge, t.r.ContentLength, limit))
	case t.r.ContentLength > smallBody:
		t.body = live
		return nil
	}
	spooled, err := t.h.spool().take(live, limit, t.r.ContentLength)
	if err != nil {
		return bodyRefusal(err)
	}
	t.body, t.r.ContentLength = spooled, spooled.size
	return nil
}

// bodyRefusal is the answer for a request whose body could not be had.
func bodyRefusal(err error) *refusal {
	switch {
	case errors.Is(err, errBodyTooLarge):
		return refuse(http.StatusRequestEntityTooLarge, err, "max_body, of the route or of all, is how much is taken")
	case errors.Is(err, errBodyTimeout):
		return refuse(http.StatusRequestTimeout, err, "")
	case errors.Is(err, errSpool):
		return refuse(http.StatusServiceUnavailable, err, "request bodies of unknown length are kept in files of the folder for temporary files until they are complete; is it full?")
	}
	return refuse(http.StatusBadRequest, err, "")
}

// A liveBody is read from the client as it comes. It cannot be sent twice once
// any of it has been read.
type liveBody struct {
	ctx     context.Context // of the request
	src     cgi.Body
	timeout time.Duration // for each Read

	mu     sync.Mutex
	timer  *time.Timer // cancels src when a Read takes too long
	late   bool        // it did
	over   bool        // nobody wants to read on
	gone   bool        // the client had gone by then
	opened bool
	err    error
}

func (b *liveBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	b.opened = true
	if b.timer == nil {
		b.timer = time.AfterFunc(b.timeout, b.giveUp)
	} else {
		b.timer.Reset(b.timeout)
	}
	b.mu.Unlock()
	n, err := b.src.Read(p)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.timer.Stop()
	if err == nil || err == io.EOF {
		return n, err
	}
	switch {
	case b.late:
		err = fmt.Errorf("%w: nothing for %v", errBodyTimeout, b.timeout)
	case b.over:
		return n, err
	}
	b.err = err
	return n, err
}

// giveUp is called when a Read has taken too long.
func (b *liveBody) giveUp() {
	b.mu.Lock()
	b.late = true
	b.mu.Unlock()
	b.src.Cancel()
}

// Cancel implements cgi.Body. What Read says after it is not the client's
// fault.
func (b *liveBody) Cancel() {
	b.mu.Lock()
	if !b.over {
		b.over, b.gone = true, b.ctx.Err() != nil
	}
	b.mu.Unlock()
	b.src.Cancel()
}

// clientGone reports whether the context of the request has ended because its
// client went away, and not because the body was cancelled: net/http takes
// every failed read for a client that has gone.
func (b *liveBody) clientGone() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.over {
		return b.gone
	}
	return b.ctx.Err() != nil
}

func (b *liveBody) failed() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func (b *liveBody) rewind() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !b.opened
}

func (b *liveBody) close() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.timer != nil {
		b.timer.Stop()
	}
}
