package fastcgi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// Of a body that its handler does not read only so much is taken. What the
// reader has to say goes out before it waits.
func TestServerHoldsWebServerBack(t *testing.T) {
	var release chan bool // of the bubble
	s := &Server{MaxBodyAhead: 20, Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		<-release
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, n, err)
	})}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		release = make(chan bool)
		w := dial()
		sent := make(chan bool)
		go func() {
			w.send(beginK1 + get1 + endParams1 + stdin1(strings.Repeat("x", 500)))
			w.send("\x01\x09\x00\x00\x00\x00\x00\x00" + stdin1(strings.Repeat("x", 500)) + stdin1("y") + endStdin1)
			w.send(wholeK2[:8])
			close(sent)
		}()
		if got := w.replies(); got != `GET_VALUES_RESULT(0 "")` {
			t.Errorf("while the body waits: %s", got)
		}
		select {
		case <-sent:
			t.Error("all was taken, want the connection held back")
		default:
		}
		close(release)
		<-sent
		if got := w.replies(); !strings.Contains(got, "1001 <nil>") {
			t.Errorf("at the end: %s", got)
		}
	})
}

// A reader that waits for a handler is woken up by whatever ends the wait.
func TestServerReaderWakesUp(t *testing.T) {
	ends := map[string]func(r *cgi.Request, s *Server){
		"handler returns": func(r *cgi.Request, s *Server) {},
		"body cancelled": func(r *cgi.Request, s *Server) {
			r.Body.Cancel()
			r.Body.Cancel()
			if _, err := r.Body.Read(make([]byte, 1)); err != errCancelled {
				panic(err)
			}
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			var s *Server
			s = &Server{MaxBodyAhead: 1, Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				if r.Body != nil {
					time.Sleep(time.Second) // the reader waits by then
					end(r, s)
				}
				io.WriteString(w, "hello")
			})}
			inBubble(t, s, func(t *testing.T, dial func() *web) {
				w := dial()
				w.send(beginK1 + get1 + endParams1 + stdin1(strings.Repeat("1", 40)) + stdin1("second") + stdin1("third") + endStdin1 + wholeK2)
				time.Sleep(2 * time.Second)
				if got, want := sorted(w.replies()), ok1+" "+ok2; got != want {
					t.Errorf("replies = %s, want %s", got, want)
				}
			})
		})
	}
}

func TestServerCloseWakesReader(t *testing.T) {
	first := strings.Repeat("1", unproven)
	s := &Server{MaxBodyAhead: 1, Handler: cgi.HandlerFunc(func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		<-ctx.Done()
		b, err := io.ReadAll(r.Body)
		if string(b) != first || err != ErrShutdown {
			t.Errorf("Read = %q, %v, want what had come and ErrShutdown", b, err)
		}
	})}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		w := dial()
		w.send(beginK1 + get1 + endParams1 + stdin1(first) + stdin1("second"))
		synctest.Wait()
	})
}

// A body that was here to its end can be read although the web server is not
// there any more; one that was not ends with the reason.
func TestServerBodyOfLostConnection(t *testing.T) {
	tests := []struct {
		name, in string
		want     error
	}{
		{"ended", stdin1("body") + endStdin1, nil},
		{"not ended", stdin1("body"), ErrConnectionLost},
		{"length reached", params1("\x0e\x01CONTENT_LENGTH4") + endParams1 + stdin1("body"), nil},
		{"length not reached", params1("\x0e\x01CONTENT_LENGTH5") + endParams1 + stdin1("body"), ErrConnectionLost},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Server{Handler: cgi.HandlerFunc(func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				<-ctx.Done()
				b, err := io.ReadAll(r.Body)
				if string(b) != "body" || !errors.Is(err, tt.want) {
					t.Errorf("Read = %q, %v, want body and %v", b, err, tt.want)
				}
			})}
			inBubble(t, s, func(t *testing.T, dial func() *web) {
				w := dial()
				in := beginK1 + get1
				if !strings.Contains(tt.in, endParams1) {
					in += endParams1
				}
				w.send(in + tt.in)
				synctest.Wait()
				w.Close()
				synctest.Wait()
			})
		})
	}
}
