package fcgitest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"runtime"
	"strings"

	"github.com/sluice-gateway/sluice/cgi"
)

// How far a handler gets with its answer before something happens.
type progress struct {
	name   string
	app    func(w cgi.ResponseWriter)
	web    func(w http.ResponseWriter)
	marked feature // needed to tell the answer from a whole one
	sent   bool
}

func stagesOfAnAnswer() []progress {
	return []progress{
		{name: "before output", app: func(cgi.ResponseWriter) {}, web: func(http.ResponseWriter) {}},
		{name: "after a write", app: func(w cgi.ResponseWriter) {
			w.WriteHeader(201, fields("X-A", "a"))
			io.WriteString(w, "half")
		}, web: func(w http.ResponseWriter) {
			w.WriteHeader(201)
			io.WriteString(w, "half")
		}},
		{name: "after output", app: func(w cgi.ResponseWriter) {
			io.WriteString(w, "half")
			w.Flush()
		}, web: func(w http.ResponseWriter) {
			io.WriteString(w, "half")
			http.NewResponseController(w).Flush()
		}, marked: canMark, sent: true},
		{name: "after output with a length", app: func(w cgi.ResponseWriter) {
			w.WriteHeader(200, fields("Content-Length", "8"))
			io.WriteString(w, "half")
			w.Flush()
		}, web: func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "8")
			io.WriteString(w, "half")
			http.NewResponseController(w).Flush()
		}, sent: true},
		{name: "after a lot of output with a length", app: func(w cgi.ResponseWriter) {
			w.WriteHeader(200, fields("Content-Length", "1048576"))
			io.WriteString(w, mega[:1<<20-1])
		}, web: func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1048576")
			io.WriteString(w, mega[:1<<20-1])
		}, sent: true},
	}
}

// Handlers that do not end their answer.
func endCases() (cases []conformCase) {
	failed := reply{status: 500, body: "Internal Server Error\n"}
	for _, stage := range stagesOfAnAnswer() {
		panicked := failed
		if stage.sent {
			panicked = reply{broken: true}
		}
		cases = append(cases,
			conformCase{name: "panic " + stage.name, needs: stage.marked | canPanic, app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				stage.app(w)
				panic("on purpose")
			}, web: func(w http.ResponseWriter, r *http.Request) {
				stage.web(w)
				panic("on purpose")
			}, want: panicked},
			conformCase{name: "Abort " + stage.name, needs: stage.marked | canPanic, app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				stage.app(w)
				w.Abort()
				if _, err := io.WriteString(w, "half"); err == nil {
					panic("Write after Abort works")
				}
			}, web: func(w http.ResponseWriter, r *http.Request) {
				stage.web(w)
				panic(http.ErrAbortHandler)
			}, want: reply{broken: true}},
			conformCase{name: "Goexit " + stage.name, needs: stage.marked | canGoexit, app: func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				stage.app(w)
				runtime.Goexit()
			}, want: panicked},
			// An Application cannot tell it from a handler that was aborted.
			conformCase{name: "Goexit " + stage.name + ", broken", needs: stage.marked | canPanic, web: func(w http.ResponseWriter, r *http.Request) {
				stage.web(w)
				runtime.Goexit()
			}, want: reply{broken: true}})
	}
	return append(cases,
		conformCase{name: "shorter than its length", needs: canPanic, web: func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Length", "8")
			io.WriteString(w, "half")
		}, want: reply{broken: true}})
}

