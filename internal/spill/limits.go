package spill

import "math"

// Bounds of a Store or a Queue whose fields are zero, in bytes.
const (
	DefaultMaxMemory = 64 << 20
	DefaultMaxFiles  = 1 << 30
	DefaultWindow    = 128 << 10
)

const (
	// A block is what a queue takes of memory at once. Most answers fit into
	// a small one; with big ones a long answer is passed on in few writes.
	smallBlock = 4 << 10
	bigBlock   = 64 << 10

	// page is what the smallest file takes of a disk.
	page = 4 << 10

	// punchStep is how much of a file has been read before that is given
	// back: enough to make the call cheap, and a multiple of the block size of
	// every file system, which frees whole blocks only.
	punchStep = 1 << 20
)

// orDefault reads a limit: zero means the default, negative no limit.
func orDefault(v, def int64) int64 {
	switch {
	case v == 0:
		return def
	case v < 0:
		return math.MaxInt64
	}
	return v
}
