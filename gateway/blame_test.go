package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
)

// large is the size of a body that is streamed and not received first, and that
// a FastCGI server takes without its handler.
const large = 100_000

// blameless wants a worker that is free and has not failed, and a log without
// an error.
func (g *rig) blameless() {
	g.t.Helper()
	for _, s := range g.backend.Pool.Status().Workers {
		if s.Failures != 0 || s.Failed != 0 || s.Load != 0 {
			g.t.Errorf("the worker has %d failures (%v) and a load of %d for what the client did", s.Failed, s.LastError, s.Load)
		}
	}
	if errs := g.log.With("level=ERROR"); len(errs) > 0 {
		g.t.Errorf("a client that fails is no error: %s", errs)
	}
}

// A client that has gone says nothing about the worker that was at it, with
// whatever cause its front end says so: that of a FastCGI server is not
// context.Canceled.
func TestClientThatGoesIsNotTheWorkersFault(t *testing.T) {
	bodies := map[string]func() (cgi.Body, int64){
		"no body":          func() (cgi.Body, int64) { return nil, -1 },
		"streamed":         func() (cgi.Body, int64) { return cgi.BytesBody(random(large)), large },
		"streamed in part": func() (cgi.Body, int64) { return newStalled("a part"), large },
		"spooled":          func() (cgi.Body, int64) { return cgi.BytesBody([]byte("body")), -1 },
	}
	for name, body := range bodies {
		for _, begun := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, answer begun %v", name, begun), func(t *testing.T) {
				asked := make(chan bool, 1)
				g := newRig(t, nil, worker(t, func(ctx context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
					if begun {
						io.WriteString(w, "part")
						w.Flush()
					}
					asked <- true
					<-ctx.Done()
				}))
				front := newFront(t, g)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				content, size := body()
				r := &cgi.Request{Method: "PUT", Target: "/", Proto: "HTTP/1.1", Body: content, ContentLength: size}
				go func() {
					if <-asked; !begun {
						cancel()
					}
				}()
				resp, err := front.client.RoundTrip(ctx, "unix", front.addr, r)
				if (err == nil) != begun {
					t.Fatalf("RoundTrip = %v, %v", resp, err)
				}
				if begun {
					cancel()
					resp.Body.Close()
				}
				<-front.ended
				g.blameless()
			})
		}
	}
}

// A client that sends no more of its body is told so, or sees that its answer
// is not complete. Over HTTP/2 the context lives on, so it is the body alone
// that says whose fault it was.
func TestBodyStallsOverHTTP2(t *testing.T) {
	for _, begun := range []bool{false, true} {
		t.Run(fmt.Sprintf("answer begun %v", begun), func(t *testing.T) {
			edit := func(g *rig) { g.h.BodyTimeout = 100 * time.Millisecond }
			g := newRig(t, edit, worker(t, func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				if begun {
					io.WriteString(w, "part")
					w.Flush()
				}
				io.Copy(io.Discard, r.Body)
			}))
			resp, body, err := g.upload2(t, "POST")
			if begun && (resp.StatusCode != 200 || body != "part" || err == nil) {
				t.Errorf("%d %q, %v; want 200, the part and an error", resp.StatusCode, body, err)
			}
			if !begun && resp.StatusCode != 408 {
				t.Errorf("%d %q, want 408", resp.StatusCode, body)
			}
			g.blameless()
		})
	}
}

// A worker that fails while the client is still sending has failed: that the
// gateway stops reading the client then is not the client's fault.
func TestWorkerFailsDuringUpload(t *testing.T) {
	part := fastcgi.AppendStream(nil, fastcgi.TypeStdout, 1, []byte("Content-Type: text/plain\r\n\r\npart"))
	for name, reply := range map[string][]byte{"before the answer": {}, "during the answer": part} {
		t.Run(name, func(t *testing.T) {
			w := scriptHead(t, reply)
			g := newRig(t, nil, w.addr)
			resp, body, err := g.upload2(t, "POST")
			if len(reply) == 0 && resp.StatusCode != 502 {
				t.Errorf("%d %q, want 502", resp.StatusCode, body)
			}
			if len(reply) > 0 && (resp.StatusCode != 200 || err == nil) {
				t.Errorf("%d %q, %v, want 200 and an error", resp.StatusCode, body, err)
			}
			if s := g.backend.Pool.Status().Workers[0]; s.Failures != 1 {
				t.Errorf("the worker has %d failures, want 1", s.Failures)
			}
			g.logged("level=ERROR", "worker=unix:"+w.addr)
		})
	}
}

