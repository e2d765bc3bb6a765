package gateway

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// echo answers with what CONTENT_LENGTH said, and the size and digest of the
// body that came.
func echo(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	length, _ := r.Param("CONTENT_LENGTH")
	sum := sha256.New()
	var n int64
	if r.Body != nil {
		n, _ = io.Copy(sum, r.Body)
	}
	w.WriteHeader(200, cgi.Header{{Name: "Content-Type", Value: "text/plain"}})
	fmt.Fprintf(w, "%s %d %x", length, n, sum.Sum(nil)[:8])
}

func echoed(b []byte) string {
	sum := sha256.Sum256(b)
	return fmt.Sprintf("%d %d %x", len(b), len(b), sum[:8])
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

// unsized hides how long a body is, so that it goes out chunked.
func unsized(b []byte) io.Reader { return struct{ io.Reader }{bytes.NewReader(b)} }

func TestBodies(t *testing.T) {
	g := newRig(t, nil, worker(t, echo))
	for _, n := range []int{1, 100, firstPiece, firstPiece + 1, DefaultSpoolMemory - 1, DefaultSpoolMemory, DefaultSpoolMemory + 1, 3<<20 + 7} {
		b := random(n)
		g.want(200, echoed(b), "POST", "/", bytes.NewReader(b))
		g.want(200, echoed(b), "POST", "/", unsized(b))
	}
	if used := g.h.spool().used.Load(); used != 0 {
		t.Errorf("%d bytes of spool files are still counted", used)
	}
}

// There is no file with a name while a body is kept, so none can be left.
func TestSpoolLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	g := newRig(t, func(g *rig) { g.h.Spool = &Spool{Dir: dir} }, worker(t, func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		entries, err := os.ReadDir(dir)
		fmt.Fprint(w, len(entries), err)
	}))
	g.want(200, "0 <nil>", "POST", "/", unsized(random(1<<20)))
}

func TestBodyLimits(t *testing.T) {
	asked := 0
	g := newRig(t, func(g *rig) {
		g.h.MaxBody = 1000
		g.h.Routes = []Route{
			{Match: compile(t, "/large/"), Backend: g.backend, MaxBody: 100_000},
			{Match: compile(t, "/any/"), Backend: g.backend, MaxBody: -1},
			{Match: compile(t, ""), Backend: g.backend},
		}
	}, worker(t, func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		asked++
		echo(ctx, w, r)
	}))
	for _, tt := range []struct {
		path   string
		size   int
		status int
	}{
		{"/", 1000, 200}, {"/", 1001, 413}, {"/", 1 << 20, 413},
		{"/large/", 100_000, 200}, {"/large/", 100_001, 413},
		{"/any/", 1 << 20, 200},
	} {
		for _, chunked := range []bool{false, true} {
			before, b := asked, random(tt.size)
			var body io.Reader = bytes.NewReader(b)
			if chunked {
				body = unsized(b)
			}
			g.want(tt.status, "", "POST", tt.path, body)
			if tt.status == 413 && asked != before {
				t.Errorf("%s with %d bytes, chunked %v: the application was asked", tt.path, tt.size, chunked)
			}
		}
	}
	g.logged("status=413", "1001 bytes, want at most 1000", "max_body")
}

func TestSpoolQuota(t *testing.T) {
	g := newRig(t, func(g *rig) { g.h.Spool = &Spool{Quota: 200 << 10} }, worker(t, echo))
	resp := g.want(503, "", "POST", "/", unsized(random(1<<20)))
	if resp.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	g.logged("status=503", "keep a request body", "hint=")
	b := random(100 << 10)
	g.want(200, echoed(b), "POST", "/", unsized(b)) // the quota is given back
}

func TestSpoolFolderIsMissing(t *testing.T) {
	g := newRig(t, func(g *rig) { g.h.Spool = &Spool{Dir: "/nonexistent"} }, worker(t, echo))
	g.want(503, "", "POST", "/", unsized(random(1<<20)))
	g.logged("keep a request body", "no such file", "is it full?")
	g.want(200, "", "POST", "/", unsized(random(1000))) // memory is enough for it
}

