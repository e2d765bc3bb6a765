// Package fcgi takes the place of net/http/fcgi: change the import path and
// nothing else. It has the same names, [Serve], [ProcessEnv],
// [ErrRequestAborted] and [ErrConnClosed], and does the same under them, but
// for what is listed here.
//
// # What is fixed
//
// Each line is a test that runs against both packages; the standard one is that
// of Go 1.26.
//
//	                                          net/http/fcgi                       fcgi
//	the web server gives a request up         the handler is not told             its context is done
//	… and its body has not been read          told when it reads, answered twice  told at once, answered once
//	the web server goes away                  the handler is not told             its context is done
//	a body is not read for 3 seconds          other requests beside it wait       they do not, behind up to 4 MiB
//	one of two requests ends the connection   the other one is lost               it is closed after both
//	an id begins again while it is in use     two answers with one id             the connection is closed
//	GET_VALUES                                always the same answer, in two      what was asked for
//	a management record of another type       no answer                           UNKNOWN_TYPE
//	8 MiB of params                           are kept                            431, after 256 KiB
//	600 requests begin and go no further      are kept, at 1 KiB and more each    OVERLOADED from the 513th on
//	the params do not come to an end          the connection stays for ever       it is closed after 30 seconds
//	the answer is not taken                   Write waits for ever                it fails after 5 minutes
//	the body is not sent, nor read            the connection stays for ever       it is closed after 30 seconds
//	STDIN before the end of the params        an empty request                    the connection is closed
//	Accept fails for want of descriptors      Serve returns                       it is tried again
//	WriteHeader(103)                          is the final status                 is sent before it, or not at all
//	the answer to HEAD                        has a body                          has none
//	an answer that is shorter than its length is passed off as complete           is broken off
//	http.ResponseController                   Flush                               Flush, deadlines, EnableFullDuplex
//	params that ProcessEnv leaves out         cannot be reached                   cgihttp.Params has them, in order
//	a line for the web server's log           cannot be written                   cgihttp.Stderr
//	a short answer                            takes 4 writes                      takes 1
//	a handler panics                          the process ends                    500, and a line in both logs
//	panic(http.ErrAbortHandler)               the process ends                    the answer is broken off
//	memory for a short answer                 70 KiB                              less than a fifth of that
//
// # What else is different
//
// A request has a RequestURI, as behind net/http. Its URL never names another
// host than Request.Host (golang/go#81686), and has the query and the encoding
// that some web servers leave out of REQUEST_URI (golang/go#54961). Header
// lacks what was for the web server alone: Connection and its kin, and Proxy
// (https://httpoxy.org); it has Content-Length. ContentLength is -1 if there is
// a body whose length is not known. A body ends where CONTENT_LENGTH says, and
// one that has been cut ends with io.ErrUnexpectedEOF. REQUEST_SCHEME counts
// beside HTTPS. A request that cannot be understood is answered with 400 rather
// than 500, and a missing or odd SERVER_PROTOCOL is no reason to refuse.
//
// A response follows the rules of net/http: fields that are set after
// WriteHeader come too late, a status below 100 panics, there is no body with
// 204, 304 and HEAD, no more of it than Content-Length says, and no type for a
// body that is empty or has a Content-Encoding. A short body gets its length.
// Date is left to the web server, and so is what speaks of its connection. The
// ResponseWriter is an http.Hijacker, whose Hijack returns an error.
//
// The context of a request is done when its handler has returned, and its body
// cannot be read after that. Texts of errors are other ones; the two that have
// names are those of package fastcgi.
//
// # What more there is
//
// cgihttp.Params and cgihttp.Stderr work in handlers that Serve calls. Serve has
// the limits and times of a fastcgi.Server whose fields are zero. For other
// ones, for a Shutdown that breaks no request, and for a log of one's own:
//
//	s := &fastcgi.Server{Handler: cgihttp.Handler(h), MaxConns: 100}
//	err := s.Serve(l)
//
// ProcessEnv works there too, and the errors are the same.
package fcgi
