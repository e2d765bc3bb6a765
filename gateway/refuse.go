package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A refusal is an answer that the gateway gives itself.
type refusal struct {
	status int
	cause  error         // for the operator
	hint   string        // what the operator can do; may be empty
	allow  string        // of a 405
	after  time.Duration // of a 503: it is of no use to try before; 0: not known

	backend, worker string // of whom it speaks; may be empty
}

// err returns the cause; nil if there is no refusal.
func (no *refusal) err() error {
	if no == nil {
		return nil
	}
	return no.cause
}

// retryAfter returns after how many seconds to try again.
func (no *refusal) retryAfter() string {
	if no.after <= 0 {
		return retryAfter
	}
	return strconv.FormatInt(int64((no.after+time.Second-1)/time.Second), 10)
}

func refuse(status int, cause error, hint string) *refusal {
	return &refusal{status: status, cause: cause, hint: hint}
}

// Reasons of the gateway's own.
var (
	errDenied    = errors.New("denied by a route")
	errNoRoute   = errors.New("no route matches")
	errBelowFile = errors.New("the path goes on below a file that is not a script")
	errSource    = errors.New("the source of a program")
	errMethod    = errors.New("the method is for nobody behind a gateway")
	errFrontEnd  = errors.New("refused before it was routed")
	errRedirects = errors.New("too many local redirects")
)

// allMethods is what a 405 of the gateway allows.
const allMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

// pathStatus is 404 for a path that may have a meaning elsewhere, and 400 for
// one that has none.
func pathStatus(err error) int {
	if err == errHiddenSlash {
		return http.StatusNotFound
	}
	return http.StatusBadRequest
}

func frontEndHint(status int) string {
	switch status {
	case http.StatusRequestURITooLong, http.StatusRequestHeaderFieldsTooLarge:
		return "the head of the request is over the limits; look for a cookie that grows"
	}
	return ""
}

// refuse logs a refusal and answers with its page. What goes wrong in doing so
// has no further reader.
func (t *turn) refuse(no *refusal) {
	// A client that stopped sending is still there, though a read that we
	// gave up on ends the context too.
	if t.gone() && no.status != http.StatusRequestTimeout {
		t.w.Abort() // nobody reads it, and the access log says that the client has gone
		return
	}
	id := rand.Text()[:idLen]
	t.logRefusal(no, id)
	h := cgi.Header{
		{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
		{Name: "Content-Length", Value: ""},
		{Name: "Cache-Control", Value: "no-store"},
	}
	page := plainPage(no.status, id)
	if accepts(t.r.Header.Get("Accept"), "text/html") {
		h[0].Value = "text/html; charset=utf-8"
		page = htmlPage(no.status, id)
	}
	h[1].Value = strconv.Itoa(len(page))
	switch no.status {
	case http.StatusMethodNotAllowed:
		allow := no.allow
		if allow == "" {
			allow = allMethods
		}
		h = append(h, cgi.Field{Name: "Allow", Value: allow})
	case http.StatusServiceUnavailable:
		h = append(h, cgi.Field{Name: "Retry-After", Value: no.retryAfter()})
	}
	if t.w.WriteHeader(no.status, h) == nil && t.r.Method != http.MethodHead {
		t.w.Write(page)
	}
}

// idLen is enough to find one request in a log.
const idLen = 12

// logRefusal writes the line that the page's id leads to. What a client did
// wrong is not worth a warning: there are too many of those.
func (t *turn) logRefusal(no *refusal, id string) {
	if t.h.Log == nil {
		return
	}
	level, text := slog.LevelInfo, "request refused"
	if no.status >= 500 {
		level, text = slog.LevelError, "request failed"
	}
	attrs := []slog.Attr{
		slog.Int("status", no.status),
		slog.String("id", id),
		slog.String("method", shortened(t.r.Method)),
		slog.String("path", shortened(t.r.Path())),
	}
	if no.backend != "" {
		attrs = append(attrs, slog.String("backend", no.backend))
	}
	if no.worker != "" {
		attrs = append(attrs, slog.String("worker", no.worker))
	}
	attrs = append(attrs, slog.Any("err", no.cause))
	if no.hint != "" {
		attrs = append(attrs, slog.String("hint", no.hint))
	}
	t.h.Log.LogAttrs(context.Background(), level, text, attrs...)
}

// shortened bounds what a client can make us log.
func shortened(s string) string {
	if len(s) > shownPath {
		return s[:shownPath] + "…"
	}
	return s
}

func quoted(s string) string { return strconv.Quote(shortened(s)) }
