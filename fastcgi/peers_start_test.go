package fastcgi_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

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

func startRuby(t *testing.T) (network, address string) {
	testpeer.NeedFile(t, "/usr/lib/ruby/vendor_ruby/fcgi.rb", "ruby-fcgi")
	return startOnDescriptor0(t, 2, testpeer.Need(t, "ruby", "ruby"), "testdata/peers/echo.rb")
}

func startPerl(t *testing.T) (network, address string) {
	return startOnDescriptor0(t, 2, testpeer.NeedPerl(t, "FCGI", "libfcgi-perl"), "testdata/peers/echo.pl")
}

// startUWSGI starts a uWSGI that speaks FastCGI instead of its own protocol.
// Without buffer-size it refuses params of more than 4 KiB; without
// socket-timeout it cuts an answer that it cannot write for 4 seconds, and ends
// it as if that was all.
func startUWSGI(t *testing.T) (network, address string) {
	address = filepath.Join(shortDir(t), "a.sock")
	uwsgi := exec.Command(testpeer.Need(t, "uwsgi_python3", "uwsgi-plugin-python3"), "--die-on-term", "--master", "--processes", "2",
		"--buffer-size", "65535", "--socket-timeout", "60", "--fastcgi-socket", address, "--wsgi-file", "testdata/peers/echo.py")
	startProgram(t, uwsgi).awaitListening(t, "unix", address)
	return "unix", address
}

// startFcgiwrap starts fcgiwraps that run echo.pl as a CGI program. With -f
// they pass on what that writes to its standard error.
func startFcgiwrap(t *testing.T) (network, address string) {
	testpeer.NeedPerl(t, "FCGI", "libfcgi-perl")
	return startOnDescriptor0(t, 2, testpeer.Need(t, "fcgiwrap", "fcgiwrap"), "-f")
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
