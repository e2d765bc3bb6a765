package scgi

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/cgi"
	"github.com/sluice-gateway/sluice/internal/testlog"
)

func TestListenModes(t *testing.T) {
	for _, mode := range []fs.FileMode{0, 0o600, 0o666} {
		dir, err := os.MkdirTemp("", "s") // short enough for a unix socket
		if err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		path := filepath.Join(dir, "a.sock")
		l, err := ListenConfig{Mode: mode}.Listen(path)
		if err != nil {
			t.Fatal(err)
		}
		want := mode
		if mode == 0 {
			want = DefaultSocketMode
		}
		if info, err := os.Lstat(path); err != nil || info.Mode() != fs.ModeSocket|want {
			t.Errorf("file %v, %v, want mode %v", info.Mode(), err, want)
		}
		l.Close()
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file after Close: %v, want it removed", err)
		}
	}
}

func TestListenRefuses(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	fd := strconv.Itoa(int(null.Fd()))
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for address, want := range map[string]string{
		"nowhere":  `scgi: listen: address "nowhere": `,
		"fd:" + fd: "scgi: listen on fd:" + fd + ": not a listening socket: descriptor " + fd + ": start this program with sluice or spawn-fcgi",
		file:       "scgi: listen on unix:" + file + ": the file is there, and is not a socket",
	} {
		if l, err := Listen(address); err == nil {
			l.Close()
			t.Errorf("Listen(%q) gives %v, want an error", address, l.Addr())
		} else if !strings.HasPrefix(err.Error(), want) {
			t.Errorf("Listen(%q): %v, want %v", address, err, want)
		}
	}
}

// Without a socket there is nothing to inherit.
func TestServeInherited(t *testing.T) {
	if err := Serve(nil, cgi.HandlerFunc(sayHello)); err == nil || !strings.HasPrefix(err.Error(), "scgi: listen: not a listening socket: descriptor 0") {
		t.Errorf("Serve(nil) = %v", err)
	}
}

func TestServerWebServers(t *testing.T) {
	for network, want := range map[string]bool{"192.0.2.0/24": false, "127.0.0.0/8": true} {
		var log testlog.Buffer
		l := listenOn(t, "tcp")
		s := &Server{Handler: cgi.HandlerFunc(sayHello), Log: log.Logger(), WebServers: []netip.Prefix{netip.MustParsePrefix(network)}}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }() // until Close
		nc := dialTo(t, l.Addr())
		io.WriteString(nc, get)
		if answer, _ := io.ReadAll(nc); (string(answer) == ok200+"hello") != want {
			t.Errorf("answer to 127.0.0.1 = %q with WebServers %s", answer, network)
		}
		s.Shutdown(context.Background())
		if err := <-served; err != ErrClosed {
			t.Errorf("Serve = %v", err)
		}
		if got := log.With("connection refused", nc.LocalAddr().(*net.TCPAddr).IP.String()); (len(got) == 0) != want {
			t.Errorf("logged %q", log.String())
		}
	}
}
