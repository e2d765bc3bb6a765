package fastcgi

import (
	"errors"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
)

// A cautious client sends what cannot be repeated on a new connection, for which
// it makes room; there is nowhere to connect to for it.
func TestCautious(t *testing.T) {
	form := func() *cgi.Request { return post(cgi.BytesBody([]byte("a=1")), 3) }
	for name, tt := range map[string]struct {
		cautious bool
		r        func() *cgi.Request
		kept     bool // it goes on the connection that has been kept
	}{
		"POST":                    {true, form, false},
		"GET":                     {true, func() *cgi.Request { return get("/") }, true},
		"POST of one that is not": {false, form, true},
	} {
		t.Run(name, func(t *testing.T) {
			withKept(t, &Client{Cautious: tt.cautious, IdleTimeout: -1}, helloKept, func(t *testing.T, k *kept) {
				_, err := k.do(tt.r())
				if failed, ok := errors.AsType[*Error](err); tt.kept != (err == nil) || err != nil && (!ok || failed.Op != "dial") {
					t.Errorf("error %v; on the connection that was kept: %v", err, tt.kept)
				}
				if !tt.kept {
					k.lostAfter(t, 0)
				}
			})
		})
	}
}
