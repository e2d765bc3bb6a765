// Package fastcgi speaks FastCGI 1.0, both ends of it.
//
// [Client] is the web server's end: it carries a [cgi.Request] to an
// application and brings the [cgi.Response] back, over connections that it
// keeps. [Server] is the application's end. Both are made of the same codec,
// which works on slices and does no I/O: [Decoder], AppendHeader and its
// companions, [AppendParams], [ParsePairs].
//
// The package does not import net/http; package cgihttp is the bridge.
package fastcgi
