package fastcgi

import "time"

// Bounds and times of a Server whose fields are zero. DefaultMaxParams bounds
// the params of a request at both ends.
const (
	// DefaultMaxConns bounds the connections. One that is idle costs a
	// goroutine and 4 KiB; a gateway keeps some dozens.
	DefaultMaxConns = 2048

	// DefaultMaxRequests bounds the requests that have begun and not ended,
	// over all connections. It is a guard against the end of memory: how many
	// an application should serve at once is for the gateway's pool to say.
	DefaultMaxRequests = 4096

	// DefaultMaxConnRequests bounds the same on one connection. BEGIN_REQUEST
	// costs its sender 16 bytes, so ids must not be had for nothing
	// (golang/go#81548).
	DefaultMaxConnRequests = 512

	// DefaultMaxPairs bounds the number of params of a request. Web servers
	// send about 30, and one for each header field.
	DefaultMaxPairs = 2000

	// DefaultMaxBodyAhead bounds, in bytes, how much of a request body is
	// taken before the handler reads it.
	DefaultMaxBodyAhead = 128 << 10

	// DefaultParamsTimeout bounds the time from BEGIN_REQUEST to the end of
	// PARAMS, which web servers send in one piece.
	DefaultParamsTimeout = 30 * time.Second

	// DefaultServerWriteTimeout bounds the time for one write. A gateway that
	// does not buffer stops reading while its client does, and clients may
	// pause; it is for the gateway to lose patience first.
	DefaultServerWriteTimeout = 5 * time.Minute
)

const (
	// replyBuffer is how much of a reply is gathered before it is sent. A
	// reply that fits leaves in one write.
	replyBuffer = 8 << 10

	// discardBytes and discardTime bound what is read of request bodies that
	// nobody wants any more. Web servers that send all of a body before they
	// read the answer lose the answer if the connection is closed on them
	// (golang/go#4183); the standard library reads 100 MiB, without a bound
	// in time.
	discardBytes = 100 << 20
	discardTime  = 30 * time.Second

	// shutdownDiscard takes the place of discardTime once the server shuts
	// down.
	shutdownDiscard = time.Second

	// breakGrace is how long the other requests on a connection that must be
	// closed to break a response may go on.
	breakGrace = 5 * time.Second

	// Pauses after a failed accept, when descriptors or memory are short.
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

// limit reads a bound: zero means the default, negative no limit.
func limit(v, def int) int {
	switch {
	case v == 0:
		return def
	case v < 0:
		return int(^uint(0) >> 1)
	}
	return v
}