// upload2 begins an upload over HTTP/2 that never ends, and reads the answer.
func (g *rig) upload2(t *testing.T, method string) (resp *http.Response, body string, err error) {
	t.Helper()
	srv := overHTTP2(t, g)
	from, to := io.Pipe()
	defer to.Close() // the client's transport waits for its body
	go io.WriteString(to, "a part")
	r, err := http.NewRequestWithContext(t.Context(), method, srv.URL, from)
	if err != nil {
		t.Fatal(err)
	}
	r.ContentLength = large
	resp, err = srv.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Fatalf("%s: the test shows nothing", resp.Proto)
	}
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

// A front end may know that the client has gone by a write alone.
func TestWriteFails(t *testing.T) {
	for name, p := range map[string]*paper{
		"the head": {headErr: errors.New("gone")},
		"the body": {bodyErr: errors.New("gone")},
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, nil, worker(t, hello))
			g.h.ServeCGI(t.Context(), p, get("/"))
			if !p.aborted {
				t.Error("the response was not aborted: it would count as complete")
			}
			g.blameless()
		})
	}
}

// A client that goes away in the same moment as a worker fails is not a reason
// to trouble another worker, nor to blame this one, and gets no answer.
func TestNoSecondAttemptForNobody(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	asked := 0
	g := newRig(t, func(g *rig) {
		g.backend.Transport = transport(func(_ context.Context, _, address string, _ *cgi.Request) (*cgi.Response, error) {
			asked++
			cancel(errors.New("the client has gone"))
			return nil, &fastcgi.Error{Op: "dial", Addr: address, Err: io.EOF}
		})
	}, "/a", "/b")
	p := new(paper)
	g.h.ServeCGI(ctx, p, get("/"))
	if asked != 1 {
		t.Errorf("%d workers were asked, want 1", asked)
	}
	if p.status != 0 || p.body.Len() > 0 || !p.aborted {
		t.Errorf("status %d, %d bytes, aborted %v; want nothing but the abort", p.status, p.body.Len(), p.aborted)
	}
	g.blameless()
	if s := g.log.String(); s != "" {
		t.Errorf("log: %s", s)
	}
}

// What a Read says after Cancel is not the client's fault; what it says
// without is.
func TestLiveBodyFails(t *testing.T) {
	over := &liveBody{ctx: t.Context(), src: newStalled(""), timeout: time.Minute}
	over.Cancel()
	if _, err := over.Read(make([]byte, 1)); err == nil || over.failed() != nil {
		t.Errorf("cancelled: Read = %v, failed = %v, want an error and none", err, over.failed())
	}
	cut := newStalled("")
	cut.Cancel() // by the front end, as it were
	alone := &liveBody{ctx: t.Context(), src: cut, timeout: time.Minute}
	if _, err := alone.Read(make([]byte, 1)); err == nil || alone.failed() != err {
		t.Errorf("cut: Read = %v, failed = %v, want the same error", err, alone.failed())
	}
}

// A refusal that nobody waits for is neither sent nor logged.
func TestNobodyIsRefused(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	g := newRig(t, func(g *rig) { g.h.Routes = []Route{{Match: compile(t, ""), Deny: true}} })
	p := new(paper)
	g.h.ServeCGI(ctx, p, get("/"))
	if p.status != 0 || p.body.Len() > 0 || !p.aborted || strings.TrimSpace(g.log.String()) != "" {
		t.Errorf("status %d, %d bytes, aborted %v; want nothing but the abort\n%s", p.status, p.body.Len(), p.aborted, g.log)
	}
}
