package gateway

import (
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// The only worker closes a kept connection when it gets a second request on
// it, as one does whose process has done its share: a GET is asked once more,
// of the same worker, which does not cool down.
func TestStaleConnectionToTheOnlyWorker(t *testing.T) {
	path := socket(t)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	var conns atomic.Int32
	ended := make(chan bool)
	go func() { // until l is closed; one connection at a time
		defer close(ended)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			conns.Add(1)
			nc.SetDeadline(time.Now().Add(10 * time.Second))
			if _, ok := request(nc); ok {
				nc.Write(stdout("Content-Type: text/plain\r\n\r\nhello"))
				request(nc)
			}
			nc.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	g := newRig(t, nil, path)
	g.want(200, "hello", "GET", "/", nil)
	g.want(200, "hello", "GET", "/", nil)
	if n := conns.Load(); n != 2 {
		t.Errorf("%d connections, want 2: the test shows nothing otherwise", n)
	}
	if s := g.backend.Pool.Status().Workers[0]; s.Failures != 0 {
		t.Errorf("the worker has %d failures, want 0", s.Failures)
	}
}
