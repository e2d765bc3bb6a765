package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Many requests with everything that can happen to them, while workers come
// and go: no worker ever has more than it takes, and at the end no slot is
// missing.
func TestNoSlotIsOverbookedOrLost(t *testing.T) {
	const (
		clients  = 32
		requests = 400 // of each
		maxLoad  = 2
		addrs    = 4
	)
	p := New(Config{
		MaxQueue:     clients / 2,
		QueueTimeout: 2 * time.Millisecond,
		Cooldown:     Cooldown{Min: 100 * time.Microsecond, Max: time.Millisecond},
	})
	defer p.Close()
	p.set(endpoints(addrs, maxLoad))

	var load [addrs]atomic.Int32
	var served, refused atomic.Int32
	exchange := func(rng *rand.Rand, l Lease) {
		n := &load[l.Worker().Endpoint().Address[0]-'a']
		if got := n.Add(1); got > maxLoad {
			t.Errorf("worker %v serves %d requests, more than %d", l.Worker(), got, maxLoad)
		}
		for range rng.IntN(20) {
			runtime.Gosched()
		}
		n.Add(-1)
		served.Add(1)
		switch rng.IntN(10) {
		case 0:
			l.Release(errBroken)
		case 1:
			l.Release(context.Canceled)
		default:
			l.Release(nil)
		}
	}
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(c)))
			for range requests {
				ctx, cancel := context.WithCancel(context.Background())
				if rng.IntN(4) == 0 {
					time.AfterFunc(time.Duration(rng.IntN(200))*time.Microsecond, cancel)
				}
				var tried Tried
				for range 2 {
					l, err := p.Acquire(ctx, 0, &tried)
					if err != nil {
						refused.Add(1)
						if !expected(err) {
							t.Errorf("Acquire = %v", err)
						}
						break
					}
					exchange(rng, l)
				}
				cancel()
			}
		})
	}
	over := make(chan struct{})
	var churn sync.WaitGroup
	churn.Go(func() {
		rng := rand.New(rand.NewPCG(2, 0))
		for {
			select {
			case <-over:
				return
			default:
			}
			list := endpoints(addrs, maxLoad)
			rng.Shuffle(addrs, func(i, j int) { list[i], list[j] = list[j], list[i] })
			p.set(list[:rng.IntN(addrs+1)])
			p.Status()
			time.Sleep(100 * time.Microsecond) // between lists; nothing waits for it
		}
	})
	wg.Wait()
	close(over)
	churn.Wait()
	p.set(nil)
	p.set(endpoints(addrs, maxLoad)) // none of these is cooling down

	t.Logf("%d served, %d refused: %+v", served.Load(), refused.Load(), p.Status().Counts)
	if served.Load() == 0 || refused.Load() == 0 {
		t.Error("the test did not meet both ends")
	}
	s := p.Status()
	if s.Queued != 0 || len(p.drained) != 0 || p.queue.choosy != 0 || p.queue.first != nil || p.queue.last != nil {
		t.Errorf("at the end %d wait (%d choosy), %d workers drain", s.Queued, p.queue.choosy, len(p.drained))
	}
	if c := s.Counts; c.Leases != uint64(served.Load()) {
		t.Errorf("%d leases for %d exchanges", c.Leases, served.Load())
	}
	for _, w := range s.Workers {
		if w.Load != 0 {
			t.Errorf("%s: load %d at the end, want 0", w.Address, w.Load)
		}
	}
	// Every slot can be had.
	for range addrs * maxLoad {
		mustAcquire(t, p, nil)
	}
}

func expected(err error) bool {
	return errors.Is(err, ErrQueueFull) || errors.Is(err, ErrQueueTimeout) || errors.Is(err, ErrTried) ||
		errors.Is(err, context.Canceled)
}
