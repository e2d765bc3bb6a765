package fcgi

import (
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/sluice-gateway/sluice/cgi/cgihttp"
	"github.com/sluice-gateway/sluice/fastcgi"
)

// Serve accepts FastCGI connections on l and answers the requests on them with
// handler. It returns when l fails or has been closed, with the error of
// l.Accept, never nil; requests under way go on, and l stays as it is. Want of
// descriptors or memory does not end it. With fastcgi.DefaultMaxConns
// connections open, it looks at l again when one of them has ended.
//
// If l is nil, the listening socket is the standard input: that is how
// spawn-fcgi, lighttpd and sluice start an application. If handler is nil, it
// is [http.DefaultServeMux].
//
// What goes wrong, and panics, is told to slog.Default.
func Serve(l net.Listener, handler http.Handler) error {
	if l == nil {
		var err error
		if l, err = fastcgi.Listen("fd:" + strconv.Itoa(int(os.Stdin.Fd()))); err != nil {
			return err
		}
		defer l.Close()
	}
	if handler == nil {
		handler = http.DefaultServeMux
	}
	log := slog.Default()
	s := fastcgi.Server{
		Handler: &cgihttp.Application{Handler: likeStandard{handler}, Log: log},
		Log:     log,
	}
	a := &acceptor{Listener: l}
	if err := s.Serve(a); a.err == nil {
		return err
	}
	return a.err
}

// An acceptor is the listener of a caller who gets back what was handed over:
// the error of Accept without a word added, for programs that compare it, and
// a listener that is still open, for those that set a deadline and come again.
type acceptor struct {
	net.Listener
	err error // of the last Accept
}

// Accept implements net.Listener.
func (a *acceptor) Accept() (c net.Conn, err error) {
	c, a.err = a.Listener.Accept()
	return c, a.err
}

// Close implements net.Listener. Whoever made the listener closes it.
func (a *acceptor) Close() error { return nil }
