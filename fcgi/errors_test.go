package fcgi

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
)

// Programs compare the errors of Read with "==".
func TestBodyErrors(t *testing.T) {
	tests := []struct {
		name string
		end  func(w *web)
		want func(lib library) error
	}{
		{"aborted", func(w *web) { w.send(abort1) }, func(lib library) error { return lib.errAborted }},
		{"connection closed", func(w *web) { w.Conn.Close() }, func(lib library) error { return lib.errClosed }},
		{"end of the body", func(w *web) { w.send(endStdin1) }, func(library) error { return io.EOF }},
	}
	for _, tt := range tests {
		for _, lib := range both {
			for _, begin := range []string{beginK1, beginN1} {
				t.Run(tt.name+"/"+lib.name, func(t *testing.T) {
					handler := func(w http.ResponseWriter, r *http.Request) {
						b := make([]byte, 10)
						n, err := io.ReadFull(r.Body, b[:4])
						if string(b[:n]) != "some" || err != nil {
							t.Errorf("ReadFull = %q, %v", b[:n], err)
						}
						for range 2 {
							if n, err := r.Body.Read(b); n != 0 || err != tt.want(lib) {
								t.Errorf("Read = %d, %v, want 0, %v", n, err, tt.want(lib))
							}
						}
					}
					inBubble(t, lib, handler, func(t *testing.T, l *pipeListener) {
						w := newWeb(l.dial())
						w.send(begin + params1(post()...) + endParams1 + stdin1("some"))
						settle()
						tt.end(w)
						settle()
						w.close()
					})
				})
			}
		}
	}
}

// Ours tell the same to those who ask the context, or write.
func TestErrorsElsewhere(t *testing.T) {
	for _, tt := range []struct {
		name string
		end  func(w *web)
		want error
	}{
		{"aborted", func(w *web) { w.send(abort1) }, ErrRequestAborted},
		{"connection closed", func(w *web) { w.Conn.Close() }, ErrConnClosed},
	} {
		t.Run(tt.name, func(t *testing.T) {
			called := false
			inBubble(t, ours, func(w http.ResponseWriter, r *http.Request) {
				called = true
				<-r.Context().Done()
				if cause := context.Cause(r.Context()); !errors.Is(cause, tt.want) {
					t.Errorf("cause %v, want %v", cause, tt.want)
				}
				if _, err := w.Write(make([]byte, 1<<20)); !errors.Is(err, tt.want) {
					t.Errorf("Write: %v, want %v", err, tt.want)
				}
			}, func(t *testing.T, l *pipeListener) {
				w := newWeb(l.dial())
				w.send(wholeK1)
				settle()
				tt.end(w)
				settle()
				w.close()
			})
			if !called {
				t.Error("the handler was not called")
			}
		})
	}
}
