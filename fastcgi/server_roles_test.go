package fastcgi

import (
	"context"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// Which handler answers, and what it is given, in the three roles and in those
// that there are not.
func TestServerRoles(t *testing.T) {
	auth := func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		if r.Role != cgi.Authorizer || r.Body != nil || r.Data != nil || r.ContentLength != 0 {
			t.Errorf("an authorizer is given %+v", r)
		}
		if user, ok := r.Param("USER"); ok {
			cgi.Allow(w, cgi.Field{Name: "WHO", Value: user})
			return
		}
		w.WriteHeader(403, nil)
	}
	filter := func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		if r.Role != cgi.Filter || r.Data == nil || r.Body == nil {
			t.Errorf("a filter is given %+v", r)
			return
		}
		first, second := r.Body, r.Data.Body
		if _, ok := r.Param("DATA_FIRST"); ok {
			first, second = second, first
		}
		for i, b := range []cgi.Body{first, second} {
			got, err := io.ReadAll(b)
			fmt.Fprintf(w, "%d %q %v;", i, got, err)
		}
		fmt.Fprintf(w, "%d %d %d", r.ContentLength, r.Data.Length, r.Data.ModTime.Unix())
	}
	allowed := answer1("Status: 200 OK\r\nVariable-WHO: me\r\n\r\n")
	forbidden := answer1("Status: 403 Forbidden\r\n\r\n")
	filtered := func(first, second, lengths string) string {
		return answer1(head + "0 " + first + ";1 " + second + ";" + lengths)
	}
	fbegin := recBegin(1, RoleFilter, true)
	fparams := recParams(1, "CONTENT_LENGTH", "3", "FCGI_DATA_LENGTH", "4", "FCGI_DATA_LAST_MOD", "5")
	in, data := recStream(TypeStdin, 1, "abc")+recEnd(TypeStdin, 1), recStream(TypeData, 1, "wxyz")+recEnd(TypeData, 1)
	tests := []struct{ name, in, want string }{
		{"authorizer allows", recBegin(1, RoleAuthorizer, true) + recParams(1, "USER", "me"), allowed},
		{"authorizer forbids, connection not kept", recBegin(1, RoleAuthorizer, false) + recParams(1), forbidden + " closed"},
		{"authorizer with the end of stdin", recBegin(1, RoleAuthorizer, true) + recParams(1, "USER", "me") + recEnd(TypeStdin, 1) + recGet(2, true), allowed + " " + ok2},
		{"authorizer with a body", recBegin(1, RoleAuthorizer, true) + recParams(1, "USER", "me", "CONTENT_LENGTH", "3") + in + recGet(2, true), allowed + " " + ok2},
		{"authorizer aborted before it runs", recBegin(1, RoleAuthorizer, true) + recAbort(1) + recGet(2, true), "END(1 REQUEST_COMPLETE) " + ok2},
		{"authorizer, params too bad", recBegin(1, RoleAuthorizer, true) + recStream(TypeParams, 1, "\x0e") + recEnd(TypeParams, 1), answer1("Status: 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nBad Request\n")},

		{"filter, stdin and then data", fbegin + fparams + in + data, filtered(`"abc" <nil>`, `"wxyz" <nil>`, "3 4 5")},
		{"filter, data and then stdin", fbegin + fparams + data + in, filtered(`"abc" <nil>`, `"wxyz" <nil>`, "3 4 5")},
		{"filter, data and then stdin, read that way", fbegin + recParams(1, "DATA_FIRST", "", "CONTENT_LENGTH", "3", "FCGI_DATA_LENGTH", "4") + data + in, filtered(`"wxyz" <nil>`, `"abc" <nil>`, "3 4 -62135596800")},
		{"filter, in turn", fbegin + fparams + recStream(TypeData, 1, "wx") + recStream(TypeStdin, 1, "a") + recStream(TypeData, 1, "yz") + recStream(TypeStdin, 1, "bc") + recEnd(TypeData, 1) + recEnd(TypeStdin, 1),
			filtered(`"abc" <nil>`, `"wxyz" <nil>`, "3 4 5")},
		{"filter, no body", fbegin + recParams(1, "FCGI_DATA_LENGTH", "4", "FCGI_DATA_LAST_MOD", "5") + recEnd(TypeStdin, 1) + data, filtered(`"" <nil>`, `"wxyz" <nil>`, "-1 4 5")},
		{"filter, empty file", fbegin + recParams(1, "CONTENT_LENGTH", "0", "FCGI_DATA_LENGTH", "0", "FCGI_DATA_LAST_MOD", "5") + recEnd(TypeStdin, 1) + recEnd(TypeData, 1), filtered(`"" <nil>`, `"" <nil>`, "0 0 5")},
		{"filter, data too short", fbegin + fparams + in + recStream(TypeData, 1, "wxy") + recEnd(TypeData, 1), filtered(`"abc" <nil>`, `"wxy" unexpected EOF`, "3 4 5")},
		{"filter, data too long", fbegin + fparams + in + recStream(TypeData, 1, "wxyz!") + recEnd(TypeData, 1), filtered(`"abc" <nil>`, `"wxyz" <nil>`, "3 4 5")},
		{"filter, data ended twice", fbegin + fparams + in[:9] + recEnd(TypeData, 1) + recEnd(TypeData, 1), "closed"},
		{"filter, data before the end of the params", fbegin + recStream(TypeData, 1, "w"), "closed"},
		{"filter, no length", fbegin + recParams(1, "CONTENT_LENGTH", "3") + in + data, answer1("Status: 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nBad Request\n")},
		{"filter, a bad length", fbegin + recParams(1, "FCGI_DATA_LENGTH", "-4") + recEnd(TypeStdin, 1), answer1("Status: 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nBad Request\n")},
		{"data before the end of the params of a responder", recBegin(1, RoleResponder, true) + recStream(TypeData, 1, "w"), "closed"},
		{"data of a responder", recBegin(1, RoleResponder, true) + recParams(1) + recStream(TypeData, 1, "w") + recEnd(TypeData, 1) + recEnd(TypeData, 1) + recEnd(TypeStdin, 1), ok1},

		{"role 0", recBegin(1, 0, true), "END(1 UNKNOWN_ROLE)"},
		{"role 4", recBegin(1, 4, true), "END(1 UNKNOWN_ROLE)"},
		{"role 257", recBegin(1, 257, true), "END(1 UNKNOWN_ROLE)"}, // a byte of it would be a responder
	}
	for _, tt := range tests {
		for _, size := range []int{1 << 20, 1} {
			t.Run(fmt.Sprintf("%s/%d", tt.name, size), func(t *testing.T) {
				s := &Server{Handler: cgi.HandlerFunc(sayHello), Authorizer: cgi.HandlerFunc(auth), Filter: cgi.HandlerFunc(filter)}
				inBubble(t, s, func(t *testing.T, dial func() *web) {
					w := dial()
					for in := tt.in; in != ""; in = in[min(size, len(in)):] {
						if _, err := io.WriteString(w, in[:min(size, len(in))]); err != nil {
							break // closed, and more was to come
						}
					}
					if got := sorted(w.replies()); got != sorted(tt.want) {
						t.Errorf("replies = %s\nwant %s", got, tt.want)
					}
				})
			})
		}
	}
}

