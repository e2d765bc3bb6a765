package scgi

import "time"

// DefaultMaxParams bounds the headers of a request at both ends, in bytes. It
// is 4 times what nginx and lighttpd can send.
const DefaultMaxParams = 256 << 10

// Times of a Client whose fields are zero.
const (
	DefaultDialTimeout      = 5 * time.Second  // includes waiting for room in a full backlog
	DefaultFirstByteTimeout = 60 * time.Second // as nginx's and Apache's
	DefaultReadTimeout      = 60 * time.Second
	DefaultWriteTimeout     = 30 * time.Second
)

// Bounds and times of a Server whose fields are zero.
const (
	// DefaultMaxConns bounds the connections, each of which is a request. One
	// costs a goroutine and about 10 KiB.
	DefaultMaxConns = 2048

	// DefaultMaxPairs bounds the number of params of a request. Web servers
	// send about 30, and one for each header field.
	DefaultMaxPairs = 2000

	// DefaultParamsTimeout bounds the time from the connection to the end of
	// its headers, which web servers send in one piece.
	DefaultParamsTimeout = 30 * time.Second

	// DefaultServerWriteTimeout bounds the time for one write. A gateway that
	// does not buffer stops reading while its client does, and clients may
	// pause; it is for the gateway to lose patience first.
	DefaultServerWriteTimeout = 5 * time.Minute
)

const (
	// readSize is the buffer for the headers of a request and the head of an
	// answer: most fit.
	readSize = 4 << 10

	// copySize is the buffer for a body that is passed on. 64 KiB is where
	// bigger reads stop to pay.
	copySize = 64 << 10

	// sendSize is how much of a request body is read, and sent, at once.
	sendSize = 32 << 10

	// keptBuffer is the largest buffer that is kept for later requests, in
	// bytes. The params of most requests take 1 KiB.
	keptBuffer = 64 << 10

	// surelyTaken is how much a new socket takes without blocking, so that no
	// deadline needs to be set: Linux gives a unix socket 208 KiB and a TCP
	// socket 16 KiB at the least.
	surelyTaken = 8 << 10

	// endWait is how long a Client waits for the connection to be closed
	// once as many bytes have come as were announced. Some applications leave
	// it open in a process that they have started.
	endWait = 250 * time.Millisecond

	// watchDelay is how long a handler may run before the connection is
	// watched for it. Most have answered by then.
	watchDelay = time.Millisecond

	// discardBytes and discardTime bound what is read of a request that nobody
	// wants any more. Web servers that send all of a body before they read
	// the answer lose the answer if the connection is closed on them
	// (golang/go#4183).
	discardBytes = 100 << 20
	discardTime  = 30 * time.Second

	// shutdownDiscard takes the place of discardTime once the server shuts
	// down; for as long a connection may then stay silent.
	shutdownDiscard = time.Second
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

// orDefault reads a time: zero means the default.
func orDefault(v, def time.Duration) time.Duration {
	if v == 0 {
		return def
	}
	return v
}
