package gateway

import (
	"context"
	"errors"
	"io"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/sluice-gateway/sluice/pool"
)

// worker0 returns how the first worker is.
func (g *rig) worker0() pool.WorkerStatus { return g.backend.Pool.Status().Workers[0] }

// answers makes the workers at addrs answer by a function.
func answers(t *testing.T, f transport, addrs ...string) *rig {
	t.Helper()
	return newRig(t, func(g *rig) { g.backend.Transport = f }, addrs...)
}

// answer is a good one, of n pieces.
func answer(n pieces) *cgi.Response {
	resp := &cgi.Response{Head: cgi.Head{Status: 200}, Body: n}
	resp.ContentLength = -1
	return resp
}

// What a worker must do to be taken for alive.
func TestSignsOfLife(t *testing.T) {
	failed := func(err error) transport {
		return func(_ context.Context, _, address string, _ *cgi.Request) (*cgi.Response, error) {
			return nil, &fastcgi.Error{Op: "receive", Addr: address, Err: err}
		}
	}
	tests := []struct {
		name string
		does transport
		want uint64
	}{
		{"an answer, and its good end",
			func(context.Context, string, string, *cgi.Request) (*cgi.Response, error) { return answer(10), nil }, 2},
		{"an interim response, and then nothing",
			func(ctx context.Context, network, address string, r *cgi.Request) (*cgi.Response, error) {
				r.Informational(103, nil)
				return failed(io.EOF)(ctx, network, address, r)
			}, 1},
		{"nonsense", failed(cgi.ErrMalformed), 1},
		{"nothing", failed(io.EOF), 0},
		{"nothing in time", failed(context.DeadlineExceeded), 0},
		{"nothing, until the client has gone", failed(context.Canceled), 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			g := answers(t, tt.does, "/a")
			r := get("/")
			r.Method = "POST" // once
			g.h.ServeCGI(t.Context(), new(paper), r)
			if got := g.worker0(); got.Signs != tt.want || got.AtClient != 0 {
				t.Errorf("%d signs of life, %d requests wait for their clients, want %d, 0", got.Signs, got.AtClient, tt.want)
			}
		})
	}
}

// A slowClient looks at the worker while it should take something.
type slowClient struct {
	paper
	look func()
}

func (c *slowClient) Write(p []byte) (int, error) { c.look(); return c.paper.Write(p) }
func (c *slowClient) Flush() error                { c.look(); return c.paper.Flush() }

// flushed is a piece that is flushed.
type flushed struct{ pieces }

func (f flushed) WriteTo(w io.Writer) (int64, error) {
	n, err := f.pieces.WriteTo(w)
	return n, errors.Join(err, w.(interface{ Flush() error }).Flush())
}

// While a client does not take the answer, the worker owes nobody anything.
func TestSlowReaderIsNotTheWorkersFault(t *testing.T) {
	resp := answer(0)
	resp.Body = flushed{1}
	g := answers(t, func(context.Context, string, string, *cgi.Request) (*cgi.Response, error) { return resp, nil }, "/a")
	looks := 0
	c := &slowClient{look: func() {
		if looks++; g.worker0().AtClient != 1 {
			t.Errorf("look %d: %d requests wait for their clients, want 1", looks, g.worker0().AtClient)
		}
	}}
	g.h.ServeCGI(t.Context(), c, get("/"))
	if got := g.worker0().AtClient; got != 0 || looks != 2 {
		t.Errorf("%d looks, afterwards %d requests wait for their clients, want 2, 0", looks, got)
	}
}

// An answerBody is one that does what a test wants.
type answerBody struct {
	pieces
	does func(w io.Writer) error
}

func (b answerBody) WriteTo(w io.Writer) (int64, error) { return 0, b.does(w) }

// A slowSource is a body that does not say when it waits.
type slowSource struct {
	left int
	look func()
}

func (s *slowSource) Close() error { return nil }
func (s *slowSource) Read(p []byte) (int, error) {
	s.look()
	if s.left == 0 {
		return 0, io.EOF
	}
	s.left--
	return min(10, len(p)), nil
}

// Whose turn it is while the next piece of an answer is waited for.
func TestWhoseTurn(t *testing.T) {
	var g *rig
	looks := 0
	owes := func() {
		if looks++; g.worker0().AtClient != 0 {
			t.Errorf("look %d: it is the client's turn while the worker is waited for", looks)
		}
	}
	small, big := make([]byte, 10), make([]byte, bigPiece)
	for name, body := range map[string]io.ReadCloser{
		"flushed": answerBody{does: func(w io.Writer) error {
			w.Write(small)
			w.Write(small)
			err := w.(interface{ Flush() error }).Flush()
			owes()
			return err
		}},
		"flushed, and nothing to flush": answerBody{does: func(w io.Writer) error {
			err := w.(interface{ Flush() error }).Flush()
			owes()
			return err
		}},
		"a full buffer": answerBody{does: func(w io.Writer) error {
			w.Write(small)
			_, err := w.Write(big)
			owes()
			return err
		}},
		"read": &slowSource{left: 3, look: owes},
	} {
		t.Run(name, func(t *testing.T) {
			looks = 0
			g = answers(t, func(context.Context, string, string, *cgi.Request) (*cgi.Response, error) {
				resp := answer(0)
				resp.Body = body
				return resp, nil
			}, "/a")
			g.h.ServeCGI(t.Context(), new(paper), get("/"))
			if looks == 0 || g.worker0().AtClient != 0 {
				t.Errorf("%d looks; afterwards %d requests wait for their clients, want 0", looks, g.worker0().AtClient)
			}
		})
	}
}

