package fastcgi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/spill"
)

// MaxActive counts over all connections, and a request that has ended in
// whatever way makes room for another.
func TestServerMaxActiveOverConnections(t *testing.T) {
	tests := []struct {
		name string
		in   string // what makes room; begin has been sent
	}{
		{"answered", recParams(1) + recEnd(TypeStdin, 1)},
		{"aborted", recAbort(1)},
		{"aborted before stdin", recParams(1) + recAbort(1)},
		{"aborted in its body", recParams(1, "CONTENT_LENGTH", "5") + recStream(TypeStdin, 1, "x") + recAbort(1)},
		{"refused with 400", recEnd(TypeParams, 1)},
		{"refused with 431", recStream(TypeParams, 1, strings.Repeat("x", 200))},
		{"connection closed", ""},
		{"connection malformed", "no record"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Server{MaxActive: 2, MaxParams: 100, Handler: cgi.HandlerFunc(func(ctx context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				if r.Body != nil {
					io.ReadAll(r.Body)
				}
				io.WriteString(w, "hello")
			})}
			inBubble(t, s, func(t *testing.T, dial func() *web) {
				one, two, three := dial(), dial(), dial()
				one.send(recBegin(1, RoleResponder, true))
				two.send(recBegin(1, RoleResponder, true))
				synctest.Wait()
				three.send(recGet(1, true))
				if got := three.replies(); got != "END(1 OVERLOADED)" {
					t.Errorf("a third request: %s, want OVERLOADED", got)
				}
				if tt.in == "" {
					one.Close()
				} else {
					one.send(tt.in)
				}
				one.replies()
				three.send(recBegin(1, RoleResponder, true))
				three.send(recGet(2, true))
				if got := three.replies(); got != "END(2 OVERLOADED)" {
					t.Errorf("a third and a fourth: %s, want one OVERLOADED", got)
				}
				three.send(recParams(1) + recEnd(TypeStdin, 1))
				if got := three.replies(); got != ok1 {
					t.Errorf("replies = %s", got)
				}
			})
		})
	}
}

// A refused request may be followed by all of its records, while others run.
func TestServerRefusedBesideOthers(t *testing.T) {
	s := &Server{MaxConnActive: 2, MaxParams: 100, Handler: cgi.HandlerFunc(sayHello)}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		w := dial()
		w.send(recBegin(1, RoleResponder, true) + recBegin(2, RoleResponder, true))
		w.send(recPost(3, true, "body") + recPost(3, true, "body"))
		if got, want := w.replies(), "END(3 OVERLOADED) END(3 OVERLOADED)"; got != want {
			t.Errorf("replies = %s, want %s", got, want)
		}
		w.send(recParams(1) + recEnd(TypeStdin, 1))
		if got := w.replies(); got != ok1 {
			t.Errorf("replies = %s", got)
		}
		w.send(recPost(1, true, "body", "LONG", strings.Repeat("x", 100)) + recParams(2) + recEnd(TypeStdin, 2))
		if got := w.replies(); !strings.HasPrefix(got, `STDOUT(1 "Status: 431 `) || !strings.HasSuffix(got, "END(1 REQUEST_COMPLETE) "+ok2) {
			t.Errorf("replies = %s", got)
		}
		w.send(recPost(1, true, "body")) // its id is free
		if got := w.replies(); got != ok1 {
			t.Errorf("replies = %s", got)
		}
	})
}

