package fastcgi

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// An application may answer before it has read any of the request body, even
// before the client has begun to send it. What is left of that body must not
// get into the next request of the connection, nor its deadlines.
func TestAnswerBeforeBody(t *testing.T) {
	l, err := Listen(t.TempDir() + "/s")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		if r.Path() == "/echo" {
			io.Copy(w, r.Body)
		}
	})}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	client := &Client{}
	defer func() {
		client.Close()
		s.Close()
		<-ended
	}()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for i := range 2000 {
		body := fmt.Sprint("body ", i)
		r := &cgi.Request{Method: "POST", Target: "/early", Body: cgi.BytesBody([]byte(body)), ContentLength: int64(len(body))}
		if i%2 == 1 {
			r.Target = "/echo"
		}
		resp, err := client.RoundTrip(ctx, "unix", l.Addr().String(), r)
		if err != nil {
			t.Fatalf("request %d: %v", i, err)
		}
		var got strings.Builder
		_, err = io.Copy(&got, resp.Body)
		resp.Body.Close()
		if want := map[string]string{"/echo": body}[r.Target]; err != nil || got.String() != want {
			t.Fatalf("request %d: %q, %v, want %q", i, got.String(), err, want)
		}
	}
}
