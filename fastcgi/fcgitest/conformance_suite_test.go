package fcgitest_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/cgi/cgihttp"
)

// A conformCase is an exchange and what must come of it, whatever carries the
// request. It is played by a cgi.Handler, by an http.Handler, or by one after
// the other.
type conformCase struct {
	name  string
	needs feature // what not every carrier has
	app   cgi.HandlerFunc
	web   http.HandlerFunc
	ask   *cgi.Request // nil means GET /
	body  func() (b cgi.Body, length int64)
	want  reply

	// test, if not nil, does the exchange itself.
	test func(p *play)
}

// A reply is what whoever asked must see.
type reply struct {
	status int
	fields cgi.Header // fields that must be there: all of the names that stand here
	body   string
	broken bool // an error instead of a complete answer
}

// A feature is something that not all protocols can do.
type feature uint16

const (
	canRoles  feature = 1 << iota // authorizers and filters
	canStream                     // a request body of unknown length
	canNUL                        // any byte in a param
	canMark                       // tells a whole answer from one that was cut, without a Content-Length
	canCancel                     // the handler learns that nobody waits, without reading or writing
	canReport                     // the handler runs in the process of the test
	canStop                       // there is a server to be shut down
	canGoexit                     // the handler may end its goroutine
	canPanic                      // the handler may panic
	canStatus                     // knows 1xx, which answers have no body, and which fields pass when
	canEarly                      // calls the handler before any of the body is there
)

const allFeatures = canEarly<<1 - 1

// conformCases lists the cases. learnt is where handlers tell the test what
// they have learnt.
func conformCases(learnt chan error) []conformCase {
	return slices.Concat(requestCases(), bodyCases(learnt), answerCases(), endCases(), goneCases(learnt), serverCases(), roleCases())
}

// One handler behaves the same whatever carries the request.
func TestConformance(t *testing.T) {
	learnt := make(chan error, 100)
	cases := conformCases(learnt)
	all := newCast(cases)
	for _, c := range carriers() {
		t.Run(c.name, func(t *testing.T) {
			verifyNoLeak(t)
			for _, k := range cases {
				if k.app != nil && !c.webOnly && c.plays(k) {
					t.Run(k.name, func(t *testing.T) { c.play(t, k, k.name, all, learnt) })
				}
				if k.web != nil && c.plays(k) {
					t.Run("http "+k.name, func(t *testing.T) { c.play(t, k, "http "+k.name, all, learnt) })
				}
			}
		})
	}
}

// What a protocol cannot do is left out, and nothing else. A case that stands
// behind "refuses" is played, and must fail before anything is sent.
func TestConformanceLeavesOut(t *testing.T) {
	got := make(map[string][]string)
	cases := conformCases(nil)
	for _, c := range carriers() {
		for _, k := range cases {
			switch {
			case c.webOnly && k.web == nil, k.needs&c.lacks == 0:
			case c.mustRefuse(k):
				got[c.name] = append(got[c.name], "refuses "+k.name)
			default:
				got[c.name] = append(got[c.name], k.name)
			}
		}
	}
	if !maps.EqualFunc(got, leftOut, slices.Equal) {
		t.Errorf("left out:\n%#v\nwant:\n%#v", got, leftOut)
	}
}

// plays reports whether c can carry k, or must refuse to.
func (c carrier) plays(k conformCase) bool { return k.needs&c.lacks == 0 || c.mustRefuse(k) }

func (c carrier) mustRefuse(k conformCase) bool { return k.needs&c.lacks&c.refuses != 0 }

// A play is one case with one carrier.
type play struct {
	*testing.T
	conformCase
	*link
	carrier carrier
	as      string // the name of the handler
	learnt  chan error
}

func (c carrier) play(t *testing.T, k conformCase, as string, all *cast, learnt chan error) {
	p := &play{t, k, c.open(t, all), c, as, learnt}
	t.Cleanup(p.close)
	switch {
	case c.mustRefuse(k):
		p.refused()
	case k.test != nil:
		k.test(p)
	default:
		p.check(p.fetch(p.request()), k.want)
	}
	select {
	case err := <-learnt:
		t.Errorf("the handler learns %v, and nobody asked", err)
	default:
	}
}

