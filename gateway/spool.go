package gateway

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"sync/atomic"

	"github.com/sluice-gateway/sluice/cgi"
)

// A Spool keeps request bodies until they are complete: small ones in memory,
// others in files that have no name, so that nothing is left behind whatever
// happens. It is safe for concurrent use, and its fields must not be changed
// once it is in use.
type Spool struct {
	Dir string // of the files; empty means os.TempDir

	// Memory is how much of one body is kept in memory, Quota how much all
	// files may take together, in bytes. Zero means DefaultSpoolMemory and
	// DefaultSpoolQuota; negative, no limit.
	Memory, Quota int64

	used atomic.Int64 // bytes of the files
}

// errSpool is wrapped by the errors that are not the client's fault.
var errSpool = errors.New("gateway: keep a request body")

func (h *Handler) spool() *Spool {
	if h.Spool != nil {
		return h.Spool
	}
	return &ownSpool
}

// ownSpool is that of Handlers without one.
var ownSpool Spool

// take receives a body of at most limit bytes; expected is its size, or -1.
func (s *Spool) take(src *liveBody, limit, expected int64) (*spooledBody, error) {
	defer src.close()
	b := &spooledBody{spool: s}
	if err := b.fill(src, limit, expected); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

// A spooledBody is a body that has been received. It is a cgi.Rewinder.
type spooledBody struct {
	spool  *Spool
	size   int64
	memory []byte   // the first part
	file   *os.File // the rest; nil if there is none
	onDisk int64
	at     int64
}

var _ cgi.Rewinder = (*spooledBody)(nil)

// firstPiece is how much is read at first of a body whose size is not known;
// most of those are small.
const firstPiece = 4 << 10

// filePiece is how much is read at once on the way to a file.
const filePiece = 64 << 10

// fill reads src to its end.
func (b *spooledBody) fill(src io.Reader, limit, expected int64) error {
	memory := int(min(orDefault(b.spool.Memory, DefaultSpoolMemory), math.MaxInt))
	first := int64(firstPiece) // what a client has only announced takes no memory
	if 0 <= expected && expected < first {
		first = expected
	}
	b.memory = make([]byte, 0, min(first, int64(memory)))
	var piece []byte
	for b.size != expected {
		inMemory := b.file == nil && len(b.memory) < memory
		if inMemory {
			piece = b.room(memory)
		} else if b.file == nil {
			piece = make([]byte, filePiece)
		}
		n, err := src.Read(piece)
		if b.size += int64(n); b.size > limit {
			return fmt.Errorf("%w: want at most %d bytes", errBodyTooLarge, limit)
		}
		if inMemory {
			b.memory = b.memory[:len(b.memory)+n]
		} else if err := b.write(piece[:n]); err != nil {
			return err
		}
		if err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
	return nil
}

// room returns where the next bytes go in memory, of which there is some left.
func (b *spooledBody) room(memory int) []byte {
	have := len(b.memory)
	if have == cap(b.memory) {
		b.memory = slices.Grow(b.memory, min(max(have, firstPiece), memory-have))
	}
	return b.memory[have:min(cap(b.memory), memory)]
}

// write puts a piece into the file.
func (b *spooledBody) write(p []byte) error {
	if len(p) == 0 {
		return nil
	}
	quota := orDefault(b.spool.Quota, DefaultSpoolQuota)
	b.onDisk += int64(len(p))
	if b.spool.used.Add(int64(len(p))) > quota {
		return fmt.Errorf("%w: all of them take more than %d bytes", errSpool, quota)
	}
	if b.file == nil {
		f, err := unnamed(b.spool.Dir)
		if err != nil {
			return fmt.Errorf("%w: %w", errSpool, err)
		}
		b.file = f
	}
	if _, err := b.file.Write(p); err != nil {
		return fmt.Errorf("%w: %w", errSpool, err)
	}
	return nil
}

// unnamed makes a file and takes its name away.
func unnamed(dir string) (*os.File, error) {
	f, err := os.CreateTemp(dir, "sluice-body-")
	if err != nil {
		return nil, err
	}
	if err := os.Remove(f.Name()); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func (b *spooledBody) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	inMemory := int64(len(b.memory))
	switch {
	case b.at >= b.size:
		return 0, io.EOF
	case b.at < inMemory:
		n := copy(p, b.memory[b.at:])
		b.at += int64(n)
		return n, nil
	}
	n, err := b.file.ReadAt(p, b.at-inMemory)
	b.at += int64(n)
	if err == io.EOF && b.at < b.size {
		err = io.ErrUnexpectedEOF
	} else if err == io.EOF && n > 0 {
		err = nil
	}
	return n, err
}

// Cancel implements cgi.Body: a Read never blocks.
func (b *spooledBody) Cancel() {}

// Rewind implements cgi.Rewinder.
func (b *spooledBody) Rewind() error {
	b.at = 0
	return nil
}

func (b *spooledBody) failed() error { return nil }

func (b *spooledBody) rewind() bool { return b.Rewind() == nil }

func (b *spooledBody) close() {
	if b.file != nil {
		b.file.Close()
	}
	b.spool.used.Add(-b.onDisk)
	b.onDisk = 0
}
