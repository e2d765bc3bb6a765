package fcgi

import (
	"context"
	"fmt"
	"net/http"
	"testing"

	"github.com/sluice-gateway/sluice/cgi/cgihttp"
)

// A goroutine that a handler has left behind keeps the request that it knows,
// while others are served on the same connection.
func TestRequestAfterHandler(t *testing.T) {
	type key struct{}
	for _, lib := range both {
		t.Run(lib.name, func(t *testing.T) {
			var goOn, looked chan bool // of the bubble
			handler := func(w http.ResponseWriter, r *http.Request) {
				if r.Header.Get("Leave") == "" {
					goOn <- true
					<-looked
					return
				}
				ctx := context.WithValue(r.Context(), key{}, "mine")
				go func() { // until the last request has been served
					defer close(looked)
					<-goOn
					if got := fmt.Sprintf("%v %v %v", lib.env(r), r.URL.Path, r.RemoteAddr); got != "map[REMOTE_USER:ann] /a 192.0.2.7:54321" {
						t.Errorf("request: %s", got)
					}
					if got := fmt.Sprintf("%v %v", ctx.Value(key{}), ctx.Value("other")); got != "mine <nil>" {
						t.Errorf("context: %s", got)
					}
					if lib.name == theirs.name {
						return
					}
					<-ctx.Done()
					_, deadline := ctx.Deadline()
					if ctx.Err() != context.Canceled || context.Cause(ctx) != context.Canceled || deadline {
						t.Errorf("context: %v, cause %v", ctx.Err(), context.Cause(ctx))
					}
					for name := range cgihttp.Params(r) {
						t.Errorf("cgihttp.Params has %s", name)
					}
				}()
			}
			inBubble(t, lib, handler, func(t *testing.T, l *pipeListener) {
				goOn, looked = make(chan bool), make(chan bool)
				w := newWeb(l.dial())
				defer w.close()
				for _, more := range []string{params1("REQUEST_URI", "/a", "REMOTE_USER", "ann", "HTTP_LEAVE", "1"), params1("REQUEST_URI", "/b", "REMOTE_USER", "bob", "REMOTE_ADDR", "::1")} {
					w.send(beginK1 + params1(get()...) + more + endParams1 + endStdin1)
					if got := w.replies(); got != `STDOUT(1 Status: 200 "") END(1 REQUEST_COMPLETE)` {
						t.Errorf("replies = %s", got)
					}
				}
			})
		})
	}
}