// When MaxRequests have begun the server ends by itself. All that had begun
// are answered, on whatever connection.
func TestServerRetires(t *testing.T) {
	slow := cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		if _, ok := r.Param("SLOW"); ok {
			time.Sleep(time.Second)
		}
		io.WriteString(w, "hello")
	})
	retires := func(t *testing.T, served <-chan error, want bool) {
		t.Helper()
		synctest.Wait()
		select {
		case err := <-served:
			if !want || err != ErrRetired {
				t.Errorf("Serve = %v, want ErrRetired: %v", err, want)
			}
		default:
			if want {
				t.Error("the server has not retired")
			}
		}
	}
	tests := []struct {
		name string
		talk func(t *testing.T, one, two *web, served <-chan error)
	}{
		{"quick ones", func(t *testing.T, one, two *web, served <-chan error) {
			one.send(recGet(1, true))
			synctest.Wait()
			two.send(recGet(1, true))
			if got := one.replies() + two.replies(); got != ok1+ok1 {
				t.Errorf("replies = %s", got)
			}
			retires(t, served, false)
			one.send(recGet(1, true))
			if got := one.replies() + " " + two.replies(); got != ok1+" closed closed" {
				t.Errorf("replies = %s", got)
			}
			retires(t, served, true)
		}},
		{"slow ones", func(t *testing.T, one, two *web, served <-chan error) {
			one.send(recGet(1, true, "SLOW", "") + recGet(2, true, "SLOW", ""))
			two.send(recGet(1, true, "SLOW", ""))
			time.Sleep(10 * watchTick) // one after the other is seen to be slow
			retires(t, served, false)
			two.send(recGet(2, true))
			if got := two.replies(); got != "END(2 OVERLOADED)" {
				t.Errorf("one more: %s", got)
			}
			time.Sleep(time.Second)
			if got := sorted(one.replies()) + " " + two.replies(); got != ok1+" closed "+ok2+" "+ok1+" closed" && got != ok1+" "+ok2+" closed "+ok1+" closed" {
				t.Errorf("replies = %s", got)
			}
			retires(t, served, true)
		}},
		{"more in one read", func(t *testing.T, one, two *web, served <-chan error) {
			one.send(strings.Repeat(recGet(1, true), 5))
			if got := one.replies() + " " + two.replies(); got != strings.Repeat(ok1+" ", 3)+strings.Repeat("END(1 OVERLOADED) ", 2)+"closed closed" {
				t.Errorf("replies = %s", got)
			}
			retires(t, served, true)
		}},
		{"the last one and nonsense", func(t *testing.T, one, two *web, served <-chan error) {
			one.send(strings.Repeat(recGet(1, true), 3) + "no record")
			if got := one.replies() + " " + two.replies(); got != strings.Repeat(ok1+" ", 3)+"closed closed" {
				t.Errorf("replies = %s", got)
			}
			retires(t, served, true)
		}},
		{"refused ones do not count", func(t *testing.T, one, two *web, served <-chan error) {
			one.send(strings.Repeat(recBegin(1, RoleFilter, true), 10))
			one.replies()
			retires(t, served, false)
		}},
		{"aborted ones do", func(t *testing.T, one, two *web, served <-chan error) {
			one.send(strings.Repeat(recBegin(1, RoleResponder, true)+recAbort(1), 3))
			one.replies()
			retires(t, served, true)
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Server{MaxRequests: 3, Handler: slow}
			bare(t, s, func(t *testing.T, dial func() net.Conn, served <-chan error) {
				one, two := newWeb(t, dial()), newWeb(t, dial())
				tt.talk(t, one, two, served)
				one.Close()
				two.Close()
				<-one.done
				<-two.done
			})
		})
	}
}

// Several listeners are served at the same time, and end together; the limits
// count over all of them.
func TestServerSeveralListeners(t *testing.T) {
	for _, most := range []int{0, 1, 2, 3} {
		synctest.Test(t, func(t *testing.T) {
			s := &Server{Handler: cgi.HandlerFunc(sayHello), MaxConns: most}
			served := make(chan error, 3)
			var listeners []*pipeListener
			for range cap(served) {
				l := newPipeListener()
				listeners = append(listeners, l)
				go func() { served <- s.Serve(l) }() // until Shutdown
			}
			synctest.Wait()
			for i, l := range listeners {
				ours, theirs := net.Pipe()
				select {
				case l.conns <- theirs:
				case <-time.After(time.Hour):
					t.Fatalf("MaxConns %d: listener %d accepts nothing, and there is no connection", most, i)
				}
				w := newWeb(t, ours)
				w.send(recGet(1, true))
				if got := w.replies(); got != ok1 {
					t.Errorf("MaxConns %d, listener %d: %s", most, i, got)
				}
				ours.Close()
				<-w.done
				synctest.Wait()
			}
			if err := s.Shutdown(context.Background()); err != nil {
				t.Errorf("Shutdown = %v", err)
			}
			for range cap(served) {
				if err := <-served; err != ErrClosed {
					t.Errorf("Serve = %v, want ErrClosed", err)
				}
			}
		})
	}
}

// A tcpPipe says that its other end has an address.
type tcpPipe struct {
	net.Conn
	from net.Addr
}

func (c tcpPipe) RemoteAddr() net.Addr { return c.from }

