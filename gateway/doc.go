// Package gateway takes a request through routes, files, workers and response
// rules.
//
// A [Handler] is one immutable configuration of it: which paths go to which
// [Backend], and the files for everything else. It knows neither how bytes
// look on the wire (a [Transport] does) nor where workers come from (the
// backend's pool does).
//
// For each request it decides, in this order and from one normalised path:
//
//  1. the path (cleanPath): refused or made unambiguous, once and for all;
//  2. the route (Handler.find): a backend with its script, or a file;
//  3. the body: streamed if its length is known, spooled if not;
//  4. the worker: up to two attempts, a second only where nothing can happen twice;
//  5. the response: checked, and passed on as it comes.
package gateway
