package spill

import (
	"os"
	"sync/atomic"
)

// A Store bounds what all Queues that are made of it hold together. The zero
// Store is ready to use. It is safe for concurrent use; its fields must not be
// changed once it is in use, and it must not be copied.
type Store struct {
	// Dir is where the files are, which have no name; empty means
	// os.TempDir. On some systems that is in memory.
	Dir string

	// MaxMemory bounds the bytes that all queues hold in memory, each beyond
	// its own window. Zero means DefaultMaxMemory; negative, no limit.
	MaxMemory int64

	// MaxFiles bounds what all files take of the disk, in bytes. Zero means
	// DefaultMaxFiles; negative, no limit.
	MaxFiles int64

	memory, files atomic.Int64
}

// Memory returns how much of MaxMemory is in use, in bytes.
func (s *Store) Memory() int64 { return s.memory.Load() }

// Files returns how much of MaxFiles is in use, in bytes. Every file counts in
// whole pages of 4 KiB.
func (s *Store) Files() int64 { return s.files.Load() }

func (s *Store) maxMemory() int64 { return orDefault(s.MaxMemory, DefaultMaxMemory) }

func (s *Store) maxFiles() int64 { return orDefault(s.MaxFiles, DefaultMaxFiles) }

func (s *Store) dir() string {
	if s.Dir == "" {
		return os.TempDir()
	}
	return s.Dir
}

// reserve adds n to what is in use, unless that would be more than limit. It
// never adds only to take back: another queue would be refused for nothing.
func reserve(used *atomic.Int64, n, limit int64) bool {
	for {
		u := used.Load()
		if n > limit-u {
			return false
		}
		if used.CompareAndSwap(u, u+n) {
			return true
		}
	}
}
