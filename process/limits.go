package process

import "time"

// Times and bounds of a Spec whose fields are zero.
const (
	DefaultStopTimeout  = 10 * time.Second // from the stop signal to SIGKILL
	DefaultStartTimeout = 30 * time.Second // until it is ready: large Python and Perl programs load for many seconds

	// DefaultAbortTimeout is from the abort signal to SIGKILL: time to write a
	// stack or a core.
	DefaultAbortTimeout = 5 * time.Second

	// DefaultDrainTimeout bounds how long a process that is replaced, or not
	// wanted any more, may take for the requests that it has.
	DefaultDrainTimeout = time.Minute

	DefaultPauseMin = time.Second
	DefaultPauseMax = time.Minute

	// DefaultHealthy is how long a process must have been ready for its death
	// to be the first in a row. multiwatch's 10 seconds take a program that
	// loses its database connection every 15 for a healthy one.
	DefaultHealthy = 30 * time.Second

	// DefaultDeaths is the number of deaths in a row that make a crash loop:
	// with the pauses between them it is known after a quarter of a minute.
	DefaultDeaths = 5
)

const (
	// backlog is the queue of a listening socket: what comes while a process
	// restarts waits there. The kernel cuts it to net.core.somaxconn. A full
	// queue of a unix socket refuses at once, so it is not kept small.
	backlog = 4096

	// maxNames is how many names are tried for a socket before its folder is
	// given up.
	maxNames = 1000

	// lockTimeout bounds the wait for the lock of a folder of sockets, which is
	// asked for every lockPause.
	lockTimeout = time.Second
	lockPause   = 5 * time.Millisecond

	// What is kept of a process's output for Status and for the log line of
	// its death.
	tailLines = 20
	tailBytes = 64 << 10

	// maxLine is where a line that does not end is cut into two.
	maxLine = 4 << 10

	// outputRate and outputBurst bound the lines that one process may log: a
	// program that complains in a loop must not fill the disk. The burst has
	// room for the longest stack dumps.
	outputRate  = 100 // a second
	outputBurst = 1000

	// outputGrace is how long the end of the output is waited for after a
	// process has died. A descendant that left the process group may hold
	// the pipe open for ever.
	outputGrace = 500 * time.Millisecond

	// lingerTime is how long connections wait for the successor of a dead process
	// while what that has left has something to finish. Then they are refused.
	lingerTime = 100 * time.Millisecond

	// goneTimeout bounds the wait for the rest of a process group after
	// SIGKILL. Only a process that hangs in the kernel takes so long.
	goneTimeout = 5 * time.Second

	// Between two questions whether a process is ready there is an eighth of
	// the time that it has taken, within these.
	probeMin     = 5 * time.Millisecond
	probeMax     = 25 * time.Millisecond
	probeTimeout = time.Second // for one connect

	// inspectEvery is how often age and memory are looked at.
	inspectEvery = time.Second

	// retryAfter is the pause after a slot could not be made.
	retryAfter = time.Second
)

// orDefault returns d, or def if d is zero.
func orDefault(d, def time.Duration) time.Duration {
	if d == 0 {
		return def
	}
	return d
}