// Who may connect: over TCP the networks that are named, over unix sockets all.
func TestServerWebServers(t *testing.T) {
	prefix := netip.MustParsePrefix
	tests := []struct {
		name     string
		networks []netip.Prefix
		env      string // FCGI_WEB_SERVER_ADDRS
		from     string // "" is a unix socket
		want     bool
	}{
		{"nothing said", nil, "", "192.0.2.1", true},
		{"unix", []netip.Prefix{}, "192.0.2.1", "", true},
		{"nobody", []netip.Prefix{}, "", "192.0.2.1", false},
		{"in the network", []netip.Prefix{prefix("192.0.2.0/24")}, "", "192.0.2.255", true},
		{"beside the network", []netip.Prefix{prefix("192.0.2.0/24")}, "", "192.0.3.0", false},
		{"second network", []netip.Prefix{prefix("192.0.2.0/24"), prefix("2001:db8::/32")}, "", "2001:db8::1", true},
		{"the field wins", []netip.Prefix{prefix("192.0.2.1/32")}, "198.51.100.1", "198.51.100.1", false},
		{"environment", nil, "198.51.100.1,192.0.2.1", "192.0.2.1", true},
		{"environment, another", nil, "198.51.100.1,192.0.2.1", "192.0.2.2", false},
		{"mapped peer", nil, "192.0.2.1", "::ffff:192.0.2.1", true},
		{"link-local peer", nil, "fe80::/10", "fe80::1%lo", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv("FCGI_WEB_SERVER_ADDRS", tt.env)
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				s := &Server{Handler: cgi.HandlerFunc(sayHello), WebServers: tt.networks, Log: slog.New(slog.NewTextHandler(&log, nil))}
				l := newPipeListener()
				served := make(chan error, 1)
				go func() { served <- s.Serve(l) }() // until Close
				ours, theirs := net.Pipe()
				var from net.Addr = &net.UnixAddr{Net: "unix"}
				if tt.from != "" {
					a := netip.MustParseAddr(tt.from)
					from = &net.TCPAddr{IP: a.AsSlice(), Zone: a.Zone(), Port: 1234}
				}
				l.conns <- tcpPipe{theirs, from}
				w := newWeb(t, ours)
				io.WriteString(ours, recGet(1, true))
				got := w.replies()
				if want := map[bool]string{true: ok1, false: "closed"}[tt.want]; got != want {
					t.Errorf("from %s: %s, want %s", tt.from, got, want)
				}
				if logged := strings.Contains(log.String(), "not from a web server that may connect"); logged == tt.want {
					t.Errorf("log: %s", &log)
				}
				ours.Close()
				<-w.done
				s.Close()
				<-served
			})
		})
	}
}

// A list of web servers that cannot be read lets nobody in.
func TestServeBadWebServers(t *testing.T) {
	t.Setenv("FCGI_WEB_SERVER_ADDRS", "192.0.2.1,localhost")
	l := newPipeListener()
	err := Serve(l, cgi.HandlerFunc(sayHello))
	if want := `fastcgi: serve: FCGI_WEB_SERVER_ADDRS: "localhost" is no IP address and no network`; err == nil || err.Error() != want {
		t.Errorf("Serve = %v, want %s", err, want)
	}
	select {
	case <-l.closed:
	default:
		t.Error("the listener was left open")
	}
}

// A body for which there is no room, or no folder, fails for its handler, and
// for nobody else.
func TestServerSpillFails(t *testing.T) {
	tests := []struct {
		name string
		set  func(t *testing.T, s *Server)
		want func(err error) bool
	}{
		{"no room", func(_ *testing.T, s *Server) { s.MaxSpill = 1 }, func(err error) bool { return errors.Is(err, spill.ErrFull) }},
		{"no folder", func(t *testing.T, s *Server) { s.SpillDir = filepath.Join(t.TempDir(), "none") }, func(err error) bool { return errors.Is(err, os.ErrNotExist) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var release chan struct{} // of the bubble
			var got error
			var n int64
			s := &Server{MaxBodyAhead: 1000, Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
				if r.Body != nil {
					<-release
					n, got = io.Copy(io.Discard, r.Body)
				}
				io.WriteString(w, "hello")
			})}
			tt.set(t, s)
			inBubble(t, s, func(t *testing.T, dial func() *web) {
				release = make(chan struct{})
				w := dial()
				s.limit.bodies.MaxMemory = 1 // and not 16 MiB
				w.send(recBegin(2, RoleResponder, true) + recBegin(1, RoleResponder, true) + recParams(1))
				for range 10 {
					w.send(recStream(TypeStdin, 1, strings.Repeat("x", 500)))
				}
				w.send(recEnd(TypeStdin, 1) + recParams(2) + recEnd(TypeStdin, 2))
				if got := w.replies(); got != ok2 {
					t.Errorf("the other request: %s", got)
				}
				close(release)
				if got := w.replies(); got != ok1 {
					t.Errorf("replies = %s", got)
				}
				if n != 1000 || !tt.want(got) {
					t.Errorf("the handler read %d bytes, %v, want 1000 and the reason", n, got)
				}
			})
		})
	}
}

