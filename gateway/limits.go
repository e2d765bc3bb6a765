package gateway

import "time"

// Bounds of a Handler and a Spool whose fields are zero.
const (
	// DefaultMaxBody bounds a request body, in bytes. It lets photographs
	// through, and is what PHP's post_max_size is raised to by most guides.
	DefaultMaxBody = 32 << 20

	// DefaultBodyTimeout bounds the wait for a piece of a request body, so
	// that a client which sends no more does not hold a worker.
	DefaultBodyTimeout = 60 * time.Second

	// DefaultSpoolMemory is how much of one body of unknown length is kept
	// in memory, in bytes, before it goes to a file.
	DefaultSpoolMemory = 64 << 10

	// DefaultSpoolQuota bounds all spool files together, in bytes.
	DefaultSpoolQuota = 1 << 30
)

const (
	// maxAttempts is the number of workers that are asked for one request. A
	// request that ends its worker then ends two and not all of them.
	maxAttempts = 2

	// maxRefusals is the number of workers beside them that may refuse a request,
	// because their processes have just died: it has ended none of those.
	maxRefusals = 3

	// maxKilled is the number of workers beside them whose processes somebody has
	// killed while they had the request: it is not to blame, unless the kernel
	// did because it takes too much memory.
	maxKilled = 2

	// smallBody is the size, in bytes, up to which a request body is received
	// before a worker is asked for.
	smallBody = DefaultSpoolMemory

	// takenUnseen is how much of a request body, in bytes, a worker may seem to
	// have taken that has not read anything: the sockets' buffers have room.
	// Linux gives one of TCP up to 4 MiB, and a unix socket 208 KiB.
	takenUnseen     = 4 << 20
	takenUnseenUnix = 256 << 10

	// bigPiece is the size, in bytes, from which a piece of an answer costs so
	// much that it does not matter to say at its end whose turn it is.
	bigPiece = 4 << 10

	// maxRedirects bounds local redirects (RFC 3875 §6.2.2), which an
	// application can make lead in a circle.
	maxRedirects = 5

	// retryAfter is what clients are told to wait when it is not known when
	// there will be a worker, in seconds: about as long as a person does before
	// trying again.
	retryAfter = "5"

	// shownPath is how much of a path a log line repeats, in bytes.
	shownPath = 256
)

// orDefault reads a limit: zero means the default, negative no limit.
func orDefault[T int64 | time.Duration](v, def T) T {
	switch {
	case v == 0:
		return def
	case v < 0:
		return 1<<63 - 1
	}
	return v
}