// A request whose client neither sends nor reads is one.
func TestBothDirectionsAreOneRequest(t *testing.T) {
	var g *rig
	looks := 0
	look := func() {
		if looks++; g.worker0().AtClient != 1 {
			t.Errorf("look %d: %d requests wait for their clients, want 1", looks, g.worker0().AtClient)
		}
	}
	g = answers(t, func(_ context.Context, _, _ string, r *cgi.Request) (*cgi.Response, error) {
		resp := answer(0)
		resp.Body = answerBody{does: func(w io.Writer) error {
			w.Write([]byte("a piece that the client does not take"))
			r.Body.Read(make([]byte, 10))
			look()
			return w.(interface{ Flush() error }).Flush()
		}}
		return resp, nil
	}, "/a")
	r := get("/")
	r.Method, r.ContentLength = "POST", smallBody+1
	r.Body = &slowUpload{left: smallBody + 1, look: look}
	g.h.ServeCGI(t.Context(), new(paper), r)
	if got := g.worker0().AtClient; got != 0 || looks != 2 {
		t.Errorf("%d looks, afterwards %d requests wait for their clients, want 2, 0", looks, got)
	}
}

// A slowUpload looks at the worker while the client should send something.
type slowUpload struct {
	left int
	look func()
}

func (u *slowUpload) Cancel() {}
func (u *slowUpload) Read(p []byte) (int, error) {
	u.look()
	n := min(len(p), u.left)
	if u.left -= n; u.left == 0 {
		return n, io.EOF
	}
	return n, nil
}

// While a client does not send its body, the worker owes nobody anything; that
// it takes more than a socket holds is a sign of life, whether the body comes
// as it is read or has been kept.
func TestUploadAndLife(t *testing.T) {
	const piece = 64 << 10
	for name, tt := range map[string]struct {
		network string
		chunked bool
		size    int
		sent    int // times
		signs   uint64
	}{
		"what a unix socket holds":  {"unix", false, takenUnseenUnix, 1, 0},
		"more":                      {"unix", false, takenUnseenUnix + piece, 1, 0}, // the last piece has not been taken yet
		"more than that":            {"unix", false, takenUnseenUnix + 2*piece, 1, 1},
		"kept":                      {"unix", true, takenUnseenUnix, 1, 0},
		"kept, and more":            {"unix", true, takenUnseenUnix + 2*piece, 1, 1},
		"kept, and sent twice":      {"unix", true, takenUnseenUnix, 2, 0},
		"what a TCP socket holds":   {"tcp", false, takenUnseen, 1, 0},
		"more than TCP sockets do":  {"tcp", false, takenUnseen + 2*piece, 1, 1},
		"kept, of what TCP holds":   {"tcp", true, takenUnseen, 1, 0},
		"kept, and more than there": {"tcp", true, takenUnseen + 2*piece, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			g := answers(t, func(_ context.Context, _, address string, r *cgi.Request) (*cgi.Response, error) {
				for range tt.sent {
					if again, ok := r.Body.(cgi.Rewinder); ok != tt.chunked {
						t.Errorf("the body can be sent again: %v, want %v", ok, tt.chunked)
					} else if ok {
						again.Rewind()
					}
					for buf := make([]byte, piece); ; {
						if _, err := r.Body.Read(buf); err != nil {
							break
						}
					}
				}
				return nil, &fastcgi.Error{Op: "receive", Addr: address, Err: io.EOF}
			}, "/a")
			g.backend.Pool = pool.New(pool.Config{})
			t.Cleanup(func() { g.backend.Pool.Close() })
			g.backend.Pool.Watch(pool.Static{{Network: tt.network, Address: "/a"}})
			r := get("/")
			r.Method, r.ContentLength = "POST", int64(tt.size)
			client := 1 // that is waited for
			if tt.chunked {
				r.ContentLength, client = -1, 0 // there is no worker yet
			}
			r.Body = &slowUpload{left: tt.size, look: func() {
				if got := g.worker0().AtClient; got != client {
					t.Errorf("%d requests wait for their clients, want %d", got, client)
				}
			}}
			g.h.ServeCGI(t.Context(), new(paper), r)
			if got := g.worker0(); got.AtClient != 0 || got.Signs != tt.signs {
				t.Errorf("%d signs of life, %d requests wait for their clients, want %d, 0", got.Signs, got.AtClient, tt.signs)
			}
		})
	}
}

// A request with which a worker hung is not tried on another one; one that came
// to it later is.
func TestHungIsNotRepeated(t *testing.T) {
	for name, tt := range map[string]struct {
		before uint64 // the leases with which it is said to hang
		asked  int
	}{
		"it hung with this":   {1, 1},
		"it hung before this": {0, 2},
	} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			var g *rig
			g = answers(t, func(_ context.Context, network, address string, _ *cgi.Request) (*cgi.Response, error) {
				asked++
				g.backend.Pool.Hangs(network, address, tt.before)
				return nil, &fastcgi.Error{Op: "receive", Addr: address, Sent: 100, Err: io.EOF, SafeToRetry: true}
			}, "/a", "/b")
			p := new(paper)
			g.h.ServeCGI(t.Context(), p, get("/"))
			if asked != tt.asked || p.status != 502 {
				t.Errorf("%d workers were asked, status %d, want %d, 502", asked, p.status, tt.asked)
			}
		})
	}
}