// A body that waits in a file comes out whole.
func TestServerSpills(t *testing.T) {
	var release chan struct{} // of the bubble
	var sum []byte
	s := &Server{MaxBodyAhead: 10, SpillDir: t.TempDir(), Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, r *cgi.Request) {
		if r.Body != nil {
			<-release
			sum, _ = io.ReadAll(r.Body)
		}
		io.WriteString(w, "hello")
	})}
	inBubble(t, s, func(t *testing.T, dial func() *web) {
		release = make(chan struct{})
		w := dial()
		s.limit.bodies.MaxMemory = 1 // and not 16 MiB
		var want strings.Builder
		for i := range 3000 {
			want.WriteString(strconv.Itoa(i))
		}
		w.send(recBegin(2, RoleResponder, true) + recPost(1, true, want.String()) + recParams(2) + recEnd(TypeStdin, 2))
		if got := w.replies(); got != ok2 {
			t.Errorf("the other request: %s", got)
		}
		if s.limit.bodies.Files() == 0 {
			t.Error("nothing is in a file")
		}
		close(release)
		if got := w.replies(); got != ok1 || string(sum) != want.String() {
			t.Errorf("replies = %s after %d bytes of a body, want %d", got, len(sum), want.Len())
		}
		if n := s.limit.bodies.Files(); n != 0 {
			t.Errorf("%d bytes are in files at the end", n)
		}
	})
}

// What comes for requests that are over is thrown away, but not for ever.
func TestServerThrowsAwayOnlySoMuch(t *testing.T) {
	inBubble(t, &Server{Handler: cgi.HandlerFunc(sayHello)}, func(t *testing.T, dial func() *web) {
		w := dial()
		piece := []byte(strings.Repeat(recStream(TypeStdin, 7, strings.Repeat("x", 60_000)), 20))
		send := func() (sent int, err error) {
			for ; sent < 2*discardBytes && err == nil; sent += 20 * 60_000 {
				_, err = w.Write(piece)
			}
			return sent, err
		}
		for sent := 0; sent < discardBytes/2; sent += 20 * 60_000 {
			w.Write(piece)
		}
		w.send(recGet(1, true)) // the count begins anew
		if got := w.replies(); got != ok1 {
			t.Errorf("replies = %s", got)
		}
		if sent, err := send(); err == nil || sent < discardBytes-len(piece) || sent > discardBytes+2*len(piece) {
			t.Errorf("%d bytes were taken, want about %d", sent, discardBytes)
		}
	})
}

// served is the environment variable that makes TestServeInherited the child.
const servedEnv = "FASTCGI_TEST_SERVE_INHERITED"

// Serve without a listener takes the sockets that the process was started with:
// those of LISTEN_FDS, or descriptor 0.
func TestServeInherited(t *testing.T) {
	if os.Getenv(servedEnv) != "" {
		os.Setenv("LISTEN_PID", strings.ReplaceAll(os.Getenv("LISTEN_PID"), "SELF", strconv.Itoa(os.Getpid())))
		s := &Server{MaxRequests: 2, Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
			fmt.Fprintf(w, "%s|%s", os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS"))
		})}
		fmt.Println("Serve =", s.Serve(nil))
		return
	}
	listen := func(t *testing.T) (*os.File, string) {
		path := filepath.Join(socketDir(t), "a.sock")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { l.Close() })
		f, err := l.(*net.UnixListener).File()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f, path
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	a, pathA := listen(t)
	b, pathB := listen(t)
	tests := []struct {
		name     string
		stdin    *os.File
		extra    []*os.File
		env      []string
		ask      []string // paths
		says     string   // the answers
		returned string   // by Serve
	}{
		{"descriptor 0", a, nil, nil, []string{pathA, pathA}, "|", ErrRetired.Error()},
		{"systemd's", null, []*os.File{a, b}, []string{"LISTEN_PID=SELF", "LISTEN_FDS=2"}, []string{pathB, pathA}, "|", ErrRetired.Error()},
		{"another's", a, []*os.File{b}, []string{"LISTEN_PID=1", "LISTEN_FDS=1"}, []string{pathA, pathA}, "1|1", ErrRetired.Error()},
		{"nothing", null, nil, nil, nil, "", "fastcgi: listen: not a listening socket: descriptor 0"},
		{"one that does not listen", a, []*os.File{b, null}, []string{"LISTEN_PID=SELF", "LISTEN_FDS=2"}, nil, "", "fastcgi: listen: LISTEN_FDS: not a listening socket: descriptor 4"},
		{"no number", a, nil, []string{"LISTEN_PID=SELF", "LISTEN_FDS=x"}, nil, "", "fastcgi: listen: LISTEN_FDS is not a number of descriptors: \"x\""},
		{"negative", a, nil, []string{"LISTEN_PID=SELF", "LISTEN_FDS=-1"}, nil, "", "fastcgi: listen: LISTEN_FDS is not a number of descriptors: \"-1\""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			child := exec.Command(os.Args[0], "-test.run=^TestServeInherited$")
			// Without GORACE a child with the race detector takes a second to exit.
			child.Env = append(append(os.Environ(), servedEnv+"=1", "GORACE=atexit_sleep_ms=0"), tt.env...)
			child.Stdin, child.ExtraFiles = tt.stdin, tt.extra
			var out bytes.Buffer
			child.Stdout, child.Stderr = &out, &out
			if err := child.Start(); err != nil {
				t.Fatal(err)
			}
			stop := time.AfterFunc(20*time.Second, func() { child.Process.Kill() })
			for _, path := range tt.ask {
				nc, err := net.Dial("unix", path)
				if err != nil {
					t.Fatal(err)
				}
				nc.SetDeadline(time.Now().Add(20 * time.Second))
				io.WriteString(nc, recGet(1, false))
				b, err := io.ReadAll(nc)
				nc.Close()
				if got, derr := describe(b); got != answer1(head+tt.says) || err != nil || derr != nil {
					t.Errorf("replies = %s, %v, %v", got, err, derr)
				}
			}
			child.Wait()
			stop.Stop()
			if !strings.Contains(out.String(), "Serve = "+tt.returned) {
				t.Errorf("the child says %q, want Serve = %s", out.String(), tt.returned)
			}
		})
	}
}

