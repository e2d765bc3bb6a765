package pool

import (
	"math"
	"time"
)

// Bounds and times of a Pool whose fields are zero.
const (
	// DefaultMaxLoad bounds the requests that one worker serves at a time. It
	// stands below the backlogs that are common (128 is what listen(2) allowed
	// before Linux 5.4; php-fpm asks for 511): a request that finds it full
	// waits here, in order and with a time limit, and not in a backlog,
	// where a unix socket that is full refuses with EAGAIN.
	DefaultMaxLoad = 128

	// DefaultMaxQueue bounds the requests that wait. One that waits costs its
	// goroutine and its connection, some 20 KiB.
	DefaultMaxQueue = 1024

	// DefaultQueueTimeout bounds the wait. It covers a worker's restart; a
	// person gives up at about the same time.
	DefaultQueueTimeout = 10 * time.Second

	// DefaultCooldownMin is lighttpd's disable-time: long enough that a worker
	// which refuses everything does not attract everything by being
	// the least loaded.
	DefaultCooldownMin = time.Second

	// DefaultCooldownMax bounds how long a worker that works again is not
	// found out.
	DefaultCooldownMax = 30 * time.Second
)

// logPause is the time between two log lines about the same worker. A
// worker that fails every second request would otherwise write one for each.
const logPause = 10 * time.Second

// orDefault reads a limit: zero means the default, negative no limit.
func orDefault[T int | time.Duration](v, def, none T) T {
	switch {
	case v == 0:
		return def
	case v < 0:
		return none
	}
	return v
}

// No limit is a limit that nothing reaches.
const (
	noLimit = math.MaxInt
	forever = time.Duration(math.MaxInt64)
)
