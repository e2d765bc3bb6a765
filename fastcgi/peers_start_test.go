package fastcgi_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sluice-gateway/sluice/cgi/cgihttp"
	"github.com/sluice-gateway/sluice/fastcgi"
	"github.com/sluice-gateway/sluice/internal/testpeer"
)

// startFPM starts php-fpm as distributions do: the pool is another user's
// where we are root.
func startFPM(t *testing.T) (network, address string) {
	fpm := testpeer.NeedPHP(t, "php-fpm*", "php-fpm")
	dir := shortDir(t)
	address = filepath.Join(dir, "a.sock")
	conf := "[global]\ndaemonize = no\nerror_log = /proc/self/fd/2\n" +
		"[www]\nlisten = " + address + "\nlisten.mode = 0666\npm = static\npm.max_children = 4\n"
	if os.Geteuid() == 0 {
		conf += "user = www-data\ngroup = www-data\n"
	}
	file := filepath.Join(dir, "fpm.conf")
	writeFile(t, file, conf)
	p := startProgram(t, exec.Command(fpm, "-n", "-F", "-y", file))
	p.awaitListening(t, "unix", address)
	return "unix", address
}

func startPHPCGI(t *testing.T) (network, address string) {
	return startOnDescriptor0(t, 1, testpeer.NeedPHP(t, "php-cgi", "php-cgi"), "-n")
}

// startPHPCGIBound starts a php-cgi that makes its socket and its two
// processes itself.
func startPHPCGIBound(t *testing.T) (network, address string) {
	address = filepath.Join(shortDir(t), "a.sock")
	cmd := exec.Command(testpeer.NeedPHP(t, "php-cgi", "php-cgi"), "-n", "-b", address)
	cmd.Env = []string{"PHP_FCGI_CHILDREN=2"}
	startProgram(t, cmd).awaitListening(t, "unix", address)
	return "unix", address
}

func startC(t *testing.T) (network, address string) {
	testpeer.NeedFile(t, "/usr/include/fcgiapp.h", "libfcgi-dev")
	program := filepath.Join(t.TempDir(), "echo")
	gcc := exec.Command(testpeer.Need(t, "gcc", "gcc"), "-std=gnu99", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program, "testdata/peers/echo.c", "-lfcgi")
	if out, err := gcc.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", gcc, err, out)
	}
	return startOnDescriptor0(t, 2, program)
}

func startPerl(t *testing.T) (network, address string) {
	return startOnDescriptor0(t, 2, testpeer.NeedPerl(t, "FCGI", "libfcgi-perl"), "testdata/peers/echo.pl")
}

// startOnDescriptor0 starts processes that share a listening socket, their
// descriptor 0. Connections to it work at once; they wait in its backlog.
func startOnDescriptor0(t *testing.T, processes int, name string, args ...string) (network, address string) {
	t.Helper()
	address = filepath.Join(shortDir(t), "a.sock")
	l, err := net.Listen("unix", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() // so that a connection is refused when no process is left
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	stdin, err := l.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	for range processes {
		cmd := exec.Command(name, args...)
		cmd.Stdin = stdin
		cmd.Env = []string{"PHP_FCGI_CHILDREN=0"}
		startProgram(t, cmd)
	}
	return "unix", address
}

// startGo serves echo with our own server.
func startGo(t *testing.T) (network, address string) {
	address = filepath.Join(shortDir(t), "a.sock")
	l, err := fastcgi.Listen("unix:" + address)
	if err != nil {
		t.Fatal(err)
	}
	serve(t, l, http.HandlerFunc(echo))
	return "unix", address
}

// echo is the application of testdata/peers/echo.c as an http.Handler.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/plain")
	switch r.URL.Query().Get("do") {
	case "sum":
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		io.WriteString(w, sum(body))
	case "big":
		io.WriteString(w, mebibytes)
	case "missing":
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, "missing")
	case "moved":
		w.Header().Set("Location", "http://example.org/there")
		w.WriteHeader(http.StatusFound)
	case "note":
		fmt.Fprintln(cgihttp.Stderr(r), "a note to the log")
		io.WriteString(w, "noted")
	case "hello":
		io.WriteString(w, "hello")
	case "head":
		w.Header().Set("X-Large", strings.Repeat("x", 30_000))
		for i := 1; i < 100; i++ {
			w.Header().Set(fmt.Sprintf("X-%d", i), fmt.Sprint(i))
		}
		io.WriteString(w, "head")
	case "exit":
		io.WriteString(w, "begun\n")
		http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	case "slow":
		io.WriteString(w, "begun\n")
		http.NewResponseController(w).Flush()
		<-r.Context().Done()
	default:
		for name, value := range cgihttp.Params(r) {
			fmt.Fprintf(w, "%s=%s\n", name, value)
		}
	}
}