// Clients that do not wait for the answer.
func goneCases(learnt chan<- error) []conformCase {
	wait := func(ctx context.Context) {
		<-ctx.Done()
		learnt <- context.Cause(ctx)
	}
	return []conformCase{
		{name: "client closes the answer", needs: canCancel | canReport, app: func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			w.Flush()
			wait(ctx)
		}, web: func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).Flush()
			wait(r.Context())
		}, test: func(p *play) { testLeave(p, 0) }},
		{name: "client closes the answer to a body", needs: canCancel | canReport, app: func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			io.Copy(io.Discard, r.Body)
			w.Flush()
			wait(ctx)
		}, web: func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			http.NewResponseController(w).Flush()
			wait(r.Context())
		}, ask: post, body: inMemory(mega), test: func(p *play) { testLeave(p, 0) }},
		{name: "client closes the answer and the handler writes", needs: canReport, app: func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			learnt <- writeForEver(w)
		}, web: func(w http.ResponseWriter, r *http.Request) {
			learnt <- writeForEver(w)
		}, test: func(p *play) { testLeave(p, 10) }},
		{name: "client closes the answer and the handler reads", needs: canReport | canEarly, app: func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			w.Flush()
			_, err := io.Copy(io.Discard, r.Body)
			learnt <- err
		}, web: func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).Flush()
			_, err := io.Copy(io.Discard, r.Body)
			learnt <- err
		}, ask: post, body: func() (cgi.Body, int64) { return newSentBody(), 100 }, test: func(p *play) { testLeave(p, 0) }},
		{name: "context done before the answer", needs: canCancel | canReport, app: func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			learnt <- nil
			wait(ctx)
		}, web: func(w http.ResponseWriter, r *http.Request) {
			learnt <- nil
			wait(r.Context())
		}, test: testGiveUp},
		{name: "context done before the request", app: tell, test: func(p *play) {
			ctx, cancel := context.WithCancel(p.Context())
			cancel()
			if resp, err := p.do(ctx, p.request()); !errors.Is(err, context.Canceled) {
				p.Errorf("answer = %v, %v, want context.Canceled", resp, err)
			}
		}},
		{name: "context done in the answer", needs: canEarly, app: func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
			io.WriteString(w, strings.Repeat("x", 10))
			w.Flush()
			io.Copy(io.Discard, r.Body)
		}, web: func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, strings.Repeat("x", 10))
			http.NewResponseController(w).Flush()
			io.Copy(io.Discard, r.Body)
		}, ask: post, body: func() (cgi.Body, int64) { return newSentBody(), 100 }, test: testGiveUpInAnswer},
	}
}

func writeForEver(w io.Writer) (err error) {
	for b := make([]byte, 64<<10); err == nil; {
		_, err = w.Write(b)
	}
	return err
}

// testLeave closes the answer after n bytes. The handler learns of it.
func testLeave(p *play, n int64) {
	resp, err := p.do(p.Context(), p.request())
	if err != nil {
		p.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, resp.Body, n); err != nil {
		p.Error(err)
	}
	resp.Body.Close()
	p.learnsLoss()
}

func (p *play) learnsLoss() {
	p.Helper()
	err := p.learns()
	if err == nil {
		p.Error("the handler learns nothing")
		return
	}
	for _, lost := range p.lost {
		if errors.Is(err, lost) {
			return
		}
	}
	if len(p.lost) > 0 {
		p.Errorf("the handler learns %v, want one of %v", err, p.lost)
	}
}

func testGiveUp(p *play) {
	ctx, cancel := context.WithCancel(p.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		resp, err := p.do(ctx, p.request())
		if err == nil {
			resp.Body.Close()
		}
		ended <- err
	}()
	p.learns() // that it runs
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		p.Errorf("error = %v, want context.Canceled", err)
	}
	p.learnsLoss()
}

func testGiveUpInAnswer(p *play) {
	ctx, cancel := context.WithCancel(p.Context())
	defer cancel()
	resp, err := p.do(ctx, p.request())
	if err != nil {
		p.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.CopyN(io.Discard, resp.Body, 10); err != nil {
		p.Error(err)
	}
	cancel()
	if n, err := io.Copy(io.Discard, resp.Body); !errors.Is(err, context.Canceled) {
		p.Errorf("after %d bytes error = %v, want context.Canceled", n, err)
	}
}
