package backend

import (
	"context"
	"sync"
	"time"

	"github.com/sluice-gateway/sluice/internal/scale"
	"github.com/sluice-gateway/sluice/pool"
)

// processes is what a scaler tells how many processes there shall be.
type processes interface {
	// Want is called with another number than the last time. It does not wait
	// for the processes.
	Want(n int)
}

// A scaler starts and ends the processes of one backend as its load asks: it
// looks at the pool, asks internal/scale, and tells the group. While there is
// nothing to decide it sleeps, without a tick, until the pool wakes it.
//
// A backend whose rule is Fixed needs none.
type scaler struct {
	rule  scale.Rule
	first int // processes to begin with

	wake chan struct{} // room for one
	end  context.CancelFunc
	runs sync.WaitGroup
}

// newScaler returns a scaler that does not run yet. The pool gets its waiting,
// the group is to begin with as many processes as first says.
func newScaler(rule scale.Rule, first int) *scaler {
	return &scaler{rule: rule, first: first, wake: make(chan struct{}, 1)}
}

// waiting is for pool.Config.Waiting.
func (s *scaler) waiting() {
	select {
	case s.wake <- struct{}{}:
	default: // it is about to look anyway
	}
}

// start begins. It is called once; close ends it.
func (s *scaler) start(p *pool.Pool, to processes) {
	ctx, cancel := context.WithCancel(context.Background())
	s.end = cancel
	// close ends the goroutine by its context and waits. It blocks where it
	// waits for something to look at, and for the pool's mutex.
	s.runs.Go(func() { s.run(ctx, p, to) })
}

// close ends the scaler; the processes stay as they are. It does nothing if it
// was not started, or has been closed.
func (s *scaler) close() {
	if s.end != nil {
		s.end()
	}
	s.runs.Wait()
}

func (s *scaler) run(ctx context.Context, p *pool.Pool, to processes) {
	decide := scale.New(s.rule, s.first, time.Now())
	wanted := s.first
	tick := time.NewTimer(0)
	defer tick.Stop()
	for {
		a := decide.Look(time.Now(), sees(p.Load()))
		p.Mark(a.Alarm)
		if a.Want != wanted {
			wanted = a.Want
			to.Want(wanted)
		}
		tick.Stop()
		if a.Again > 0 {
			tick.Reset(a.Again)
		}
		select {
		case <-s.wake:
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func sees(l pool.Load) scale.Load {
	return scale.Load{Busy: l.Busy, Peak: l.Peak, Queued: l.Queued, Longest: l.Longest, Ended: l.Ended, Ready: l.Workers}
}
