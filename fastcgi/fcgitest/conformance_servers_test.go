package fcgitest_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// What concerns more than one request.
func serverCases() []conformCase {
	// number says which request it is, and gives the body back.
	number := func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		fmt.Fprintf(w, "%8s:", r.Query())
		w.Flush()
		io.Copy(w, r.Body)
	}
	numberWeb := func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%8s:", r.URL.RawQuery)
		http.NewResponseController(w).Flush()
		io.Copy(w, r.Body)
	}
	return []conformCase{
		{name: "two requests in a row", app: tell, web: tellWeb, test: testTwo},
		{name: "50 requests at the same time", needs: canEarly, app: number, web: numberWeb, ask: post, test: testMany},
		{name: "Shutdown", needs: canStop | canEarly, app: number, web: numberWeb, ask: post, test: testShutdown},
	}
}

func testTwo(p *play) {
	for range 2 {
		p.check(p.fetch(p.request()), says("responder GET / HTTP/1.1 example.org"))
	}
	p.close() // after it no question is under way
	if n := p.conns(); p.carrier.two != 0 && n != p.carrier.two && !(p.carrier.asks && n == p.carrier.two-1) {
		p.Errorf("connections = %d, want %d", n, p.carrier.two)
	}
}

// testMany has 50 requests of which none ends before all are being answered.
func testMany(p *play) {
	const n = 50
	var answering, done sync.WaitGroup
	answering.Add(n)
	for i := range n {
		done.Go(func() {
			var once sync.Once
			begun := func() { once.Do(answering.Done) }
			defer begun()
			r, body := p.request(), newSentBody()
			r.Target = fmt.Sprintf("/?%d", i)
			r.Body, r.ContentLength = body, 40000
			resp, err := p.do(p.Context(), r)
			if err != nil {
				p.Error(err)
				return
			}
			first := make([]byte, 9)
			if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != fmt.Sprintf("%8d:", i) {
				p.Errorf("start of answer %d = %q, %v", i, first, err)
			}
			begun()
			answering.Wait()
			text := pattern(40000 + i)[i:]
			go body.finish(text) // ended by the end of the answer
			p.check(readSeen(resp), says(text))
		})
	}
	done.Wait()
}

// testShutdown shuts the server down while it answers.
func testShutdown(p *play) {
	r, body := p.request(), newSentBody()
	r.Body, r.ContentLength = body, 5
	resp, err := p.do(p.Context(), r)
	if err != nil {
		p.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(p.Context(), conformTimeout)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- p.shutdown(ctx) }()
	p.served <- <-p.served // it does not accept any more
	// A connection that is there may not have been told yet: then it is served.
	another, err := p.do(p.Context(), &cgi.Request{Method: "GET", Target: "/"})
	if err == nil {
		another.Body.Close()
	} else if e, ok := errors.AsType[*cgi.Error](err); !ok || !e.SafeToRetry {
		p.Errorf("another request: %v, want an error that is safe to retry", err)
	}
	body.finish("hello")
	p.check(readSeen(resp), says("        :hello"))
	if err := <-ended; err != nil {
		p.Errorf("Shutdown = %v", err)
	}
}

// The other roles.
func roleCases() []conformCase {
	file := pattern(300000)
	modTime := time.Unix(1700000000, 0)
	filter := &cgi.Request{Role: cgi.Filter, Method: "POST", Target: "/f", Proto: "HTTP/1.1"}
	return []conformCase{
		{name: "authorizer that allows", needs: canRoles, app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			cgi.Allow(w, fields("REMOTE_USER", "joe", "X-Param", "grüße", "AUTH_TYPE", fmt.Sprint(r.Role, r.Body))...)
		}, ask: &cgi.Request{Role: cgi.Authorizer, Method: "POST", Target: "/secret"}, body: inMemory("not for an authorizer"), test: func(p *play) {
			got := p.fetch(p.request())
			p.check(got, says(""))
			var variables cgi.Header
			for name, value := range got.head.Variables() {
				variables = append(variables, cgi.Field{Name: name, Value: value})
			}
			if want := fields("REMOTE_USER", "joe", "X-Param", "grüße", "AUTH_TYPE", "authorizer <nil>"); !got.head.Allows() || !slices.Equal(variables, want) {
				p.Errorf("allows = %v with %q, want true with %q", got.head.Allows(), variables, want)
			}
		}},
		{name: "authorizer that denies", needs: canRoles, app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			w.WriteHeader(401, fields("WWW-Authenticate", "Basic realm=x", "Variable-REMOTE_USER", "joe"))
			io.WriteString(w, "who are you?")
		}, ask: &cgi.Request{Role: cgi.Authorizer, Method: "GET", Target: "/secret"}, test: func(p *play) {
			got := p.fetch(p.request())
			p.check(got, reply{status: 401, fields: fields("WWW-Authenticate", "Basic realm=x"), body: "who are you?"})
			if got.head.Allows() {
				p.Error("status 401 allows")
			}
		}},
		{name: "authorizer that fails", needs: canRoles, app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			if err := cgi.Allow(w, fields("NO NAME", "joe")...); !errors.Is(err, cgi.ErrMalformed) {
				w.WriteHeader(200, nil)
			}
		}, ask: &cgi.Request{Role: cgi.Authorizer, Method: "GET", Target: "/secret"}, want: reply{status: 500, body: "Internal Server Error\n"}},
		{name: "filter", needs: canRoles, app: sumUpBoth, ask: filter, body: inMemory(mega), test: func(p *play) {
			r := p.request()
			r.Data = &cgi.Data{Body: cgi.BytesBody([]byte(file)), Length: int64(len(file)), ModTime: modTime}
			p.check(p.fetch(r), says(fmt.Sprintf("filter 1048576 %s, 300000 1700000000 %s", checksum(mega), checksum(file))))
		}},
		{name: "filter without a body", needs: canRoles, app: sumUpBoth, ask: filter, test: func(p *play) {
			r := p.request()
			r.Data = &cgi.Data{Body: sentFile("one,", "two"), Length: 7, ModTime: modTime}
			p.check(p.fetch(r), says(fmt.Sprintf("filter 0 %s, 7 1700000000 %s", checksum(""), checksum("one,two"))))
		}},
	}
}

func sentFile(pieces ...string) cgi.Body {
	b, _ := sent(-1, pieces...)()
	return b
}

// sumUpBoth answers with checksums of the body and the file of a filter.
func sumUpBoth(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	var body []byte
	var err error
	if r.Body != nil {
		if body, err = io.ReadAll(r.Body); err != nil {
			w.Abort()
			return
		}
	}
	file, err := io.ReadAll(r.Data.Body)
	if err != nil {
		w.Abort()
		return
	}
	fmt.Fprintf(w, "%v %d %s, %d %d %s", r.Role, len(body), checksum(string(body)), r.Data.Length, r.Data.ModTime.Unix(), checksum(string(file)))
}
