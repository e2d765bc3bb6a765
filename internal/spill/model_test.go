package spill

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"testing"
)

// Whatever is written and read, in whatever order, a queue is a bytes.Buffer
// that keeps to its limits.
func TestModel(t *testing.T) {
	dir := t.TempDir()
	for seed := range uint64(50) {
		r := rand.New(rand.NewPCG(seed, 0))
		m := &model{t: t, seed: seed, scale: 1 << (2 * r.IntN(4))} // 1 to 64
		m.store = &Store{Dir: dir, MaxMemory: m.size(r), MaxFiles: page + 16*m.size(r)}
		m.queue = &Queue{Store: m.store, Window: int(m.size(r))}
		writes := r.Float64() // as against reads
		for range 300 {
			if r.Float64() < writes {
				m.write(r, int(m.size(r)-1))
			} else {
				m.next()
			}
			m.check()
		}
		for m.want.Len() > 0 {
			m.next()
			m.check()
		}
		if m.store.Memory() != 0 || m.store.Files() != 0 {
			m.t.Fatalf("seed %d: empty, with Memory() = %d and Files() = %d", seed, m.store.Memory(), m.store.Files())
		}
		m.queue.Close()
		if t.Failed() {
			return
		}
	}
}

// noise is what is written, from anywhere in it.
var noise = piece(1 << 20)

type model struct {
	t     *testing.T
	seed  uint64
	scale int
	store *Store
	queue *Queue
	want  bytes.Buffer
	lent  []byte // what Next has returned
	copy  []byte // the same, kept by us
}

// size returns a number from 1, most often a small one.
func (m *model) size(r *rand.Rand) int64 {
	return int64(1 + r.IntN(1+r.IntN(4096*m.scale)))
}

func (m *model) write(r *rand.Rand, n int) {
	at := r.IntN(len(noise) - n)
	p := noise[at : at+n]
	used := m.store.Files()
	err := m.queue.Write(p)
	switch {
	case err == nil:
		m.want.Write(p)
	case !errors.Is(err, ErrFull):
		m.t.Fatalf("seed %d: Write: %v", m.seed, err)
	case used+pages(int64(n)) <= m.store.MaxFiles:
		m.t.Fatalf("seed %d: Write of %d bytes: %v, and %d are in use", m.seed, n, err, used)
	}
}

func (m *model) next() {
	b, err := m.queue.Next()
	if err != nil {
		m.t.Fatalf("seed %d: Next: %v", m.seed, err)
	}
	if len(b) == 0 && m.want.Len() > 0 {
		m.t.Fatalf("seed %d: Next returns nothing with %d bytes in the queue", m.seed, m.want.Len())
	}
	if want := m.want.Next(len(b)); !bytes.Equal(b, want) {
		m.t.Fatalf("seed %d: Next returns %d bytes that are not those that were written", m.seed, len(b))
	}
	m.lent, m.copy = b, append(m.copy[:0], b...)
}

func (m *model) check() {
	q, s := m.queue, m.store
	if q.Len() != int64(m.want.Len()) {
		m.t.Fatalf("seed %d: Len() = %d, want %d", m.seed, q.Len(), m.want.Len())
	}
	if !bytes.Equal(m.lent, m.copy) {
		m.t.Fatalf("seed %d: what Next returned has changed", m.seed)
	}
	if s.Memory() < 0 || s.Memory() > s.MaxMemory || s.Files() < 0 || s.Files() > s.MaxFiles {
		m.t.Fatalf("seed %d: Memory() = %d of %d, Files() = %d of %d", m.seed, s.Memory(), s.MaxMemory, s.Files(), s.MaxFiles)
	}
	if q.memory.size > int64(q.Window)+s.Memory() {
		m.t.Fatalf("seed %d: %d bytes in memory, with a window of %d and %d counted", m.seed, q.memory.size, q.Window, s.Memory())
	}
	if size, n := q.blocks(); size != q.memory.size || n > 2+size/bigBlock {
		m.t.Fatalf("seed %d: %d blocks with %d bytes, want no more than needed for %d", m.seed, n, size, q.memory.size)
	}
}

// blocks returns what is in the blocks of q, and how many there are.
func (q *Queue) blocks() (size, n int64) {
	for b := q.memory.first; b != nil; b = b.next {
		size += int64(len(b.b))
		n++
	}
	return size, n
}
