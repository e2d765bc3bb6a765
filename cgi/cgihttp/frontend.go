package cgihttp

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A FrontEnd is an http.Handler that hands each request to a cgi.Handler. Its
// fields must not be changed once it serves, and it must not be copied.
//
// The header fields of the cgi.Request are sorted by name, those of one name
// in the order they came, so that the same request gives the same params. Its
// body can be cancelled if the http.ResponseWriter takes read deadlines, as
// those of net/http do.
//
// A response that its Handler aborts, or that is shorter than its own
// Content-Length, ends the connection (HTTP/1) or the stream (HTTP/2), so that
// the client can tell. Over HTTP/1, a response that starts before the request
// body has been read carries "Connection: close": net/http cannot be trusted
// to find the next request behind a body that was given up.
type FrontEnd struct {
	// Handler answers the requests.
	Handler cgi.Handler

	// Refuse, if not nil, answers a request that Handler is not given, so
	// that its page looks like all others: 414 or 431 for one over a limit,
	// 501 for CONNECT, and 500 if Handler panicked before it sent anything.
	// r may lack its header fields and body. Nil sends the status and its
	// standard text.
	Refuse func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request, status int)

	// Log is told of panics. Nil discards.
	Log *slog.Logger

	// MaxHeaderBytes bounds the request line and header fields together, in
	// bytes. Zero means DefaultMaxHeaderBytes; negative, no limit.
	MaxHeaderBytes int

	// MaxFields bounds the number of header fields. Zero means
	// DefaultMaxFields; negative, no limit.
	MaxFields int

	// WriteTimeout bounds the time in which a client must take a piece of
	// the response, so that one which does not read cannot hold an
	// application for ever; then its connection (HTTP/1) or stream (HTTP/2) is
	// broken. It is set anew at least every quarter of it while there is
	// something to send. Zero means DefaultWriteTimeout; negative, no limit.
	WriteTimeout time.Duration

	local   atomic.Pointer[localAddr] // the last one seen, see serverAddr
	closing atomic.Bool
}

var _ http.Handler = (*FrontEnd)(nil)

// CloseConnections has every further response over HTTP/1 carry "Connection:
// close", so that clients ask elsewhere next: before connections without a
// request are closed, which may cross the next one.
func (f *FrontEnd) CloseConnections() { f.closing.Store(true) }

// An exchange is everything one request needs, made at once. Handlers may keep
// the request, so nothing of it is used again.
type exchange struct {
	req  cgi.Request
	w    writer
	body body
}

// ServeHTTP implements http.Handler. It panics with http.ErrAbortHandler to
// end a broken response: that is how net/http is told.
func (f *FrontEnd) ServeHTTP(hw http.ResponseWriter, hr *http.Request) {
	x := new(exchange)
	x.w.w, x.w.rc, x.w.length = hw, *http.NewResponseController(hw), -1
	x.w.http1, x.w.closing = hr.ProtoMajor == 1, &f.closing
	x.w.interim = hr.ProtoAtLeast(1, 1)
	x.w.head = hr.Method == http.MethodHead
	x.w.setTimeout(f.WriteTimeout)
	status := f.fill(&x.req, hr)
	if hr.Body != nil && hr.Body != http.NoBody {
		x.open(hr)
	}
	defer x.body.end(&x.w)
	f.serve(hr.Context(), x, status)
	if x.w.finish() {
		return
	}
	x.w.abort(&x.body)
	panic(http.ErrAbortHandler)
}

// open gives the request its body. Without full duplex net/http would read the
// body itself, and lose it, as soon as the answer starts.
func (x *exchange) open(hr *http.Request) {
	x.body.src, x.body.rc = hr.Body, &x.w.rc
	x.w.body = &x.body
	x.req.Body, x.req.ContentLength = &x.body, hr.ContentLength
	if x.w.http1 {
		x.w.rc.EnableFullDuplex() // not supported only by fakes, which have no such habit
	}
}

// serve calls the Handler, or Refuse if status is not 0.
func (f *FrontEnd) serve(ctx context.Context, x *exchange, status int) {
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if v == http.ErrAbortHandler || x.w.wrote {
			x.w.Abort()
		}
		if v == http.ErrAbortHandler {
			return
		}
		if f.Log != nil {
			f.Log.LogAttrs(ctx, slog.LevelError, "handler panicked",
				slog.String("method", x.req.Method),
				slog.String("path", x.req.Path()),
				slog.Any("panic", v),
				slog.String("stack", string(debug.Stack())))
		}
		if !x.w.wrote {
			f.refuse(ctx, x, http.StatusInternalServerError)
		}
	}()
	if status != 0 {
		f.refuse(ctx, x, status)
		return
	}
	f.Handler.ServeCGI(ctx, &x.w, &x.req)
}

func (f *FrontEnd) refuse(ctx context.Context, x *exchange, status int) {
	if f.Refuse != nil {
		f.Refuse(ctx, &x.w, &x.req, status)
		return
	}
	plainText(&x.w, status)
}

// plainText answers with a status and nothing but its standard text. What
// goes wrong in doing so has no further reader.
func plainText(w cgi.ResponseWriter, status int) {
	text := http.StatusText(status) + "\n"
	w.WriteHeader(status, cgi.Header{
		{Name: "Content-Type", Value: "text/plain; charset=utf-8"},
		{Name: "Content-Length", Value: strconv.Itoa(len(text))},
	})
	w.Write([]byte(text))
}
