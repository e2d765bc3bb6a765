package fastcgi

import (
	"time"

	"github.com/sluice-gateway/sluice/internal/spill"
)

// Bounds and times of a Server whose fields are zero. DefaultMaxParams bounds
// the params of a request at both ends.
const (
	// DefaultMaxConns bounds the connections. One that is idle costs a
	// goroutine and 4 KiB; a gateway keeps some dozens.
	DefaultMaxConns = 2048

	// DefaultMaxActive bounds the requests that have begun and not ended,
	// over all connections. It is a guard against the end of memory: how many
	// an application should serve at once is for the gateway's pool to say.
	DefaultMaxActive = 4096

	// DefaultMaxConnActive bounds the same on one connection. BEGIN_REQUEST
	// costs its sender 16 bytes, so ids must not be had for nothing
	// (golang/go#81548).
	DefaultMaxConnActive = 512

	// DefaultMaxPairs bounds the number of params of a request. Web servers
	// send about 30, and one for each header field.
	DefaultMaxPairs = 2000

	// DefaultMaxBodyAhead bounds, in bytes, how much of a request body is
	// taken into memory before the handler reads it.
	DefaultMaxBodyAhead = 128 << 10

	// DefaultMaxSpill bounds, in bytes, the files of all request bodies that
	// handlers do not read, or at a Client, of all answers that are not read
	// while other requests use the connection.
	DefaultMaxSpill = 1 << 30

	// DefaultParamsTimeout bounds the time from BEGIN_REQUEST until the handler
	// can run. Web servers send all of that in one piece.
	DefaultParamsTimeout = 30 * time.Second

	// DefaultBodyTimeout bounds the time for the next piece of a request body.
	// As with answers, it is for the gateway to lose patience first.
	DefaultBodyTimeout = 5 * time.Minute

	// DefaultServerWriteTimeout bounds the time for one write. A gateway that
	// does not buffer stops reading while its client does, and clients may
	// pause; it is for the gateway to lose patience first.
	DefaultServerWriteTimeout = 5 * time.Minute
)

const (
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

	// unproven is how many times MaxBodyAhead is taken of a body while no other
	// request has been seen on its connection: there may be one behind it,
	// which must not wait.
	unproven = 32

	// spillMemory is how much of the bodies that would go to files is kept in
	// memory instead, in bytes, over all requests.
	spillMemory = 16 << 20

	// breakGrace is how long the other requests on a connection that must be
	// closed to break a response may go on.
	breakGrace = 5 * time.Second
)

// serverLimits are the limits of a Server in force.
type serverLimits struct {
	conns                                        int // negative: no limit
	active, connActive, params, pairs, bodyAhead int
	paramsTimeout, bodyTimeout, writeTimeout     time.Duration // negative: no limit
	bodies                                       *spill.Store
}

func (l *serverLimits) set(s *Server) {
	l.conns = s.MaxConns
	if l.conns == 0 {
		l.conns = DefaultMaxConns
	}
	l.active = limit(s.MaxActive, DefaultMaxActive)
	l.connActive = limit(s.MaxConnActive, DefaultMaxConnActive)
	l.params = limit(s.MaxParams, DefaultMaxParams)
	l.pairs = limit(s.MaxPairs, DefaultMaxPairs)
	l.bodyAhead = limit(s.MaxBodyAhead, DefaultMaxBodyAhead)
	l.paramsTimeout = orDefault(s.ParamsTimeout, DefaultParamsTimeout)
	l.bodyTimeout = orDefault(s.BodyTimeout, DefaultBodyTimeout)
	l.writeTimeout = orDefault(s.WriteTimeout, DefaultServerWriteTimeout)
	l.bodies = &spill.Store{Dir: s.SpillDir, MaxMemory: spillMemory, MaxFiles: orDefault(s.MaxSpill, DefaultMaxSpill)}
}

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

// orDefault reads a time or a size: zero means the default.
func orDefault[T ~int64](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}
