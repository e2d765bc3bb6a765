package spill

import (
	"fmt"
	"testing"
)

// One Write and one Next, as of a stream whose reader keeps up or lags behind.
func BenchmarkQueue(b *testing.B) {
	benchmarks := []struct {
		name   string
		window int // of 1, the store counts the memory
		memory int64
		lag    int // pieces that are always in the queue
	}{
		{"window", 1 << 20, 1, 0},
		{"memory", 1, 1 << 20, 0},
		{"file, drained", 1, 1, 0},
		{"file, lagging", 1, 1, 4},
	}
	for _, bb := range benchmarks {
		for _, size := range []int{100, 8 << 10, 64 << 10} {
			b.Run(fmt.Sprintf("%s/%d", bb.name, size), func(b *testing.B) {
				q := &Queue{Store: &Store{Dir: b.TempDir(), MaxMemory: bb.memory}, Window: bb.window}
				defer q.Close()
				p := piece(size)
				for range bb.lag {
					if err := q.Write(p); err != nil {
						b.Fatal(err)
					}
				}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for b.Loop() {
					if err := q.Write(p); err != nil {
						b.Fatal(err)
					}
					for q.Len() > int64(bb.lag*size) {
						if _, err := q.Next(); err != nil {
							b.Fatal(err)
						}
					}
				}
			})
		}
	}
}
