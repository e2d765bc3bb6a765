package pool

import (
	"slices"
	"testing"
)

// come reports whether something has come.
func come(worn <-chan struct{}) bool {
	select {
	case <-worn:
		return true
	default:
		return false
	}
}

// Somebody is told at the request that wears a worker out, and not at another.
func TestWear(t *testing.T) {
	p := New(Config{})
	t.Cleanup(p.Close)
	worn := p.Wear(100)
	p.Watch(endpoints(1, 1))
	for i := range 200 {
		if got := only(t, p); got.Taken != uint64(i) || got.Worn != (i >= 100) {
			t.Fatalf("after %d requests: %+v, want so many, and worn from 100 on", i, got)
		}
		mustAcquire(t, p, nil).Release(nil)
		if got, want := come(worn), i == 99; got != want {
			t.Errorf("request %d: told %v, want %v", i+1, got, want)
		}
	}
	// Its successor at the same address begins anew, although a request of before
	// is still there.
	last := mustAcquire(t, p, nil)
	p.set(nil)
	p.set(endpoints(1, 2))
	last.Release(nil)
	if got := only(t, p); got.Taken != 0 || got.Worn {
		t.Errorf("a successor: %+v", got)
	}
	mustAcquire(t, p, nil).Release(nil)
	if got := only(t, p); got.Taken != 1 || got.Worn {
		t.Errorf("a successor after a request: %+v", got)
	}
}

// Workers that came together are not worn together.
func TestWearIsSpread(t *testing.T) {
	p := New(Config{})
	t.Cleanup(p.Close)
	worn := p.Wear(1000)
	p.Watch(endpoints(12, 1))
	var at []int
	for i := range 12 * 1000 {
		mustAcquire(t, p, nil).Release(nil) // each in its turn
		if come(worn) {
			at = append(at, i/12)
		}
	}
	want := []int{909, 919, 929, 939, 949, 959, 969, 979, 989, 989, 999, 999}
	if slices.Sort(at); !slices.Equal(at, want) {
		t.Errorf("worn in rounds %v, want %v", at, want)
	}
}

func TestWearOfOne(t *testing.T) {
	p := New(Config{})
	t.Cleanup(p.Close)
	worn := p.Wear(1)
	p.Watch(endpoints(1, 1))
	mustAcquire(t, p, nil).Release(nil)
	if !come(worn) || !only(t, p).Worn {
		t.Error("not worn after its only request")
	}
}

func TestWithoutWear(t *testing.T) {
	p := newPool(t, Config{}, endpoints(1, 1))
	mustAcquire(t, p, nil).Release(nil)
	if got := only(t, p); got.Taken != 0 || got.Worn {
		t.Errorf("%+v, want nothing counted", got)
	}
}
