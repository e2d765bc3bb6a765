package gateway

import (
	"bufio"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// A worker dies while a client is sending a large body over HTTP/1: the client
// is told, and the worker is blamed, although net/http takes the read that we
// give up for a client that has gone.
func TestWorkerDiesDuringUpload(t *testing.T) {
	path := socket(t)
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan bool)
	go func() { // until l is closed
		defer close(ended)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			nc.Read(make([]byte, 4096))
			nc.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
	})
	g := newRig(t, nil, path)
	nc, err := net.Dial("tcp", strings.TrimPrefix(g.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	nc.SetDeadline(time.Now().Add(10 * time.Second))
	io.WriteString(nc, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nthe first bytes")
	if line, err := bufio.NewReader(nc).ReadString('\n'); line != "HTTP/1.1 502 Bad Gateway\r\n" {
		t.Errorf("answer %q, %v, want 502", line, err)
	}
	g.logged("request failed", "status=502", "worker=unix:"+path)
	if s := g.backend.Pool.Status().Workers[0]; s.Failures != 1 {
		t.Errorf("the worker has %d failures, want 1", s.Failures)
	}
}
