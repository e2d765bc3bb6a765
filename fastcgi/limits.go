package fastcgi

import "time"

// maxPiece is the content of a record of a stream that we write: the largest
// multiple of 8 below MaxContent, so that no padding is needed to keep the
// records aligned (FastCGI 1.0 §3.3).
const maxPiece = 65528

// FirstRequestID is the id of the first request of a [Client] on a connection.
const FirstRequestID = 1

// Bounds and times of a Client whose fields are zero.
const (
	DefaultDialTimeout      = 5 * time.Second  // includes waiting for room in a full backlog
	DefaultFirstByteTimeout = 60 * time.Second // as nginx's and Apache's
	DefaultReadTimeout      = 60 * time.Second
	DefaultWriteTimeout     = 30 * time.Second
	DefaultIdleTimeout      = 5 * time.Second // twice that is below the idle limits of common applications
	DefaultMaxIdle          = 64              // connections kept for one address
	DefaultMaxParams        = 256 << 10       // bytes; 4 times what nginx and lighttpd can send
	DefaultWindow           = 128 << 10       // bytes
	DefaultMaxSpillMemory   = 64 << 20        // bytes; that of files is DefaultMaxSpill, as for a Server
)

const (
	// smallRead is the read buffer of a connection, bigRead that of one whose
	// answer is long. 64 KiB is where bigger reads stop to pay; an idle
	// connection should cost little.
	smallRead = 4 << 10
	bigRead   = 64 << 10

	// sendBuffer is how much of a request body is read, and sent, at once.
	sendBuffer = 32 << 10

	// keptBuffer is the largest buffer that is kept for later requests. The
	// params of most requests take 1 KiB.
	keptBuffer = 64 << 10

	// surelyTaken is how much a socket with nothing in it takes without
	// blocking, so that no deadline needs to be set: Linux gives a unix
	// socket 208 KiB and a TCP socket 16 KiB at the least.
	surelyTaken = 8 << 10

	// drainBytes and drainTime bound what is read of an answer that nobody
	// wants any more (the body after a HEAD) to be able to use the connection
	// again.
	drainBytes = 64 << 10
	drainTime  = 250 * time.Millisecond

	// maxInterim bounds the interim responses (1xx) that wait for a caller
	// which is busy with the one before. Applications send one or two.
	maxInterim = 64

	// stallTime is how long a request on a new connection may wait for its
	// first byte before it is taken to be stuck behind connections that we
	// keep: an application with a fixed number of processes serves only
	// as many connections (see host.put and host.makeRoom).
	stallTime = 100 * time.Millisecond

	// abortTime is how long an application may take to end an answer on a
	// shared connection that it was asked to end. After that the connection
	// gets no more requests.
	abortTime = 5 * time.Second
)
