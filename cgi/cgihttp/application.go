package cgihttp

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/sluice-gateway/sluice/cgi"
)

// Handler returns h as a CGI application. It is short for an [Application]
// without a log.
func Handler(h http.Handler) cgi.Handler { return &Application{Handler: h} }

// An Application is an http.Handler as a cgi.Handler. Its handler sees what it
// would see behind net/http, with these differences:
//
//   - No Connection, no trailers and no status 101: CGI has none of them.
//     Hijack returns an error.
//   - A panic is answered with status 500 if nothing has been sent. Otherwise,
//     and after http.ErrAbortHandler, the response is aborted.
//   - ResponseController has Flush, SetReadDeadline and EnableFullDuplex (CGI
//     always is), and SetWriteDeadline where the protocol's server knows it. A
//     body whose read deadline has passed cannot be read again.
//   - The URL is made from the target alone and never holds a host
//     (golang/go#81686); the client's idea of it is in Request.Host.
//   - A body that is shorter than its Content-Length ends with
//     io.ErrUnexpectedEOF, and one that is longer is cut (FastCGI 1.0 §6.2).
//
// [Params] and [Stderr] reach what net/http has no place for.
type Application struct {
	// Handler answers the requests. Nil means http.DefaultServeMux.
	Handler http.Handler

	// Log is told of panics, besides the server's log (cgi.Stderr). Nil
	// discards.
	Log *slog.Logger
}

var _ cgi.Handler = (*Application)(nil)

// ServeCGI implements cgi.Handler.
func (a *Application) ServeCGI(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	x := &call{ctx: requestContext{ctx, w, r}, response: response{w: w, length: -1}}
	hr, err := x.newRequest(r)
	if err != nil {
		fmt.Fprintln(cgi.Stderr(w), err)
		plainText(w, http.StatusBadRequest)
		return
	}
	a.serve(&x.response, hr)
}

// A call is what one call of the handler needs, made at once.
type call struct {
	ctx      requestContext
	response response
	body     appBody
}

// serve calls the handler and ends the response, however the handler ended.
func (a *Application) serve(p *response, r *http.Request) {
	returned := false
	defer func() {
		p.body.end()
		if returned {
			p.finish()
			return
		}
		a.failed(p, r, recover()) // nil after runtime.Goexit
	}()
	h := a.Handler
	if h == nil {
		h = http.DefaultServeMux
	}
	h.ServeHTTP(p, r)
	returned = true
}

// failed ends the response of a handler that did not return.
func (a *Application) failed(p *response, r *http.Request, v any) {
	if v != nil && v != http.ErrAbortHandler {
		stack := debug.Stack()
		fmt.Fprintf(cgi.Stderr(p.w), "panic serving %s %s: %v\n%s", r.Method, r.URL.Path, v, stack)
		if a.Log != nil {
			a.Log.LogAttrs(r.Context(), slog.LevelError, "handler panicked",
				slog.String("method", r.Method),
				slog.String("path", r.URL.Path),
				slog.Any("panic", v),
				slog.String("stack", string(stack)))
		}
		if !p.sent {
			p.ended = true
			plainText(p.w, http.StatusInternalServerError)
			return
		}
	}
	p.ended = true
	p.w.Abort()
}
