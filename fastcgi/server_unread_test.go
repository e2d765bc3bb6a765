package fastcgi

import (
	"context"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
)

// A request body that has come to its end, if only after the answer, is no
// reason to keep an idle connection open in Shutdown.
func TestServerShutdownClosesAnIdleConnectionAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			io.WriteString(w, "hello")
		})}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		ours, theirs := net.Pipe()
		l.conns <- &halfPipe{theirs, make(chan struct{})}
		w := newWeb(t, ours)
		defer func() {
			w.Close()
			<-w.done
			s.Close()
			<-served
		}()
		w.send(beginK1 + get1 + params1("\x0e\x01CONTENT_LENGTH5") + endParams1 + stdin1("12345"))
		w.replies()
		w.send(endStdin1) // as Apache and HAProxy: the end of the body comes by itself
		synctest.Wait()
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(context.Background()) }()
		closedAfter(t, w, 0)
		if err := <-ended; err != nil {
			t.Errorf("Shutdown = %v", err)
		}
	})
}

// The same for a request that ends in the middle of Shutdown, before its body:
// the patience with that body is shutdownDiscard.
func TestServerShutdownLingersNotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newPipeListener()
		release := make(chan bool)
		s := &Server{Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			<-release
			io.WriteString(w, "hello")
		})}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		ours, theirs := net.Pipe()
		l.conns <- &halfPipe{theirs, make(chan struct{})}
		w := newWeb(t, ours)
		defer func() {
			w.Close()
			<-w.done
			s.Close()
			<-served
		}()
		w.send(beginK1 + get1 + params1("\x0e\x07CONTENT_LENGTH5000000") + endParams1 + stdin1("12345"))
		synctest.Wait()
		ended := make(chan error, 1)
		go func() { ended <- s.Shutdown(context.Background()) }()
		synctest.Wait()
		close(release)
		w.replies()
		closedAfter(t, w, shutdownDiscard-3*time.Millisecond) // replies has waited
		if err := <-ended; err != nil {
			t.Errorf("Shutdown = %v", err)
		}
	})
}
