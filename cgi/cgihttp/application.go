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
// without a log. Nil means http.DefaultServeMux.
func Handler(h http.Handler) cgi.Handler { return &Application{Handler: h} }

// An Application is an http.Handler as a cgi.Handler. Its fields must not be
// changed once it serves. It is safe for concurrent use if the Handler is.
//
// The handler sees what it would see behind net/http, with these differences:
//
//   - There is no connection. Hijack returns an error that wraps
//     http.ErrNotSupported, WriteHeader(101) panics, and header fields that
//     speak of a connection are dropped, both ways.
//   - There are no trailers. Those of a request never come, those of a response
//     are dropped: fields that the Trailer field announces, whenever they are
//     set, and those with http.TrailerPrefix.
//   - WriteHeader with another 1xx sends an interim response if the server of
//     the protocol knows that its web server can take it, and nothing if not.
//   - The web server answers "Expect: 100-continue", before or while the
//     handler reads the body. The field is in the header all the same.
//   - A panic is answered with status 500 if nothing has been sent: the first
//     4 KiB of a body wait for a Flush or the handler's end. Otherwise, and
//     always after http.ErrAbortHandler and runtime.Goexit, the response is
//     aborted, so that it does not look complete.
//   - http.ResponseController has Flush, SetReadDeadline and EnableFullDuplex
//     (CGI always is), and SetWriteDeadline where the protocol's server knows
//     it. A body whose read deadline has passed cannot be read again.
//   - The URL is made from the target alone and never holds a host
//     (golang/go#81686); the client's idea of it is in Request.Host.
//   - RemoteAddr has port 0 if the web server does not say which, and is empty
//     for a client without an IP address. TLS says that there is some, not
//     which.
//   - A body that is shorter than its Content-Length ends with
//     io.ErrUnexpectedEOF, and one that is longer is cut (FastCGI 1.0 §6.2).
//   - Request.Context is done for the reasons of the protocol's server;
//     context.Cause tells which. It has that server's values and not those of
//     net/http: no http.ServerContextKey.
//
// [Params], [Stderr] and [LogHandler] reach what net/http has no place for.
//
// As with net/http, a handler may leave a request to goroutines that outlive
// it, and those may keep what they got: nothing of it is used for another
// request. Once the handler has returned, the Context is done, with
// context.Canceled unless the server's was before; reads of the body and
// writes of the response, also those of Stderr, are errors and touch nothing.
// A Write, or a ReadFrom a file, that is under way is waited for.
type Application struct {
	// Handler answers the requests. Nil means http.DefaultServeMux.
	Handler http.Handler

	// Log is told of panics, besides the server's log (cgi.Stderr). The
	// context of the record is the one that ServeCGI got. Nil discards.
	Log *slog.Logger
}

var _ cgi.Handler = (*Application)(nil)

// ServeCGI implements cgi.Handler. A target that is not a path is answered with
// status 400, without the handler. Nothing of w, r and ctx is used after
// ServeCGI has returned; strings of r are kept.
func (a *Application) ServeCGI(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	x := newCall(ctx, w, r)
	defer x.end()
	hr, err := x.newRequest()
	if err != nil {
		fmt.Fprintln(cgi.Stderr(w), err)
		plainText(w, http.StatusBadRequest)
		return
	}
	a.serve(x, hr)
}

// serve calls the handler and ends the response, however the handler ended.
func (a *Application) serve(x *call, r *http.Request) {
	returned := false
	defer func() {
		x.response.body.end()
		if returned {
			x.response.finish()
			return
		}
		a.failed(x, recover()) // nil after runtime.Goexit
	}()
	h := a.Handler
	if h == nil {
		h = http.DefaultServeMux
	}
	h.ServeHTTP(&x.response, r)
	returned = true
}

// failed ends the response of a handler that did not return. It does not look
// at the http.Request, which handlers change.
func (a *Application) failed(x *call, v any) {
	if v == nil || v == http.ErrAbortHandler {
		x.response.abort()
		return
	}
	method, path, stack := x.r.Method, x.r.Path(), debug.Stack()
	fmt.Fprintf((*stderr)(x), "panic serving %s %s: %v\n%s", method, path, v, stack)
	if a.Log != nil {
		// Not with the request's own context: LogHandler would say it twice.
		a.Log.LogAttrs(x.ctx, slog.LevelError, "handler panicked",
			slog.String("method", method),
			slog.String("path", path),
			slog.Any("panic", v),
			slog.String("stack", string(stack)))
	}
	x.response.fail()
}