// A client that sends no more of its body does not hold a worker.
func TestBodyStalls(t *testing.T) {
	for name, head := range map[string]string{
		"length known":   "Content-Length: 100000\r\n\r\nhalf",
		"small":          "Content-Length: 10\r\n\r\nhalf",
		"length unknown": "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, func(g *rig) { g.h.BodyTimeout = 100 * time.Millisecond }, worker(t, echo))
			answer := raw(t, g, "POST / HTTP/1.1\r\nHost: x\r\n"+head, false)
			if !strings.HasPrefix(answer, "HTTP/1.1 408 ") {
				t.Errorf("answer %q, want 408", answer)
			}
			g.logged("status=408", "stopped sending")
			if s := g.backend.Pool.Status().Workers[0]; s.Failures > 0 || s.Load > 0 {
				t.Errorf("the worker has %d failures and a load of %d for what the client did", s.Failures, s.Load)
			}
		})
	}
}

// raw sends bytes to the gateway, perhaps ends its side, and reads the answer.
func raw(t *testing.T, g *rig, request string, end bool) string {
	t.Helper()
	nc, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(nc, request)
	if end {
		nc.(*net.TCPConn).CloseWrite()
	}
	b, _ := io.ReadAll(nc)
	return string(b)
}

func TestBodyIsCut(t *testing.T) {
	for name, head := range map[string]string{
		"length known":   "Content-Length: 100000\r\n\r\nhalf",
		"small":          "Content-Length: 10\r\n\r\nhalf",
		"length unknown": "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
		"bad chunk":      "Transfer-Encoding: chunked\r\n\r\nzz\r\nhalf\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			asked := make(chan string, 1)
			g := newRig(t, nil, worker(t, func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				b, err := io.ReadAll(r.Body)
				asked <- fmt.Sprintf("%q, %v", b, err)
			}))
			raw(t, g, "POST / HTTP/1.1\r\nHost: x\r\n"+head, true)
			if name == "length known" {
				if got := <-asked; strings.HasSuffix(got, "<nil>") {
					t.Errorf("the application took a part for the whole: %s", got)
				}
			}
			if len(asked) > 0 {
				t.Errorf("the application was asked: %s", <-asked)
			}
			if s := g.backend.Pool.Status().Workers[0]; s.Failures > 0 {
				t.Errorf("the worker has %d failures for what the client did", s.Failures)
			}
		})
	}
}

// A request that was not sent yet is sent to another worker with its body.
func TestBodyIsSentAgain(t *testing.T) {
	b := random(100 << 10)
	g := newRig(t, nil, socket(t), worker(t, echo))
	g.want(200, echoed(b), "POST", "/", bytes.NewReader(b))
	g.want(200, echoed(b), "POST", "/", unsized(b))
}

func TestSpooledBodyReads(t *testing.T) {
	content := random(10_000)
	for _, memory := range []int64{1, 5000, 10_000, 20_000} {
		s := &Spool{Memory: memory}
		live := &liveBody{ctx: t.Context(), src: cgi.BytesBody(content), timeout: time.Minute}
		b, err := s.take(live, 1<<20, -1)
		if err != nil {
			t.Fatal(err)
		}
		for again := range 2 {
			var got bytes.Buffer
			if _, err := io.CopyBuffer(&got, struct{ io.Reader }{b}, make([]byte, 777)); err != nil || !bytes.Equal(got.Bytes(), content) {
				t.Errorf("memory %d, reading %d: %d bytes, %v", memory, again, got.Len(), err)
			}
			if err := b.Rewind(); err != nil {
				t.Fatal(err)
			}
		}
		b.close()
		if s.used.Load() != 0 {
			t.Errorf("memory %d: %d bytes are still counted", memory, s.used.Load())
		}
	}
}