// refused wants the client to say no before anything is sent.
func (p *play) refused() {
	resp, err := p.do(p.Context(), p.request())
	if err == nil {
		resp.Body.Close()
		p.Fatalf("answer = %d, want a refusal by the client", resp.Status)
	}
	if e, ok := errors.AsType[*cgi.Error](err); !ok || e.Op != "send" || e.Sent != 0 {
		p.Errorf("error = %v (%T), want a *cgi.Error of a request that was not sent", err, err)
	}
	if n := p.conns(); n != 0 {
		p.Errorf("connections = %d, want none", n)
	}
}

// request makes the request of the case.
func (p *play) request() *cgi.Request {
	r := &cgi.Request{Method: "GET", Target: "/", Proto: "HTTP/1.1", Host: "example.org"}
	if p.ask != nil {
		q := *p.ask
		r = &q
	}
	r.Header = append(slices.Clone(r.Header), cgi.Field{Name: "X-Case", Value: p.as})
	if p.body != nil {
		r.Body, r.ContentLength = p.body()
	}
	return r
}

// A seen is what came of a request.
type seen struct {
	head cgi.Head
	body string
	err  error
}

func (p *play) fetch(r *cgi.Request) seen {
	resp, err := p.do(p.Context(), r)
	if err != nil {
		return seen{err: err}
	}
	return readSeen(resp)
}

func readSeen(resp *cgi.Response) seen {
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return seen{resp.Head, string(b), err}
}

func (p *play) check(got seen, want reply) {
	p.Helper()
	if want.broken {
		if got.err == nil {
			p.Errorf("answer = %d, %s, want none that is complete", got.head.Status, brief(got.body))
		}
		return
	}
	if got.err != nil || got.head.Status != want.status || brief(got.body) != brief(want.body) {
		p.Errorf("answer = %d, %s, %v, want %d, %s", got.head.Status, brief(got.body), got.err, want.status, brief(want.body))
	}
	for _, f := range want.fields {
		if g, w := values(got.head.Header, f.Name), values(want.fields, f.Name); !slices.Equal(g, w) {
			p.Errorf("fields %s = %q, want %q", f.Name, g, w)
		}
	}
}

// values returns the values of the fields with a name. Their order counts.
func values(h cgi.Header, name string) (vs []string) {
	for _, f := range h {
		if strings.EqualFold(f.Name, name) {
			vs = append(vs, f.Value)
		}
	}
	return vs
}

// brief stands for a text in comparisons and failures.
func brief(s string) string {
	if len(s) <= 1000 {
		return fmt.Sprintf("%q", s)
	}
	return checksum(s)
}

func checksum(s string) string { return fmt.Sprintf("%d bytes, %x", len(s), sha256.Sum256([]byte(s))) }

// pattern returns n bytes in which a piece that is missing, or stands in another
// place, shows.
func pattern(n int) string {
	const period = 65521 // a prime: no piece of a common size is left out unseen
	b := make([]byte, 0, period+8)
	for i := uint64(1); len(b) < min(n, period); i++ {
		b = binary.BigEndian.AppendUint64(b, i*0x9e3779b97f4a7c15)
	}
	b = bytes.Repeat(b[:min(n, period)], max(n, 1)/period+1)
	return string(b[:n])
}

// learns waits for what the handler has to tell.
func (p *play) learns() error {
	p.Helper()
	select {
	case err := <-p.learnt:
		return err
	case <-time.After(conformTimeout):
		p.Fatal("the handler does not learn of it")
		return nil
	}
}

// A cast is a handler that plays the case that a request names in X-Case.
type cast struct {
	apps map[string]cgi.Handler
	webs map[string]http.Handler
}

func newCast(cases []conformCase) *cast {
	all := &cast{make(map[string]cgi.Handler), make(map[string]http.Handler)}
	for _, k := range cases {
		if k.app != nil {
			all.apps[k.name] = k.app
		}
		if k.web != nil {
			all.webs["http "+k.name] = k.web
			all.apps["http "+k.name] = cgihttp.Handler(k.web)
		}
	}
	return all
}

// ServeCGI implements cgi.Handler.
func (all *cast) ServeCGI(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	if h, ok := all.apps[r.Header.Get("X-Case")]; ok {
		h.ServeCGI(ctx, w, r)
	}
}

// ServeHTTP implements http.Handler.
func (all *cast) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	all.webs[r.Header.Get("X-Case")].ServeHTTP(w, r)
}
