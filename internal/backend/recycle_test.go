package backend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/pool"
	"github.com/sluice-gateway/sluice/process"
)

// A ward stands for the processes of a recycler's backend: it notes what it is
// told, and does it.
type ward struct {
	t        *testing.T
	pool     *pool.Pool
	recycler *recycler
	takes    time.Duration // to start a successor
	begin    time.Time
	set      chan []pool.Endpoint

	mu      sync.Mutex
	members []process.Member
	started int
	told    []string
	had     map[int]int // by process, the requests that it has had
}

// newWard has so many processes. It must be called in a synctest bubble.
func newWard(t *testing.T, r *recycler, n int) *ward {
	w := &ward{t: t, recycler: r, begin: time.Now(), set: make(chan []pool.Endpoint, 100), had: make(map[int]int)}
	w.pool = pool.New(pool.Config{Cooldown: pool.Cooldown{Min: -1}})
	r.start(w.pool, w)
	w.pool.Watch(w)
	t.Cleanup(func() {
		r.close()
		w.pool.Close()
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	for range n {
		w.startOne()
	}
	w.changed()
	synctest.Wait()
	return w
}

// startOne adds a process. w.mu is held.
func (w *ward) startOne() {
	w.started++
	w.members = append(w.members, process.Member{PID: w.started, Network: "unix", Address: strconv.Itoa(w.started)})
}

// changed tells who takes requests. w.mu is held.
func (w *ward) changed() {
	w.recycler.set(slices.Clone(w.members))
	var list []pool.Endpoint
	for _, m := range w.members {
		list = append(list, whereIs(m))
	}
	w.set <- list
}

// Watch implements pool.Source.
func (w *ward) Watch(ctx context.Context, set func([]pool.Endpoint)) error {
	for {
		select {
		case list := <-w.set:
			set(list)
		case <-ctx.Done():
			return nil
		}
	}
}

// leave takes a process out of the list.
func (w *ward) leave(pid int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.members = slices.DeleteFunc(w.members, func(m process.Member) bool { return m.PID == pid })
	w.changed()
}

func (w *ward) note(what string, pid int, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.told = append(w.told, fmt.Sprintf("%v: %s %d: %s", time.Since(w.begin).Round(time.Second), what, pid, why))
}

func (w *ward) Abort(pid int, why string) { w.note("abort", pid, why) }

// Replace implements recycled, as process.Group does.
func (w *ward) Replace(pid int, why string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, m := range w.members {
		if m.PID != pid || m.Slot < 0 {
			continue
		}
		w.members[i].Slot = -1 // it is being replaced
		w.told = append(w.told, fmt.Sprintf("replace %d: %s", pid, why))
		time.AfterFunc(w.takes, func() {
			w.mu.Lock()
			w.startOne()
			w.mu.Unlock()
			w.leave(pid)
		})
	}
}

// first returns what was told first, "" if nothing was.
func (w *ward) first() string {
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.told) == 0 {
		return ""
	}
	return w.told[0]
}

// visit is a request for which somebody waits for so long. It ends with err, and
// there is a sign of life every now and then; 0: never.
func (w *ward) visit(d, every time.Duration, err error) {
	l, no := w.pool.Acquire(w.t.Context(), 0, nil)
	if no != nil {
		w.t.Error(no)
		return
	}
	for end := time.Now().Add(d); time.Now().Before(end); {
		if every == 0 {
			time.Sleep(d)
			break
		}
		time.Sleep(every)
		l.Worker().Alive()
	}
	l.Release(err)
}

// What a process is ended for, and what not.
func TestHungProcesses(t *testing.T) {
	const s = time.Second
	timeout := errors.New("no answer in time")
	often := func(n int, do func()) {
		for range n {
			do()
		}
	}
	tests := []struct {
		name  string
		visit func(w *ward)
		want  string // the first order
	}{
		{"a request that is never answered", func(w *ward) { w.visit(20*s, 0, timeout) },
			"11s: abort 1: it has requests, and has given no sign of life for 10s"},
		{"each gets no answer in time, and another comes", func(w *ward) { often(10, func() { w.visit(4*s, 0, timeout) }) },
			"11s: abort 1: it has requests, and has given no sign of life for 10s"},
		{"impatient visitors, one after the other", func(w *ward) {
			often(10, func() { w.visit(4*s, 0, context.Canceled); time.Sleep(s) })
		}, "17s: abort 1: it has requests, and has given no sign of life for 10s"},
		{"long requests that end", func(w *ward) { often(10, func() { w.visit(9*s, 0, nil) }) }, ""},
		{"streams that are well, and whose visitors leave", func(w *ward) {
			often(100, func() { w.visit(1500*time.Millisecond, s/2, context.Canceled) })
		}, ""},
		{"a stream that is well", func(w *ward) { w.visit(100*s, 5*s, nil) }, ""},
		{"one who gave up once, and nobody else for an hour", func(w *ward) {
			w.visit(s, 0, context.Canceled)
			time.Sleep(time.Hour)
			w.visit(2*s, 0, nil)
		}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWard(t, &recycler{hung: 10 * s}, 1)
				time.Sleep(s / 2) // nobody comes or goes while the recycler looks
				tt.visit(w)
				if got := w.first(); got != tt.want {
					t.Errorf("told first %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// A process that hangs is ended, too, when it has left the list; and when the
// pool has forgotten it, so has the recycler.
func TestHungWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWard(t, &recycler{hung: 10 * time.Second}, 1)
		l, err := w.pool.Acquire(t.Context(), 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		w.leave(1)
		time.Sleep(20 * time.Second)
		if got, want := w.first(), "11s: abort 1: it has requests, and has given no sign of life for 10s"; got != want {
			t.Errorf("told first %q, want %q", got, want)
		}
		if !l.Hung() {
			t.Error("the request does not know that it hung")
		}
		l.Release(errors.New("killed"))
		time.Sleep(2 * time.Second)
		w.recycler.mu.Lock()
		defer w.recycler.mu.Unlock()
		if n := len(w.recycler.left); n > 0 {
			t.Errorf("%d processes remembered that are gone", n)
		}
	})
}

// Who does not look for hung processes remembers none that has left.
func TestRecyclerForgets(t *testing.T) {
	r := &recycler{maxRequests: 1}
	r.set([]process.Member{{PID: 1, Address: "a"}})
	r.set(nil)
	if len(r.left) > 0 {
		t.Errorf("%d processes remembered, which nobody forgets", len(r.left))
	}
}

// A process in whose place another one is has not left any more.
func TestLeaving(t *testing.T) {
	at := func(pid int, address string) process.Member { return process.Member{PID: pid, Address: address} }
	left := leaving(nil, nil, []process.Member{at(1, "a"), at(2, "b")})
	left = leaving(left, []process.Member{at(1, "a"), at(2, "b")}, []process.Member{at(2, "b")})
	if m := left[whereIs(at(1, "a"))]; len(left) != 1 || m.PID != 1 {
		t.Errorf("left: %v, want 1", left)
	}
	left = leaving(left, []process.Member{at(2, "b")}, []process.Member{at(3, "a")})
	if m := left[whereIs(at(2, "b"))]; len(left) != 1 || m.PID != 2 {
		t.Errorf("left: %v, want 2: 3 is in the place of 1", left)
	}
}

// A process gets no more requests than it may have, and those that come while
// its successor starts.
func TestMaxRequests(t *testing.T) {
	for _, takes := range []time.Duration{0, 50 * time.Millisecond} {
		t.Run(takes.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWard(t, &recycler{maxRequests: 100}, 2)
				w.takes = takes
				const each = 100 * time.Microsecond
				for range 5000 {
					l, err := w.pool.Acquire(t.Context(), 0, nil)
					if err != nil {
						t.Fatal(err)
					}
					pid, _ := strconv.Atoi(l.Worker().Endpoint().Address)
					w.had[pid]++
					time.Sleep(each)
					l.Release(nil)
				}
				most := 101 + int(takes/each)
				for pid, n := range w.had {
					if n > most {
						t.Errorf("process %d has had %d requests, want at most %d", pid, n, most)
					}
				}
				if n := len(w.had); n < 5000/most {
					t.Errorf("%d processes: the test shows nothing", n)
				}
			})
		})
	}
}
