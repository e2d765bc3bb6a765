package fastcgi_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/sluice-gateway/sluice/internal/testpeer"
)

// startNginx starts an nginx that neither buffers answers nor closes
// connections.
func startNginx(t *testing.T, application net.Addr) (network, address string) {
	nginx := testpeer.Need(t, "nginx", "nginx-light")
	dir := shortDir(t)
	address = filepath.Join(dir, "f.sock")
	server := application.String()
	if application.Network() == "unix" {
		server = "unix:" + server
	}
	var temp, params strings.Builder
	for _, kind := range []string{"client_body", "fastcgi", "proxy", "scgi", "uwsgi"} {
		fmt.Fprintf(&temp, "%s_temp_path %s/%s;\n", kind, dir, kind)
	}
	for _, p := range []string{"REQUEST_METHOD $request_method", "REQUEST_URI $request_uri", "QUERY_STRING $query_string",
		"CONTENT_TYPE $content_type", "CONTENT_LENGTH $content_length", "SCRIPT_NAME $fastcgi_script_name",
		"SERVER_PROTOCOL $server_protocol", "SERVER_SOFTWARE nginx/$nginx_version", "HTTP_HOST $http_host"} {
		fmt.Fprintf(&params, "fastcgi_param %s;\n", p)
	}
	file := filepath.Join(dir, "nginx.conf")
	writeFile(t, file, fmt.Sprintf(`daemon off;
master_process off;
pid %[1]s/pid;
error_log stderr notice;
events { worker_connections 64; }
http {
access_log off;
%[2]s
upstream app { server %[3]s; keepalive 8; }
server {
listen unix:%[4]s;
client_max_body_size 0;
location / {
fastcgi_pass app;
fastcgi_keep_conn on;
fastcgi_buffering off;
%[5]s
}}}
`, dir, &temp, server, address, &params))
	startProgram(t, exec.Command(nginx, "-p", dir, "-e", "stderr", "-c", file)).awaitListening(t, "unix", address)
	return "unix", address
}

// startLighttpd starts a lighttpd that passes on what it gets at once.
func startLighttpd(t *testing.T, application net.Addr) (network, address string) {
	lighttpd := testpeer.Need(t, "lighttpd", "lighttpd")
	dir := shortDir(t)
	address = filepath.Join(dir, "f.sock")
	server := fmt.Sprintf(`"socket" => "%s"`, application)
	if tcp, ok := application.(*net.TCPAddr); ok {
		server = fmt.Sprintf(`"host" => "%s", "port" => %d`, tcp.IP, tcp.Port)
	}
	file := filepath.Join(dir, "lighttpd.conf")
	writeFile(t, file, fmt.Sprintf(`server.document-root = "%[1]s"
server.bind = "%[2]s"
server.upload-dirs = ("%[1]s")
server.stream-response-body = 1
server.modules = ("mod_fastcgi")
fastcgi.server = ("/" => ((%[3]s, "check-local" => "disable")))
`, dir, address, server))
	startProgram(t, exec.Command(lighttpd, "-D", "-f", file)).awaitListening(t, "unix", address)
	return "unix", address
}

// startApache starts an Apache that passes on what it gets at once.
func startApache(t *testing.T, application net.Addr) (network, address string) {
	return startApacheWith(t, application, "")
}

func startApacheReuse(t *testing.T, application net.Addr) (network, address string) {
	return startApacheWith(t, application, "enablereuse=on")
}

// startApacheWith has Apache listen on TCP: it knows no other. Started by root
// it wants to be another user; the pool of its connections belongs to a process,
// so there is one.
func startApacheWith(t *testing.T, application net.Addr, options string) (network, address string) {
	apache := testpeer.Need(t, "apache2", "apache2-bin")
	module := testpeer.NeedFile(t, "/usr/lib/apache2/modules/mod_proxy_fcgi.so", "apache2-bin")
	dir := shortDir(t)
	address = freeAddress(t)
	server := "fcgi://" + application.String() + "/"
	if application.Network() == "unix" {
		server = "unix:" + application.String() + "|fcgi://app/"
	}
	user := ""
	if os.Geteuid() == 0 {
		user = "User www-data\nGroup www-data\n"
	}
	file := filepath.Join(dir, "apache.conf")
	writeFile(t, file, fmt.Sprintf(`ServerRoot %[1]s
DefaultRuntimeDir %[1]s
PidFile %[1]s/pid
ErrorLog /dev/stderr
ServerName example.org
Listen %[2]s
%[3]sLoadModule mpm_event_module %[4]s/mod_mpm_event.so
LoadModule authz_core_module %[4]s/mod_authz_core.so
LoadModule proxy_module %[4]s/mod_proxy.so
LoadModule proxy_fcgi_module %[4]s/mod_proxy_fcgi.so
StartServers 1
ServerLimit 1
ThreadsPerChild 16
MaxRequestWorkers 16
ProxyPass / %[5]s flushpackets=on %[6]s
`, dir, address, user, filepath.Dir(module), server, options))
	startProgram(t, exec.Command(apache, "-D", "FOREGROUND", "-f", file)).awaitListening(t, "tcp", address)
	return "tcp", address
}

