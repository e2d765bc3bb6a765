package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/pool"
)

// respond passes an answer on. It returns the target of a local redirect, and
// what the answer says about its worker.
func (t *turn) respond(b *Backend, w *pool.Worker, resp *cgi.Response) (again string, verdict error) {
	defer resp.Body.Close()
	if resp.LocalRedirect != "" {
		return resp.LocalRedirect, nil
	}
	h := resp.Header
	if resp.Status == http.StatusNoContent {
		h = without(h, "Content-Length") // RFC 9110 §8.6
	}
	out := reply{w: t.w, life: &t.life, left: resp.ContentLength}
	defer out.toWorker()
	out.err = t.w.WriteHeader(resp.Status, h)
	var err error
	if out.err == nil && !bodiless(t.r.Method, resp.Status) {
		err = out.copy(resp.Body)
	}
	t.complain(b, w, &out, err)
	return "", t.verdict(&out, err)
}

// bodiless reports whether a response has no body (RFC 9112 §6.3).
func bodiless(method string, status int) bool {
	return method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified
}

func without(h cgi.Header, name string) cgi.Header {
	if !h.Has(name) {
		return h
	}
	var kept cgi.Header
	for _, f := range h {
		if !strings.EqualFold(f.Name, name) {
			kept = append(kept, f)
		}
	}
	return kept
}

// A reply is a response body on its way to the client.
type reply struct {
	w    cgi.ResponseWriter
	life *life
	left int64 // bytes that were announced and have not come; -1 if none were
	err  error // of the client

	theirs bool // it is the client's turn
	each   bool // nobody says when a wait begins
}

// Why a body does not fit its Content-Length.
var (
	errTooShort = errors.New("gateway: the application sent less than its Content-Length")
	errTooLong  = errors.New("gateway: the application sent more than its Content-Length")
)

// copy passes the body on. Its error is the application's, unless r.err is set.
func (r *reply) copy(body io.Reader) error {
	var err error
	if from, ok := body.(io.WriterTo); ok {
		_, err = from.WriteTo(r)
	} else {
		r.each = true
		_, err = io.Copy(r, body)
	}
	if _, short := errors.AsType[*cgi.ShortError](err); short || err == nil && r.left > 0 {
		err = fmt.Errorf("%w: %d bytes are missing", errTooShort, r.left)
	}
	return err
}

// Write implements io.Writer. Each piece is a sign of life; while the client
// does not take it, there cannot be another. After a small one it stays the
// client's turn, for the next is there, or Flush comes; a big one may be all that
// was there without that, if it fills a buffer.
func (r *reply) Write(p []byte) (n int, err error) {
	r.life.worker.Alive()
	r.toClient()
	if r.each || len(p) >= bigPiece {
		defer r.toWorker()
	}
	over := r.left >= 0 && int64(len(p)) > r.left
	if over {
		p = p[:r.left]
	}
	if len(p) > 0 {
		n, r.err = r.w.Write(p)
	}
	if r.left >= 0 {
		r.left -= int64(n)
	}
	if over && r.err == nil {
		return n, errTooLong
	}
	return n, r.err
}

// Flush is called before a wait for more.
func (r *reply) Flush() error {
	r.toClient()
	defer r.toWorker()
	r.err = r.w.Flush()
	return r.err
}

func (r *reply) toClient() {
	if !r.theirs {
		r.theirs = true
		r.life.toClient()
	}
}

func (r *reply) toWorker() {
	if r.theirs {
		r.theirs = false
		r.life.toWorker()
	}
}

// verdict returns what the exchange says about the worker. A wrong length is a
// fault of one page, not of the worker.
func (t *turn) verdict(out *reply, err error) error {
	switch {
	case t.clientGone(out):
		return context.Canceled
	case errors.Is(err, errTooShort), errors.Is(err, errTooLong):
		return nil
	}
	return err
}

// clientGone reports whether it was the client that ended an exchange.
func (t *turn) clientGone(out *reply) bool {
	return out.err != nil || t.gone() || t.clientFailed() != nil
}

// complain breaks off a response that has begun and is not complete, so that
// the client can tell, and logs why. What is too long has been sent as it was
// announced.
func (t *turn) complain(b *Backend, w *pool.Worker, out *reply, err error) {
	if err == nil && out.err == nil {
		return
	}
	if t.clientGone(out) {
		t.w.Abort()
		return
	}
	text := "response is longer than announced"
	if !errors.Is(err, errTooLong) {
		text = "response broken off"
		t.w.Abort()
	}
	if t.h.Log == nil {
		return
	}
	t.h.Log.LogAttrs(context.Background(), slog.LevelError, text,
		slog.String("method", shortened(t.r.Method)),
		slog.String("path", shortened(t.r.Path())),
		slog.String("backend", b.Name),
		slog.String("worker", w.String()),
		slog.Any("err", err),
		slog.String("hint", lengthHint(err, w.String())))
}

func lengthHint(err error, worker string) string {
	if errors.Is(err, errTooShort) || errors.Is(err, errTooLong) {
		return "let the application count again, or leave Content-Length out"
	}
	return hint(err, worker)
}
