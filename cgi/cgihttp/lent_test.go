package cgihttp

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A lender is a server that uses everything again: its context, its writer,
// the request and the body. Whoever touches one of them after ServeCGI has
// returned is noticed, by over if it is later, and by the race detector in any
// case, because generation changes without a lock.
type lender struct {
	t          *testing.T
	over       atomic.Bool
	generation int
}

func (l *lender) touch(what string) {
	if l.over.Load() {
		l.t.Errorf("%s after the handler has returned", what)
	}
	runtime.Gosched() // whoever has looked whether it is too late should get to see that it is
	_ = l.generation + 1
	if l.generation > 0 {
		l.t.Errorf("%s of the next request", what)
	}
}

// serve lends everything to one call of h.
func (l *lender) serve(h cgi.Handler, parent context.Context) {
	r, err := cgi.FromParams(append([]cgi.Field(nil), typical...))
	if err != nil {
		l.t.Fatal(err)
	}
	r.Method, r.ContentLength, r.Body = "POST", -1, &lentBody{lender: l, more: make(chan struct{})}
	h.ServeCGI(&lentContext{parent, l}, &lentWriter{l}, r)
	l.generation++
	l.over.Store(true)
	clear(r.Received)
	clear(r.Header)
	*r = cgi.Request{}
}

type lentContext struct {
	context.Context
	*lender
}

func (c *lentContext) Deadline() (time.Time, bool) { c.touch("Deadline"); return c.Context.Deadline() }
func (c *lentContext) Done() <-chan struct{}       { c.touch("Done"); return c.Context.Done() }
func (c *lentContext) Err() error                  { c.touch("Err"); return c.Context.Err() }
func (c *lentContext) Value(key any) any           { c.touch("Value"); return c.Context.Value(key) }

type lentWriter struct{ *lender }

func (w *lentWriter) WriteHeader(int, cgi.Header) error { w.touch("WriteHeader"); return nil }
func (w *lentWriter) Write(p []byte) (int, error)       { w.touch("Write"); return len(p), nil }
func (w *lentWriter) Flush() error                      { w.touch("Flush"); return nil }
func (w *lentWriter) Abort()                            { w.touch("Abort") }
func (w *lentWriter) SetWriteDeadline(time.Time) error  { w.touch("SetWriteDeadline"); return nil }
func (w *lentWriter) ReadFrom(src io.Reader) (int64, error) {
	w.touch("ReadFrom")
	return io.Copy(io.Discard, src)
}
func (w *lentWriter) Stderr() io.Writer {
	w.touch("Stderr")
	return writerFunc(func(p []byte) (int, error) { w.touch("writing to Stderr"); return len(p), nil })
}

type writerFunc func(p []byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

// A lentBody has a byte now and then, and waits for Cancel now and then.
type lentBody struct {
	*lender
	reads atomic.Int64
	once  sync.Once
	more  chan struct{} // closed by Cancel
}

func (b *lentBody) Read(p []byte) (int, error) {
	b.touch("Read")
	if b.reads.Add(1)%16 == 0 {
		<-b.more
		b.touch("a waiting Read")
		return 0, errCancelled
	}
	return min(1, len(p)), nil
}

func (b *lentBody) Cancel() {
	b.touch("Cancel")
	b.once.Do(func() { close(b.more) })
}

// All that user code may hold, used by goroutines that outlive the handler.
func TestNothingIsTouchedAfterReturn(t *testing.T) {
	file, err := os.Open("lent_test.go")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	log := slog.New(LogHandler(slog.DiscardHandler, nil))
	uses := map[string]func(w http.ResponseWriter, r *http.Request){
		"context": func(_ http.ResponseWriter, r *http.Request) {
			r.Context().Deadline()
			r.Context().Done()
			r.Context().Err()
			fmt.Fprint(io.Discard, r.Context())
			context.Cause(r.Context())
		},
		"polled context": func(_ http.ResponseWriter, r *http.Request) { r.Context().Err() },
		"values":         func(_ http.ResponseWriter, r *http.Request) { r.Context().Value("no such key") },
		"children": func(_ http.ResponseWriter, r *http.Request) {
			child, cancel := context.WithTimeout(context.WithValue(r.Context(), lentKey{}, 1), time.Minute)
			child.Value("no such key")
			context.AfterFunc(child, func() {})
			cancel()
		},
		"params": func(_ http.ResponseWriter, r *http.Request) {
			for range Params(r) {
			}
		},
		"param":  func(_ http.ResponseWriter, r *http.Request) { Param(r, "HTTP_COOKIE") },
		"stderr": func(_ http.ResponseWriter, r *http.Request) { io.WriteString(Stderr(r), "note\n") },
		"log":    func(_ http.ResponseWriter, r *http.Request) { log.InfoContext(r.Context(), "note") },
		"request": func(_ http.ResponseWriter, r *http.Request) {
			r.Clone(context.Background())
			_ = r.URL.String() + r.Header["Cookie"][0] + r.RemoteAddr + r.RequestURI
		},
		"body":       func(_ http.ResponseWriter, r *http.Request) { r.Body.Read(make([]byte, 10)) },
		"close body": func(_ http.ResponseWriter, r *http.Request) { r.Body.Close() },
		"read deadline": func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Microsecond))
		},
		"write deadline": func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Hour))
		},
		"write":        func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("x")) },
		"write a lot":  func(w http.ResponseWriter, r *http.Request) { w.Write(make([]byte, 10_000)) },
		"write string": func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, strings.Repeat("x", 3000)) },
		"write header": func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(103); w.WriteHeader(200) },
		"header":       func(w http.ResponseWriter, r *http.Request) { w.Header() },
		"flush":        func(w http.ResponseWriter, r *http.Request) { w.(http.Flusher).Flush() },
		"file": func(w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(200)
			w.(http.Flusher).Flush()
			file.Seek(0, io.SeekStart)
			io.CopyN(w, file, 100)
		},
	}
	ends := map[string]func(context.CancelFunc){
		"returns":   func(context.CancelFunc) {},
		"panics":    func(context.CancelFunc) { panic(http.ErrAbortHandler) },
		"cancelled": func(cancel context.CancelFunc) { cancel() },
	}
	for how, end := range ends {
		t.Run(how, func(t *testing.T) {
			for round := range 30 {
				var users sync.WaitGroup
				ctx, cancel := context.WithCancel(context.Background())
				h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					for _, use := range uses {
						users.Go(func() {
							for range 6 {
								use(w, r)
								runtime.Gosched()
							}
						})
					}
					for range round { // sooner or later
						runtime.Gosched()
					}
					end(cancel)
				})
				(&lender{t: t}).serve(Handler(h), ctx)
				users.Wait()
				cancel()
			}
		})
	}
}

// A read deadline that comes while the handler returns must not cancel the
// body of the next request.
func TestDeadlineAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 100 {
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				http.NewResponseController(w).SetReadDeadline(time.Now().Add(time.Second))
				time.Sleep(time.Second)
			})
			(&lender{t: t}).serve(Handler(h), context.Background())
			synctest.Wait()
		}
	})
}

type lentKey struct{}
