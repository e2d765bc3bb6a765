package cgihttp

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"

	"github.com/sluice-gateway/sluice/cgi"
)

// A Transport is an http.RoundTripper that asks one CGI application, so that
// an http.Client or an httputil.ReverseProxy can talk to it without a web
// server between them. Its fields must not be changed once it is in use. It is
// safe for concurrent use if Client and Prepare are.
//
// It differs from http.Transport in these ways:
//
//   - The URL says what the application is asked for, not where it is: every
//     host leads to Address, also after a redirect. The scheme, http or https,
//     is what the application is told; nothing is encrypted.
//   - A body of unknown length is sent without CONTENT_LENGTH. Many
//     applications, those behind RFC 3875 to the letter among them, take that
//     for no body; for them Prepare, or the caller, must read it into memory or
//     a file first. One that is longer than its ContentLength is cut, and one
//     that is shorter fails the request.
//   - A local redirect (RFC 3875 §6.2.2) comes as a response with status 302.
//   - Nothing is added to the header, no User-Agent and no Accept-Encoding, and
//     nothing is decompressed. Hop-by-hop fields are dropped, both ways.
//     Expect is passed on and not waited for.
//   - No trailers, no switch of protocols, no CONNECT. Request.Cancel is not
//     looked at; the request's Context is. Of an httptrace.ClientTrace
//     Got1xxResponse and Got100Continue are called.
type Transport struct {
	// Client speaks the protocol of the application: *fastcgi.Client is one.
	// It keeps to what that says of the request, its body and ctx.
	Client interface {
		RoundTrip(ctx context.Context, network, address string, r *cgi.Request) (*cgi.Response, error)
	}

	// Network and Address say where the application listens, as in net.Dial.
	Network, Address string

	// Prepare, if not nil, is called with each request before it is sent. It
	// sets what an http.Request cannot say: Script, which nearly all programs
	// need and PHP without fail, RemoteAddr, ServerAddr, Extra. It may replace
	// the body, together with ContentLength, by one that it has made of
	// hr.Body. hr must not be changed otherwise, and r not be kept.
	Prepare func(r *cgi.Request, hr *http.Request)
}

var _ http.RoundTripper = (*Transport)(nil)

// RoundTrip implements http.RoundTripper. An error of the Client is returned as
// it is; for a request whose context is done that is its cause. The request is
// not changed, and its body is closed: when it has been read, or when the
// response is closed; if a Read of the body is under way then, Close is called
// meanwhile, as net/http does. The body of the response must be closed; Close may be called while
// a Read is under way and ends it.
//
// A response that is shorter than its Content-Length ends with an error that
// wraps io.ErrUnexpectedEOF; one that is longer is cut.
func (t *Transport) RoundTrip(hr *http.Request) (*http.Response, error) {
	x := &trip{hr: hr}
	x.ctx, x.cancel = context.WithCancelCause(hr.Context())
	err := x.fill()
	x.setBody()
	if err != nil {
		x.end()
		return nil, err
	}
	x.req.Informational = x.informational()
	if t.Prepare != nil {
		t.Prepare(&x.req, hr)
	}
	resp, err := t.Client.RoundTrip(x.ctx, t.Network, t.Address, &x.req)
	if err == nil && x.ctx.Err() != nil {
		resp.Body.Close() // an interim response was not to the client's taste, or it has gone
		err = context.Cause(x.ctx)
	}
	if err != nil {
		x.end()
		return nil, err
	}
	return x.response(resp), nil
}

// A trip is one request of a Transport and its response.
type trip struct {
	hr     *http.Request
	ctx    context.Context // of hr, and cancelled with the trip
	cancel context.CancelCauseFunc
	req    cgi.Request
	body   *requestBody // nil if there is none
	answer responseBody
}

// end is called when there is no more to be sent or received.
func (x *trip) end() {
	if x.body != nil {
		x.body.end()
	}
	x.cancel(nil)
}

