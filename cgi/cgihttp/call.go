package cgihttp

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// errEnded is what those get who come too late.
var errEnded = errors.New("cgihttp: write: the handler has returned")

// A call is one call of an Application's handler: what the server lends for
// it, and all that is made for it, in one piece of memory. Handlers keep
// requests, contexts and response writers in goroutines that outlive them, so
// a call is never used again. The server's things may be: they are touched
// before end only. There are three ways to be sure of that: inside of gate,
// which is for what may wait or be called back; with mu, while over is false;
// and for w with response.mu, while response.ended is false.
type call struct {
	gate gate
	ctx  context.Context
	w    cgi.ResponseWriter
	r    *cgi.Request

	mu          sync.Mutex // guards what follows
	over        bool       // end has been called
	real        context.Context
	cancel      context.CancelCauseFunc // of real
	deadline    time.Time               // of ctx, once that must not be asked any more
	hasDeadline bool
	params      []cgi.Field // what Params yields; nil until it is called

	stderr sync.Mutex // held while something is written there

	response response
	body     appBody
	request  http.Request
	url      url.URL
	values   [16]string // of the request's header fields
}

func newCall(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) *call {
	x := &call{ctx: ctx, w: w, r: r}
	x.response.x, x.response.length = x, -1
	return x
}

// end gives back what belongs to the server. Those who are using it are waited
// for; all of them are on their way out, or are held for as long as the
// server lets a client take its time.
func (x *call) end() {
	x.endContext()
	x.gate.shut()
	x.ctx, x.w, x.r = nil, nil, nil
}
