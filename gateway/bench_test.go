package gateway

import (
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/pool"
)

// pieces is an answer that comes in so many pieces.
type pieces int

func (n pieces) WriteTo(w io.Writer) (total int64, err error) {
	var piece [512]byte
	for range n {
		m, err := w.Write(piece[:])
		if total += int64(m); err != nil {
			return total, err
		}
	}
	return total, nil
}

func (pieces) Read([]byte) (int, error) { return 0, io.EOF }
func (pieces) Close() error             { return nil }

// nowhere is a client who takes everything at once.
type nowhere struct{}

func (nowhere) WriteHeader(int, cgi.Header) error { return nil }
func (nowhere) Write(p []byte) (int, error)       { return len(p), nil }
func (nowhere) Flush() error                      { return nil }
func (nowhere) Abort()                            {}

// What the gateway itself costs: nobody is asked, and nobody reads.
func BenchmarkExchange(b *testing.B) {
	for _, n := range []pieces{1, 100} {
		b.Run(fmt.Sprintf("pieces=%d", n), func(b *testing.B) {
			resp := &cgi.Response{Head: cgi.Head{Status: 200}, Body: n}
			resp.ContentLength = -1
			p := pool.New(pool.Config{})
			defer p.Close()
			p.Watch(pool.Static{{Network: "unix", Address: "/a"}})
			to := &Backend{Name: "app", Pool: p, Transport: transport(func(context.Context, string, string, *cgi.Request) (*cgi.Response, error) { return resp, nil })}
			h := &Handler{Routes: []Route{{Match: compile(b, ""), Backend: to}}}
			b.ReportAllocs()
			for b.Loop() {
				h.ServeCGI(b.Context(), nowhere{}, get("/"))
			}
		})
	}
}
