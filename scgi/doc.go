// Package scgi speaks SCGI, both ends of it
// (https://python.ca/scgi/protocol.txt).
//
// [Client] is the web server's end: it carries a [cgi.Request] to an
// application and brings the [cgi.Response] back. [Server] is the application's
// end. Both are made of the same codec, which works on slices and does no I/O:
// [AppendHeaders] and [Decoder].
//
// A request is a netstring of params and then the body, whose length must be
// known. The answer is a CGI response (RFC 3875 §6) that ends when its
// connection is closed: each request has a connection of its own. So there is
// no mark that tells a complete answer from one that was cut off, other than
// its own Content-Length, and a connection that is reset.
//
// The package does not import net/http; package cgihttp is the bridge.
package scgi
