package fastcgi

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A filter that leaves a part of its STDIN gets its DATA all the same, whatever
// is left of the window.
func TestFilterLeavesItsInput(t *testing.T) {
	const window, stdin, data = 1000, 999, 10_000
	a := startMux(t, &Server{MaxBodyAhead: window, Handler: &muxHandler{}, Filter: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		n, _ := strconv.Atoi(r.Query())
		io.CopyN(io.Discard, r.Body, int64(n))
		m, err := io.Copy(io.Discard, r.Data.Body)
		fmt.Fprint(w, m, err)
	})})
	c := muxClient(t, &Client{WriteTimeout: time.Second}, a)
	for _, n := range []int{0, 1, 100, 499, 500, 501, 998, 999} {
		r := get(fmt.Sprint("/?", n))
		r.Role, r.Method = cgi.Filter, "POST"
		r.Body, r.ContentLength = cgi.BytesBody(make([]byte, stdin)), stdin
		r.Data = &cgi.Data{Body: cgi.BytesBody(make([]byte, data)), Length: data, ModTime: time.Unix(1e9, 0)}
		if _, body, err := fetch(t.Context(), c, a.addr, r); err != nil || body != fmt.Sprint(data, " <nil>") {
			t.Errorf("%d bytes of STDIN read: %q, %v, want %d of DATA", n, body, err, data)
		}
	}
}

// A filter whose file has no body gets an empty one.
func TestFilterWithoutData(t *testing.T) {
	a := startMux(t, &Server{Filter: sums{}, Handler: &muxHandler{}})
	for name, c := range map[string]*Client{"own": newClient(t, &Client{}), "shared": muxClient(t, &Client{}, a)} {
		r := get("/")
		r.Role, r.Data = cgi.Filter, &cgi.Data{}
		if _, body, err := fetch(t.Context(), c, a.addr, r); err != nil || body != sumsOf(0, 0) {
			t.Errorf("%s connection: %q, %v, want %q", name, body, err, sumsOf(0, 0))
		}
	}
}
