package config

import "time"

// Bounds of a file. They are far above what people write and low enough that a
// wrong file is told quickly from a right one.
const (
	maxFile     = 1 << 20 // bytes
	maxListen   = 64      // each is a socket
	maxBackends = 1000
	maxRoutes   = 1000 // they are tried in order, for each request
	maxWorkers  = 1000 // addresses of one backend

	// maxProblems bounds what is reported: nobody reads more, and a file that
	// has as many is not what it was taken for.
	maxProblems = 1000
)

// Ranges of values. Zero and negative numbers are not meant: they are the
// default and no limit.
const (
	// A time below 1 ms fails requests that nothing is wrong with; one above a
	// day is no limit, and should say so.
	minDuration = time.Millisecond
	maxDuration = 24 * time.Hour

	maxSize      = 1 << 50 // 1 PiB, so that sums of sizes do not overflow
	maxCount     = 1_000_000
	maxMultiplex = 1000
	maxRequests  = 1_000_000_000
	maxProcesses = 1024 // of one backend; each costs a socket and its application's memory
)

const (
	// maxUnixPath and maxAbstract are what fits into a sockaddr_un of Linux:
	// 108 bytes, the last of them NUL for a path (unix(7)).
	maxUnixPath = 107
	maxUnixName = 88 // of a path that is longer, the last part
	maxAbstract = 108

	// maxQuoted is how much of a value a complaint repeats, in characters.
	maxQuoted = 60

	// maxName is where a misspelt name is not compared with others any more,
	// in bytes; no key is half as long.
	maxName = 64
)

const (
	// maxPath is what the kernel takes, without the NUL at its end (PATH_MAX).
	maxPath = 4095

	// maxAddress is the longest address that is no path: a host name has at most
	// 253 characters.
	maxAddress = 300

	// maxPattern bounds a regular expression, which is tried for each request.
	maxPattern = 4096
)
