package pool

import (
	"context"
	"fmt"
	"testing"
)

// What every request does must not allocate.
func TestAcquireDoesNotAllocate(t *testing.T) {
	tests := []struct {
		name  string
		setup func(p *Pool)
		err   error
	}{
		{"free", func(*Pool) {}, nil},
		{"while a worker cools down", func(p *Pool) { mustAcquire(t, p, nil).Release(errBroken) }, nil},
		{"when the client goes away", func(*Pool) {}, context.Canceled},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPool(t, Config{Cooldown: Cooldown{Min: 1 << 40}}, endpoints(3, 2))
			tt.setup(p)
			ctx := t.Context()
			allocs := testing.AllocsPerRun(1000, func() {
				var tried Tried
				for range 2 {
					l, err := p.Acquire(ctx, 0, &tried)
					if err != nil {
						t.Fatal(err)
					}
					_ = l.Worker().String()
					l.Release(tt.err)
				}
			})
			if allocs != 0 {
				t.Errorf("Acquire and Release allocate %v times, want 0", allocs)
			}
		})
	}
}

func BenchmarkAcquire(b *testing.B) {
	for _, n := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprintf("workers=%d", n), func(b *testing.B) {
			p := newPool(b, Config{}, endpoints(n, 4))
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				var tried Tried
				l, err := p.Acquire(ctx, 0, &tried)
				if err != nil {
					b.Fatal(err)
				}
				l.Release(nil)
			}
		})
	}
}

func BenchmarkAcquireParallel(b *testing.B) {
	p := newPool(b, Config{}, endpoints(4, 64))
	ctx := context.Background()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l, err := p.Acquire(ctx, 0, nil)
			if err != nil {
				b.Error(err)
				return
			}
			l.Release(nil)
		}
	})
}

// Every request waits: one slot, and always somebody who wants it.
func BenchmarkQueue(b *testing.B) {
	p := newPool(b, Config{}, endpoints(1, 1))
	ctx := context.Background()
	b.SetParallelism(16)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l, err := p.Acquire(ctx, 0, nil)
			if err != nil {
				b.Error(err)
				return
			}
			l.Release(nil)
		}
	})
}