// freeAddress returns an address of TCP that only a program that sets
// SO_REUSEADDR can listen on, until the end of the test: servers do.
func freeAddress(t *testing.T) string {
	t.Helper()
	syscall.ForkLock.RLock() // no fork between the next two calls
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	syscall.CloseOnExec(fd)
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	sa, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("127.0.0.1:%d", sa.(*syscall.SockaddrInet4).Port)
}

func startHAProxy(t *testing.T, application net.Addr) (network, address string) {
	return startHAProxyWith(t, application, "")
}

// startHAProxyMultiplexing starts a HAProxy that asks the application whether
// it takes several requests on one connection, and does so if it does.
func startHAProxyMultiplexing(t *testing.T, application net.Addr) (network, address string) {
	return startHAProxyWith(t, application, "option mpxs-conns\noption get-values\n")
}

// startHAProxyWith starts a HAProxy with one thread, for each has connections
// of its own.
func startHAProxyWith(t *testing.T, application net.Addr, options string) (network, address string) {
	haproxy := testpeer.Need(t, "haproxy", "haproxy")
	dir := shortDir(t)
	address = filepath.Join(dir, "f.sock")
	file := filepath.Join(dir, "haproxy.cfg")
	writeFile(t, file, fmt.Sprintf(`global
nbthread 1
defaults
mode http
http-reuse always
retries 0
timeout connect 20s
timeout client 20s
timeout server 20s
fcgi-app app
docroot %[1]s
%[2]sfrontend front
bind unix@%[3]s
default_backend back
backend back
use-fcgi-app app
server s %[4]s proto fcgi
`, dir, options, address, application))
	startProgram(t, exec.Command(haproxy, "-db", "-f", file)).awaitListening(t, "unix", address)
	return "unix", address
}

// startH2O starts an H2O. Started by root it becomes nobody.
func startH2O(t *testing.T, application net.Addr) (network, address string) {
	h2o := testpeer.Need(t, "h2o", "h2o")
	dir := shortDir(t)
	address = filepath.Join(dir, "f.sock")
	server := fmt.Sprintf("{type: unix, port: %s}", application)
	if tcp, ok := application.(*net.TCPAddr); ok {
		server = fmt.Sprintf("{host: %s, port: %d}", tcp.IP, tcp.Port)
	}
	file := filepath.Join(dir, "h2o.yaml")
	writeFile(t, file, fmt.Sprintf(`num-threads: 1
listen: {type: unix, port: %s}
hosts:
  default:
    paths:
      /:
        fastcgi.connect: %s
`, address, server))
	startProgram(t, exec.Command(h2o, "-m", "worker", "-c", file)).awaitListening(t, "unix", address)
	return "unix", address
}

// startCaddy starts a Caddy that passes on what it gets at once.
func startCaddy(t *testing.T, application net.Addr) (network, address string) {
	caddy := testpeer.Need(t, "caddy", "caddy")
	dir := shortDir(t)
	address = filepath.Join(dir, "f.sock")
	server := application.String()
	if application.Network() == "unix" {
		server = "unix/" + server
	}
	file := filepath.Join(dir, "Caddyfile")
	writeFile(t, file, fmt.Sprintf(`{
	admin off
	auto_https off
	storage file_system %[1]s
}
http:// {
	bind unix/%[2]s
	reverse_proxy %[3]s {
		flush_interval -1
		transport fastcgi {
			root %[1]s
		}
	}
}
`, dir, address, server))
	cmd := exec.Command(caddy, "run", "--config", file, "--adapter", "caddyfile")
	cmd.Env = []string{"HOME=" + dir}
	startProgram(t, cmd).awaitListening(t, "unix", address)
	return "unix", address
}
