// Package cgi holds a CGI/1.1 request and response as values (RFC 3875).
//
// It is the waist of Sluice: every front end turns what it received into a
// [Request], every protocol carries a Request to an application and brings a
// [Response] back, and one interface, [Handler], stands at both ends. What RFC
// 3875 says about names and values is written here and nowhere else:
// [Request.Params] lists the meta-variables of a request in order,
// [FromParams] reads them back, and [HeadParser] reads the head of a response.
//
// [Reply] and [Receiver] are what the servers of the protocols are made of, and
// [Serve] is an application as a CGI program.
//
// The package knows no sockets and does not import net/http.
package cgi
