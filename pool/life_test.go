package pool

import (
	"context"
	"errors"
	"testing"
)

// only returns the only worker that the pool knows.
func only(t *testing.T, p *Pool) WorkerStatus {
	t.Helper()
	ws := p.Status().Workers
	if len(ws) != 1 {
		t.Fatalf("%d workers, want one: %+v", len(ws), ws)
	}
	return ws[0]
}

// What counts as a sign of life, and what does not.
func TestSigns(t *testing.T) {
	tests := []struct {
		name string
		do   func(p *Pool, l Lease)
		want uint64
	}{
		{"a request goes there", func(*Pool, Lease) {}, 0},
		{"a piece comes", func(_ *Pool, l Lease) { l.Worker().Alive() }, 1},
		{"pieces come", func(_ *Pool, l Lease) { l.Worker().Alive(); l.Worker().Alive() }, 1},
		{"pieces come before a look and after it", func(p *Pool, l Lease) { l.Worker().Alive(); p.Status(); l.Worker().Alive() }, 2},
		{"looks, and nothing after the first", func(p *Pool, l Lease) { l.Worker().Alive(); p.Status(); p.Status() }, 1},
		{"it ends well", func(_ *Pool, l Lease) { l.Release(nil) }, 1},
		{"it fails", func(_ *Pool, l Lease) { l.Release(errBroken) }, 0},
		{"nobody waits any more", func(_ *Pool, l Lease) { l.Release(context.Canceled) }, 0},
		{"a request of its predecessor ends well", func(p *Pool, l Lease) {
			p.set(nil)
			p.set(endpoints(1, 3))
			l.Release(nil)
		}, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := newPool(t, Config{}, endpoints(1, 3))
			tt.do(p, mustAcquire(t, p, nil))
			if got := only(t, p).Signs; got != tt.want {
				t.Errorf("%d signs of life, want %d", got, tt.want)
			}
		})
	}
}

func TestAtClient(t *testing.T) {
	p := newPool(t, Config{}, endpoints(1, 3))
	w := mustAcquire(t, p, nil).Worker()
	w.AtClient(1)
	w.AtClient(1)
	w.AtClient(-1)
	if got := only(t, p); got.AtClient != 1 || got.Load != 1 {
		t.Errorf("%d of %d requests wait for their clients, want 1 of 1", got.AtClient, got.Load)
	}
}

// A worker hangs with the requests that it had then, and no others.
func TestHangs(t *testing.T) {
	p := newPool(t, Config{Cooldown: Cooldown{Min: -1}}, endpoints(1, 5))
	before := mustAcquire(t, p, nil)
	leases := p.Status().Counts.Leases
	later := mustAcquire(t, p, nil)
	if before.Hung() {
		t.Error("a request hangs before anything was said")
	}
	p.Hangs("unix", "a", leases)
	p.Hangs("unix", "a", 0)
	p.Hangs("unix", "x", leases+10) // not known
	after := mustAcquire(t, p, nil)
	if !before.Hung() || later.Hung() || after.Hung() {
		t.Errorf("hang: %v, %v, %v, want the first alone", before.Hung(), later.Hung(), after.Hung())
	}
	p.set(nil)
	p.Hangs("unix", "a", leases+1) // while it drains
	before.Release(errors.New("killed"))
	if !before.Hung() || !later.Hung() || after.Hung() {
		t.Errorf("hang: %v, %v, %v, want the first two", before.Hung(), later.Hung(), after.Hung())
	}
	later.Release(nil)
	after.Release(nil)
}

func TestLoadAt(t *testing.T) {
	p := newPool(t, Config{}, endpoints(1, 3))
	l := mustAcquire(t, p, nil)
	mustAcquire(t, p, nil).Release(nil)
	if got, other := p.LoadAt("unix", "a"), p.LoadAt("tcp", "a"); got != 1 || other != 0 {
		t.Errorf("LoadAt = %d, of an unknown one %d, want 1, 0", got, other)
	}
	p.set(nil)
	if got := p.LoadAt("unix", "a"); got != 1 {
		t.Errorf("while it drains: LoadAt = %d, want 1", got)
	}
	l.Release(nil)
	if got := p.LoadAt("unix", "a"); got != 0 {
		t.Errorf("afterwards: LoadAt = %d, want 0", got)
	}
}

func TestSignsDoNotAllocate(t *testing.T) {
	p := newPool(t, Config{}, endpoints(1, 3))
	p.Wear(10)
	w := mustAcquire(t, p, nil).Worker()
	if n := testing.AllocsPerRun(100, func() {
		w.AtClient(1)
		w.Alive()
		w.AtClient(-1)
		mustAcquire(t, p, nil).Release(nil)
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
