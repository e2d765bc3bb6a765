package process

import "context"

// A drainer waits until nobody talks to a process any more that has left the
// list.
type drainer struct {
	done chan struct{} // closed when that is so, or does not matter any more
	stop context.CancelFunc
}

// newDrainer starts one. Its goroutine is the slot's, which ends it with end. It
// blocks in Spec.Idle, which heeds its context.
func newDrainer(s *Spec, m Member) *drainer {
	ctx, stop := context.WithCancel(context.Background())
	d := &drainer{make(chan struct{}), stop}
	go func() {
		defer close(d.done)
		if s.Idle != nil {
			s.Idle(ctx, m)
		}
	}()
	return d
}

// drained is closed when the process has no requests any more. It is called on
// a nil drainer while no process drains.
func (d *drainer) drained() <-chan struct{} {
	if d == nil {
		return nil
	}
	return d.done
}

// end ends the waiting, and waits for that.
func (d *drainer) end() {
	if d != nil {
		d.stop()
		<-d.done
	}
}