// A filter reads its streams while they come. What it does not read does not
// hold up another request.
func TestServerFilterReadsAlong(t *testing.T) {
	s := &Server{MaxBodyAhead: 10, Handler: cgi.HandlerFunc(sayHello), Filter: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		n, err := io.Copy(w, r.Data.Body) // and no STDIN
		fmt.Fprint(w, n, err)
	})}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		w := dial()
		w.send(recGet(2, true) + recBegin(1, RoleFilter, true) + recParams(1, "CONTENT_LENGTH", "1000", "FCGI_DATA_LENGTH", "3"))
		w.send(recStream(TypeStdin, 1, strings.Repeat("x", 1000)) + recEnd(TypeStdin, 1))
		w.send(recGet(2, true))
		if got := w.replies(); got != ok2+" "+ok2 {
			t.Errorf("beside the filter: %s", got)
		}
		w.send(recStream(TypeData, 1, "wxy"))
		if got, want := w.replies(), answer1(head+"wxy3 <nil>"); got != want {
			t.Errorf("all of the data is here: %s, want %s", got, want)
		}
		w.send(recEnd(TypeData, 1) + recGet(2, true))
		if got := w.replies(); got != ok2 {
			t.Errorf("after the filter: %s", got)
		}
	})
}

// An authorizer answers without waiting for STDIN. Web servers that send its
// end all the same get the answer, over a connection that is closed then.
func TestServerAuthorizerOverTCP(t *testing.T) {
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Authorizer: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) { cgi.Allow(w) })}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }() // until Close
	defer func() {
		s.Close()
		<-served
	}()
	for range 20 {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(20 * time.Second))
		io.WriteString(nc, recBegin(1, RoleAuthorizer, false)+recParams(1))
		io.WriteString(nc, recEnd(TypeStdin, 1)) // may come when the answer has gone
		b, err := io.ReadAll(nc)
		nc.Close()
		if got, derr := describe(b); got != answer1(head) || derr != nil || err != nil {
			t.Fatalf("replies = %s, %v, %v", got, derr, err)
		}
	}
}
