// Package cgihttp is the bridge between net/http and package cgi.
//
// [FrontEnd] is an http.Handler that turns what net/http received into a
// [cgi.Request] and hands it to a [cgi.Handler]: the gateway's front door.
// [Application] and its short form [Handler] are the reverse: an http.Handler
// as an application behind FastCGI, SCGI or CGI. [Transport] asks such an
// application, written in whatever language, on behalf of an http.Client.
//
// What CGI cannot carry is lost on the way: trailers, both directions;
// a switch of protocols; and Connection, which belongs to the web server.
package cgihttp
