package sluice

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/config"
	"github.com/sluice-gateway/sluice/fastcgi"
)

// applicationPaths are the paths of application that show what reached it, or
// that make it behave badly.
var applicationPaths = map[string]cgi.HandlerFunc{
	"/params": showParams,
	"/process": func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		dir, _ := os.Getwd()
		fmt.Fprintf(w, "dir=%s\nargs=%q\n%s", dir, os.Args[1:], strings.Join(os.Environ(), "\n"))
	},
	"/status": func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
		status, _ := os.ReadFile("/proc/self/status")
		limits, _ := os.ReadFile("/proc/self/limits")
		priority, _ := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
		fmt.Fprintf(w, "%s%snice %d\n", status, limits, 20-priority) // as the system call gives it
	},
	"/slow": func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
		time.Sleep(30 * time.Millisecond)
		fmt.Fprint(w, os.Getpid())
	},
	"/held": func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
		time.Sleep(300 * time.Millisecond)
		fmt.Fprint(w, os.Getpid())
	},
	"/stderr": func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		fmt.Fprintln(cgi.Stderr(w), "a word from the application")
	},
	"/silent": func(ctx context.Context, _ cgi.ResponseWriter, _ *cgi.Request) { <-ctx.Done() },
	"/stall": func(ctx context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
		io.WriteString(w, "the beginning")
		w.Flush()
		<-ctx.Done()
	},
	"/flood": func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
		for piece := make([]byte, 32<<10); ; {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	},
	"/deaf": func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
		signal.Ignore(syscall.SIGTERM)
		fmt.Fprint(w, os.Getpid())
	},
	"/signal": reportSignal,
}

func showParams(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	for name, value := range r.Params() {
		fmt.Fprintf(w, "%s=%s\n", name, value)
	}
}

// reportSignal makes the process write the signal that ends it into the file
// of the query.
func reportSignal(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
	ask := make(chan os.Signal, 1)
	signal.Notify(ask, syscall.SIGINT, syscall.SIGTERM)
	go func() { // until the process ends
		s := <-ask
		os.WriteFile(r.Query(), []byte(s.String()), 0o666)
		os.Exit(0)
	}()
	fmt.Fprint(w, os.Getpid())
}

// A countingListener counts what it accepts, and what of it is still open.
type countingListener struct {
	net.Listener
	n, open atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	nc, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	l.n.Add(1)
	l.open.Add(1)
	return &countedConn{Conn: nc, l: l}, nil
}

type countedConn struct {
	net.Conn
	l    *countingListener
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.l.open.Add(-1) })
	return c.Conn.Close()
}

// foreign runs an application that Sluice has not started, in the test's own
// process, where the test can see what it sees.
func foreign(t *testing.T, h cgi.HandlerFunc) *countingListener {
	t.Helper()
	l := &countingListener{Listener: listenTCP(t)}
	s := &fastcgi.Server{Handler: h}
	ended := make(chan struct{})
	go func() { // until the cleanup closes the server
		defer close(ended)
		s.Serve(l)
	}()
	t.Cleanup(func() {
		s.Close()
		<-ended
	})
	return l
}

func listenTCP(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// toForeign is a configuration with workers that somebody else runs.
func toForeign(workers ...net.Listener) *config.Config {
	b := config.Backend{Name: "app"}
	for _, l := range workers {
		b.Connect = append(b.Connect, l.Addr().String())
	}
	return &config.Config{
		Listen: []string{"127.0.0.1:0"}, Backends: []config.Backend{b},
		Routes: []config.Route{{Path: "", Backend: "app"}},
	}
}

// named answers with a name.
func named(name string) cgi.HandlerFunc {
	return func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) { io.WriteString(w, name) }
}

// fullSocket is a unix socket whose backlog is full: nobody gets through to
// it, and nobody is told so.
func fullSocket(t *testing.T) string {
	t.Helper()
	path := filepath.Join(shortDir(t), "full.sock")
	at := &syscall.SockaddrUnix{Name: path}
	socket := func() int {
		syscall.ForkLock.RLock() // no fork before the next line
		fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
		syscall.CloseOnExec(fd)
		syscall.ForkLock.RUnlock()
		if err == nil {
			err = syscall.SetNonblock(fd, true)
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { syscall.Close(fd) })
		return fd
	}
	l := socket()
	if err := syscall.Bind(l, at); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Listen(l, 0); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if err := syscall.Connect(socket(), at); err == syscall.EAGAIN {
			return path
		}
	}
	t.Fatal("the backlog does not get full")
	return ""
}

// deafWorker accepts connections and reads nothing.
func deafWorker(t *testing.T) net.Listener {
	t.Helper()
	l := listenTCP(t)
	ended := make(chan struct{})
	var conns []net.Conn
	go func() { // until the cleanup closes the listener
		defer close(ended)
		for {
			nc, err := l.Accept()
			if err != nil {
				return
			}
			conns = append(conns, nc)
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-ended
		for _, nc := range conns {
			nc.Close()
		}
	})
	return l
}