// The file of a unix socket belongs to whom the configuration says, and there
// is none if that fails.
func TestListenOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may give files to others")
	}
	for _, tt := range []struct{ uid, gid, wantUID, wantGID int }{{0, 0, 0, 0}, {1234, 0, 1234, 0}, {0, 4321, 0, 4321}, {1234, 4321, 1234, 4321}} {
		path := filepath.Join(socketDir(t), "a.sock")
		l, err := ListenConfig{UID: tt.uid, GID: tt.gid}.Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(path)
		if err != nil {
			t.Fatal(err)
		}
		st := info.Sys().(*syscall.Stat_t)
		if int(st.Uid) != tt.wantUID || int(st.Gid) != tt.wantGID || info.Mode().Perm() != DefaultSocketMode {
			t.Errorf("%+v: owner %d:%d, mode %v", tt, st.Uid, st.Gid, info.Mode())
		}
		l.Close()
	}
}

// A backlog that is asked for is as long as that: one more is refused.
func TestListenBacklog(t *testing.T) {
	for _, backlog := range []int{1, 5} {
		path := filepath.Join(socketDir(t), "a.sock")
		l, err := ListenConfig{Backlog: backlog}.Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		taken := 0
		var conns []net.Conn
		for range 50 {
			c, err := net.Dial("unix", path)
			if err != nil {
				break
			}
			conns = append(conns, c)
			taken++
		}
		if taken != backlog+1 { // how the kernel counts
			t.Errorf("%d connections wait, want %d", taken, backlog+1)
		}
		for _, c := range conns {
			c.Close()
		}
		l.Close()
	}
}

// Requests of one connection that is not driven by hand: the counts are right
// after thousands of them, from several sides at a time.
func TestServerCounts(t *testing.T) {
	var running, most atomic.Int32
	s := &Server{MaxActive: 3, Handler: cgi.HandlerFunc(func(_ context.Context, w cgi.ResponseWriter, _ *cgi.Request) {
		n := running.Add(1)
		defer running.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		io.WriteString(w, "hello")
	})}
	l := newPipeListener()
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }() // until Close
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			ours, theirs := net.Pipe()
			ours.SetDeadline(time.Now().Add(20 * time.Second))
			l.conns <- theirs
			b := make([]byte, 1<<12)
			for range 300 {
				io.WriteString(ours, recGet(1, true))
				n, err := ours.Read(b)
				if got, derr := describe(b[:n]); got != ok1 && got != "END(1 OVERLOADED)" || err != nil || derr != nil {
					t.Errorf("replies = %s, %v, %v", got, err, derr)
					break
				}
			}
			ours.Close()
		})
	}
	wg.Wait()
	s.Close()
	<-served
	if n := s.active.Load(); n != 0 || most.Load() > 3 {
		t.Errorf("%d requests counted at the end, %d ran at most, want 0 and 3", n, most.Load())
	}
}
