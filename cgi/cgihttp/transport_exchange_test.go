package cgihttp

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/fastcgi"
)

func TestTransportCancel(t *testing.T) {
	cancelled := make(chan error, 1)
	c := startHTTPApp(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/stream" {
			io.WriteString(w, "first")
			w.(http.Flusher).Flush()
		}
		<-r.Context().Done()
		cancelled <- context.Cause(r.Context())
	})
	t.Run("before the answer", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(20*time.Millisecond, func() { cancel(errWhy) })
		r, _ := http.NewRequestWithContext(ctx, "GET", "http://h/", nil)
		if _, err := c.Do(r); !errors.Is(err, errWhy) {
			t.Errorf("error = %v, want %v", err, errWhy)
		}
		<-cancelled
	})
	t.Run("client's timeout", func(t *testing.T) {
		impatient := *c
		impatient.Timeout = 20 * time.Millisecond
		_, err := impatient.Get("http://h/")
		var timeout net.Error
		if !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("error = %v, want a timeout", err)
		}
		<-cancelled
	})
	for name, end := range map[string]func(cancel context.CancelFunc, body io.Closer){
		"in the body":            func(cancel context.CancelFunc, _ io.Closer) { cancel() },
		"Close while it is read": func(_ context.CancelFunc, body io.Closer) { body.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			r, _ := http.NewRequestWithContext(ctx, "GET", "http://h/stream", nil)
			res, err := c.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			first := make([]byte, 5)
			if _, err := io.ReadFull(res.Body, first); string(first) != "first" || err != nil {
				t.Fatalf("read %q, %v", first, err)
			}
			start := time.Now()
			time.AfterFunc(20*time.Millisecond, func() { end(cancel, res.Body) })
			if _, err := res.Body.Read(first); err == nil || err == io.EOF || time.Since(start) > 10*time.Second {
				t.Errorf("Read = %v after %v, want an error soon", err, time.Since(start))
			}
			res.Body.Close()
			if _, err := res.Body.Read(first); err == nil {
				t.Error("Read after Close succeeded")
			}
			<-cancelled
		})
	}
}

// The connection is used again if the body was read, or little is left of it.
func TestTransportKeepsConnections(t *testing.T) {
	var conns atomic.Int64
	tr := startApp(t, Handler(http.HandlerFunc(hello)))
	path := tr.Address
	l, err := net.Listen("unix", path+"2")
	if err != nil {
		t.Fatal(err)
	}
	s := &fastcgi.Server{Handler: Handler(http.HandlerFunc(hello))}
	done := make(chan error, 1)
	go func() { done <- s.Serve(countingListener{l, &conns}) }() // ends with Close
	defer func() { s.Close(); <-done }()
	tr.Address = path + "2"
	c := &http.Client{Transport: tr}
	for i, method := range []string{"GET", "GET", "HEAD", "GET", "HEAD"} {
		r, _ := http.NewRequest(method, "http://h/", nil)
		res, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			io.Copy(io.Discard, res.Body)
		}
		res.Body.Close()
		time.Sleep(10 * time.Millisecond) // END_REQUEST may be on its way
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections, want 1", n)
	}
}

type countingListener struct {
	net.Listener
	n *atomic.Int64
}

func (l countingListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.n.Add(1)
	}
	return c, err
}

func TestTransportInterim(t *testing.T) {
	tr := startApp(t, Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "l")
		w.WriteHeader(103)
		w.Header().Del("Link")
		w.WriteHeader(100)
		io.WriteString(w, "ok")
	})))
	for _, refuse := range []error{nil, errWhy} {
		var got []string
		trace := &httptrace.ClientTrace{
			Got1xxResponse: func(code int, h textproto.MIMEHeader) error {
				got = append(got, fmt.Sprint(code, h))
				return refuse
			},
			Got100Continue: func() { got = append(got, "continue") },
		}
		r, _ := http.NewRequestWithContext(httptrace.WithClientTrace(t.Context(), trace), "GET", "http://h/", nil)
		res, err := tr.RoundTrip(r)
		if refuse != nil {
			if !errors.Is(err, refuse) || len(got) < 1 {
				t.Errorf("error = %v, want %v; got %q", err, refuse, got)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if want := []string{"103 map[Link:[l]]", "continue", "100 map[]"}; !reflect.DeepEqual(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
