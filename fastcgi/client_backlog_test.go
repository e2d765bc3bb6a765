package fastcgi

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"
)

// fullSocket listens on a unix socket whose backlog is full: the next connect
// says EAGAIN until those that fill it are accepted.
func fullSocket(t *testing.T) (addr string, l net.Listener, fill []net.Conn) {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	addr = filepath.Join(dir, "a.sock")
	at := &syscall.SockaddrUnix{Name: addr}
	syscall.ForkLock.RLock() // no fork between the next two calls
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	syscall.CloseOnExec(fd)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), addr)
	defer f.Close()
	if err := errors.Join(syscall.Bind(fd, at), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	if l, err = net.FileListener(f); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	for range 10 {
		nc, err := net.Dial("unix", addr)
		if errors.Is(err, syscall.EAGAIN) {
			return addr, l, fill
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		fill = append(fill, nc)
	}
	t.Fatal("a backlog of 0 takes 10 connections: it cannot be filled")
	return "", nil, nil
}

// A full backlog is waited out, as TCP does by itself.
func TestFullBacklogIsWaitedOut(t *testing.T) {
	addr, l, fill := fullSocket(t)
	client := newClient(t, &Client{DialTimeout: 10 * time.Second})
	answered := make(chan error, 1)
	go func() {
		_, _, err := fetch(t.Context(), client, addr, get("/"))
		answered <- err
	}()
	select {
	case err := <-answered:
		t.Fatalf("fetch = %v while the backlog was full", err)
	case <-time.After(30 * time.Millisecond): // if that is too short for a first attempt the test shows less, and passes
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { // ends with the connection
				defer nc.Close()
				helloApp(0, &appConn{Conn: nc})
			})
		}
	})
	if err := <-answered; err != nil {
		t.Error(err)
	}
	l.Close()
	client.Close()
	for _, nc := range fill {
		nc.Close()
	}
	serving.Wait()
}

// One that stays full is a timeout, and nothing was sent.
func TestFullBacklogTimesOut(t *testing.T) {
	addr, _, _ := fullSocket(t)
	const limit = 50 * time.Millisecond
	client := newClient(t, &Client{DialTimeout: limit})
	start := time.Now()
	_, _, err := fetch(t.Context(), client, addr, get("/"))
	if took := time.Since(start); took < limit {
		t.Errorf("given up after %v, want %v", took, limit)
	}
	failed, ok := errors.AsType[*Error](err)
	if !ok || failed.Op != "dial" || !failed.Timeout() || !failed.SafeToRetry {
		t.Errorf("error %v, want a timeout of the dial that is safe to retry", err)
	}
}
