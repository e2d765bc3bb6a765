package spill

import "sync"

// blocks is the part of a queue that is in memory. All blocks but the last are
// full, so that their bytes tell what they take.
type blocks struct {
	first, last *block
	size        int64 // bytes in them
}

// A block is a piece of memory that is used again.
type block struct {
	b    []byte
	next *block
}

var smallBlocks, bigBlocks sync.Pool

// newBlock returns an empty block: a small one if it holds n bytes.
func newBlock(n int64) *block {
	pool, size := &bigBlocks, bigBlock
	if n <= smallBlock {
		pool, size = &smallBlocks, smallBlock
	}
	if b, ok := pool.Get().(*block); ok {
		return b
	}
	return &block{b: make([]byte, 0, size)}
}

// free is called by whoever has no more use for the block.
func (b *block) free() {
	if b == nil {
		return
	}
	pool := &bigBlocks
	if cap(b.b) == smallBlock {
		pool = &smallBlocks
	}
	b.b, b.next = b.b[:0], nil
	pool.Put(b)
}

func (m *blocks) write(p []byte) {
	m.size += int64(len(p))
	for len(p) > 0 {
		if m.last == nil || len(m.last.b) == cap(m.last.b) {
			m.grow(len(p))
		}
		b := m.last
		n := copy(b.b[len(b.b):cap(b.b)], p)
		b.b = b.b[:len(b.b)+n]
		p = p[n:]
	}
}

// grow adds a block for n bytes, or for more: who has filled a small block is
// likely to fill a big one.
func (m *blocks) grow(n int) {
	if m.first == nil {
		m.first = newBlock(int64(n))
		m.last = m.first
		return
	}
	m.last.next = newBlock(bigBlock)
	m.last = m.last.next
}

// pop takes the first block out; nil if there is none. If it was the last, too,
// nothing is written to it any more: its reader has it alone.
func (m *blocks) pop() *block {
	b := m.first
	if b == nil {
		return nil
	}
	if m.first = b.next; m.first == nil {
		m.last = nil
	}
	m.size -= int64(len(b.b))
	return b
}

func (m *blocks) free() {
	for b := m.pop(); b != nil; b = m.pop() {
		b.free()
	}
}
