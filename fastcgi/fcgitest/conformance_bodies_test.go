package fcgitest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/sluice-gateway/sluice/cgi"
)

// post is a request that has a body.
var post = &cgi.Request{Method: "POST", Target: "/", Proto: "HTTP/1.1", Host: "example.org"}

// A sentBody is a request body that the test writes while it is read.
type sentBody struct {
	*io.PipeReader
	*io.PipeWriter
}

func newSentBody() sentBody {
	r, w := io.Pipe()
	return sentBody{r, w}
}

// Cancel implements cgi.Body.
func (b sentBody) Cancel() { b.PipeReader.CloseWithError(errors.New("cancelled")) }

// finish writes the last bytes of the body.
func (b sentBody) finish(s string) {
	if s != "" { // which would wait for a reader
		io.WriteString(b.PipeWriter, s)
	}
	b.PipeWriter.Close()
}

// inMemory is a body that can be had at once, and sent one that comes in
// pieces.
func inMemory(s string) func() (cgi.Body, int64) {
	return func() (cgi.Body, int64) { return cgi.BytesBody([]byte(s)), int64(len(s)) }
}

func sent(length int64, pieces ...string) func() (cgi.Body, int64) {
	return func() (cgi.Body, int64) {
		var all []io.Reader
		for _, p := range pieces {
			all = append(all, strings.NewReader(p))
		}
		return plainBody{io.MultiReader(all...)}, length
	}
}

// A plainBody never blocks, and cannot be read twice.
type plainBody struct{ io.Reader }

// Cancel implements cgi.Body.
func (plainBody) Cancel() {}

// sumUp answers with the body's length, as it was announced and as it is, and
// checksum. Of a body that breaks off there is no good answer.
func sumUp(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	var b []byte
	if r.Body != nil {
		var err error
		if b, err = io.ReadAll(r.Body); err != nil {
			w.Abort()
			return
		}
	}
	fmt.Fprintf(w, "announced %d, %s", r.ContentLength, checksum(string(b)))
}

func sumUpWeb(w http.ResponseWriter, r *http.Request) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	fmt.Fprintf(w, "announced %d, %s", r.ContentLength, checksum(string(b)))
}

// Request bodies.
func bodyCases(learnt chan<- error) []conformCase {
	cases := []conformCase{
		{name: "no body", app: sumUp, web: sumUpWeb, want: says("announced 0, " + checksum(""))},
		{name: "body of unknown length", needs: canStream, app: sumUp, ask: post, body: sent(-1, "a", mega[:70000], "b"),
			want: says("announced -1, " + checksum("a"+mega[:70000]+"b"))},
		{name: "body of unknown length, empty", needs: canStream, app: func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			r.ContentLength = 0 // there may be a body of unknown length, or none
			sumUp(ctx, w, r)
		}, ask: post, body: sent(-1), want: says("announced 0, " + checksum(""))},
		{name: "body that is cut short", app: sumUp, ask: post, body: sent(100000, mega[:90000]), want: reply{broken: true}},
		{name: "body in memory that is cut short", app: sumUp, ask: post,
			body: func() (cgi.Body, int64) { return cgi.BytesBody([]byte("hell")), 5 }, want: reply{broken: true}},
		{name: "body that is not read", app: ignoreBody, web: func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "ignored") },
			ask: post, body: inMemory(mega), want: says("ignored")},
		{name: "small body that is not read", app: ignoreBody, ask: post, body: inMemory("hello"), want: says("ignored")},
		{name: "body that is read in part", app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			b := make([]byte, 100)
			n, err := io.ReadFull(r.Body, b)
			fmt.Fprintf(w, "%d %v", n, err)
		}, ask: post, body: inMemory(mega), want: says("100 <nil>")},
		{name: "answer before the body is there", needs: canEarly, app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			w.WriteHeader(413, nil)
			io.WriteString(w, "too large")
		}, web: func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(413)
			fmt.Fprint(w, "too large")
		}, ask: post, test: testEarly},
		{name: "answer while the body is read", needs: canEarly, app: echoBody, web: echoBodyWeb, ask: post, test: testEcho},
	}
	for _, n := range []int{0, 1, 65535, 65536, 65537, 1 << 20} {
		body := pattern(n)
		want := says(fmt.Sprintf("announced %d, %s", n, checksum(body)))
		cases = append(cases,
			conformCase{name: fmt.Sprintf("body of %d bytes", n), app: sumUp, web: sumUpWeb, ask: post, body: inMemory(body), want: want},
			conformCase{name: fmt.Sprintf("body of %d bytes in pieces", n), app: sumUp, ask: post, body: sent(int64(n), body[:n/3], body[n/3:]), want: want})
	}
	return cases
}

func ignoreBody(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	io.WriteString(w, "ignored")
}

// testEarly has a body of which nothing ever comes. Whoever waits for that must
// have been woken up in the end, or is found as a leak.
func testEarly(p *play) {
	r, body := p.request(), newSentBody()
	r.Body, r.ContentLength = body, 8<<20
	p.check(p.fetch(r), reply{status: 413, body: "too large"})
}

// echoBody sends what it reads, at once.
func echoBody(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	w.Flush()
	b := make([]byte, 1000)
	for {
		n, err := r.Body.Read(b)
		w.Write(bytes.ToUpper(b[:n]))
		w.Flush()
		if err == io.EOF {
			return
		}
		if err != nil {
			w.Abort()
			return
		}
	}
}

func echoBodyWeb(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	rc.Flush()
	b := make([]byte, 1000)
	for {
		n, err := r.Body.Read(b)
		w.Write(bytes.ToUpper(b[:n]))
		rc.Flush()
		if err == io.EOF {
			return
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

// testEcho sees the answer to each piece of the body before it sends the next
// one.
func testEcho(p *play) {
	r, body := p.request(), newSentBody()
	r.Body, r.ContentLength = body, 12
	resp, err := p.do(p.Context(), r)
	if err != nil {
		p.Fatal(err)
	}
	defer resp.Body.Close()
	for _, piece := range []string{"one,", "two,", "four"} {
		io.WriteString(body.PipeWriter, piece)
		back := make([]byte, len(piece))
		if _, err := io.ReadFull(resp.Body, back); err != nil || string(back) != strings.ToUpper(piece) {
			p.Fatalf("answer to %q = %q, %v", piece, back, err)
		}
	}
	body.finish("")
	if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
		p.Errorf("the end = %q, %v, want none", rest, err)
	}
}