// fill sets all of the request but its body.
func (x *trip) fill() error {
	hr, r := x.hr, &x.req
	if hr.URL == nil {
		return fmt.Errorf("cgihttp: send request: no URL")
	}
	r.Method, r.Proto, r.HTTPS, r.Host = hr.Method, "HTTP/1.1", hr.URL.Scheme == "https", hr.Host
	if r.Method == "" {
		r.Method = http.MethodGet
	}
	if r.Host == "" {
		r.Host = hr.URL.Host
	}
	r.ServerPort = serverPort(r.Host, r.HTTPS)
	target, ok := originForm(hr.URL.RequestURI())
	r.Target = target
	switch {
	case hr.URL.Scheme != "http" && !r.HTTPS:
		return fmt.Errorf("cgihttp: send request: scheme %.40q is neither http nor https", hr.URL.Scheme)
	case !isToken(r.Method) || r.Method == http.MethodConnect:
		return fmt.Errorf("cgihttp: send request: method %.40q cannot be sent", r.Method)
	case !ok:
		return fmt.Errorf("cgihttp: send request: target %.60q is not a path", hr.URL.RequestURI())
	case strings.ContainsAny(r.Host, forbidden):
		return fmt.Errorf("cgihttp: send request: host %.60q cannot be sent", r.Host)
	}
	r.Header = fieldsOf(hr.Header, make(cgi.Header, 0, len(hr.Header)))
	for _, f := range r.Header {
		if !isToken(f.Name) || strings.ContainsAny(f.Value, forbidden) {
			return fmt.Errorf("cgihttp: send request: header field %.60q cannot be sent", f.Name) // the value may be a secret
		}
	}
	return nil
}

// forbidden may not stand in a field (RFC 9110 §5.5); NUL separates params in
// SCGI and in an environment.
const forbidden = "\r\n\x00"

// serverPort is the port that a client of host would connect to.
func serverPort(host string, https bool) string {
	if _, port, err := net.SplitHostPort(host); err == nil && port != "" {
		return port
	}
	if https {
		return "443"
	}
	return "80"
}

// setBody gives the request its body. As net/http says of a request to be
// sent, a length of 0 is unknown if there is a body.
func (x *trip) setBody() {
	hr := x.hr
	if hr.Body == nil || hr.Body == http.NoBody {
		return
	}
	length := hr.ContentLength
	if length <= 0 {
		length = -1
	}
	x.body = &requestBody{src: &source{body: hr.Body}, length: length, left: length}
	x.req.Body, x.req.ContentLength = x.body, length
	if hr.GetBody != nil {
		x.req.Body = &rewindableBody{x.body, hr.GetBody}
	}
}

// informational returns what tells the request's ClientTrace of interim
// responses; nil if nobody wants to know. An error of it ends the trip.
func (x *trip) informational() func(status int, h cgi.Header) {
	trace := httptrace.ContextClientTrace(x.ctx)
	if trace == nil || trace.Got1xxResponse == nil && trace.Got100Continue == nil {
		return nil
	}
	return func(status int, h cgi.Header) {
		if status == http.StatusContinue && trace.Got100Continue != nil {
			trace.Got100Continue()
		}
		if trace.Got1xxResponse == nil {
			return
		}
		if err := trace.Got1xxResponse(status, textproto.MIMEHeader(headerOf(h, nil))); err != nil {
			x.cancel(err)
		}
	}
}

// response makes the http.Response.
func (x *trip) response(r *cgi.Response) *http.Response {
	resp := &http.Response{
		Status:        strings.TrimSpace(fmt.Sprintf("%d %s", r.Status, http.StatusText(r.Status))),
		StatusCode:    r.Status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        make(http.Header, len(r.Header)),
		ContentLength: r.ContentLength,
		Request:       x.hr,
	}
	addFields(resp.Header, r.Header, nil, cgi.HopByHop)
	bare := r.Status == http.StatusNoContent || r.Status == http.StatusNotModified
	if head := x.req.Method == http.MethodHead; head || bare {
		if !head {
			resp.ContentLength = 0
		}
		resp.Body = http.NoBody
		r.Body.Close() // whatever the application sends for a body is not one
		x.end()
		return resp
	}
	x.answer.x, x.answer.src, x.answer.left = x, r.Body, r.ContentLength
	resp.Body = &x.answer
	return resp
}
