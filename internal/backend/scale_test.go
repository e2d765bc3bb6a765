package backend

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sluice-gateway/sluice/internal/scale"
	"github.com/sluice-gateway/sluice/pool"
)

// A farm stands for the processes of a backend: each is ready some time after
// it was wanted.
type farm struct {
	takes   time.Duration // to start
	each    int           // requests that one is given at a time; 0: as many as the pool likes
	changed chan struct{} // room for one

	mu sync.Mutex
	planted
}

// planted is what has been wanted of a farm.
type planted struct {
	n, most  int
	started  int
	wantings []int
}

func (f *farm) Want(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.started += max(n-f.n, 0)
	f.n, f.most = n, max(f.most, n)
	f.wantings = append(f.wantings, n)
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// now returns it when nothing moves any more.
func (f *farm) now() planted {
	synctest.Wait()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.planted
}

// Watch implements pool.Source.
func (f *farm) Watch(ctx context.Context, set func([]pool.Endpoint)) error {
	ready := 0
	for {
		f.mu.Lock()
		n := f.n
		f.mu.Unlock()
		if n > ready {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(f.takes):
			}
		}
		ready = n
		var list []pool.Endpoint
		for i := range n {
			list = append(list, pool.Endpoint{Network: "unix", Address: strconv.Itoa(i), MaxLoad: f.each})
		}
		set(list)
		select {
		case <-ctx.Done():
			return nil
		case <-f.changed:
		}
	}
}

// A scaled is a backend with a scaler.
type scaled struct {
	*farm
	pool   *pool.Pool
	scaler *scaler
	served atomic.Int32
}

func newScaled(t *testing.T, r scale.Rule) *scaled {
	s := &scaled{farm: &farm{takes: 100 * time.Millisecond, each: r.Per, changed: make(chan struct{}, 1)}, scaler: newScaler(r, r.Floor())}
	if n := r.Floor(); n > 0 {
		s.n, s.most, s.started = n, n, n
	}
	s.pool = pool.New(pool.Config{Waiting: s.scaler.waiting})
	s.pool.Watch(s.farm)
	s.scaler.start(s.pool, s.farm)
	t.Cleanup(func() {
		s.scaler.close()
		s.pool.Close()
	})
	return s
}

// requests makes so many, each of which takes that long.
func (s *scaled) requests(t *testing.T, n int, takes time.Duration) *sync.WaitGroup {
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			l, err := s.pool.Acquire(t.Context(), 0, nil)
			if err != nil {
				t.Error(err)
				return
			}
			time.Sleep(takes)
			l.Release(nil)
			s.served.Add(1)
		})
	}
	return &all
}

func TestOnDemandStartsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScaled(t, scale.Rule{Max: 16, Per: 1, Idle: time.Minute})
		begin := time.Now()
		s.requests(t, 200, time.Millisecond/4).Wait()
		if n := s.now().started; n != 1 || s.served.Load() != 200 {
			t.Errorf("%d processes started, %d requests served, want 1, 200", n, s.served.Load())
		}
		if d := time.Since(begin); d != s.takes+50*time.Millisecond {
			t.Errorf("served after %v, want %v", d, s.takes+50*time.Millisecond)
		}
		time.Sleep(time.Hour)
		if n := s.now().n; n != 0 {
			t.Errorf("%d processes after an hour, want 0", n)
		}
	})
}

// The same if nobody has said how many requests a process takes at a time, and
// for as many as it is given at once.
func TestOnDemandStartsOneUnsaid(t *testing.T) {
	for _, takes := range []time.Duration{time.Millisecond / 4, 40 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			s := newScaled(t, scale.Rule{Max: 16, Idle: time.Minute})
			s.requests(t, 200, takes).Wait()
			s.requests(t, 200, takes).Wait()
			if p := s.now(); p.started != 1 || s.served.Load() != 400 {
				t.Errorf("%v each: %d processes started, %d requests served, want 1, 400; wanted %v", takes, p.started, s.served.Load(), p.wantings)
			}
		})
	}
}

// Processes that serve one request at a time, and nobody has said so: the
// others wait in them.
func TestUnsaidSlowRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScaled(t, scale.Rule{Min: 1, Max: 8, Idle: time.Minute})
		time.Sleep(time.Second)
		var busy [8]chan struct{} // of each process, full while it serves
		for i := range busy {
			busy[i] = make(chan struct{}, 1)
		}
		var clients sync.WaitGroup
		begin := time.Now()
		for range 8 {
			clients.Go(func() {
				for time.Since(begin) < 10*time.Second {
					l, err := s.pool.Acquire(t.Context(), 0, nil)
					if err != nil {
						t.Error(err)
						return
					}
					n, _ := strconv.Atoi(l.Worker().Endpoint().Address)
					busy[n] <- struct{}{}
					time.Sleep(200 * time.Millisecond)
					<-busy[n]
					l.Release(nil)
				}
			})
		}
		time.Sleep(time.Second)
		if n := s.now().n; n != 8 {
			t.Errorf("%d processes for 8 clients of requests of 200 ms after a second, want 8", n)
		}
		clients.Wait()
	})
}

func TestOnDemandSlowRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScaled(t, scale.Rule{Max: 16, Per: 1, Idle: time.Minute})
		s.requests(t, 200, 50*time.Millisecond).Wait()
		if got := s.now().wantings; !slices.Equal(got, []int{1, 16}) {
			t.Errorf("wanted %v, want 1 and then 16", got)
		}
	})
}

// A spare process is replaced when it gets something to do, and not when
// somebody has to wait.
func TestSpareIsReplacedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScaled(t, scale.Rule{Min: 1, Max: 16, Spare: 1, Per: 1, Idle: time.Minute})
		time.Sleep(time.Second)
		held, err := s.pool.Acquire(t.Context(), 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n := s.now().n; n != 2 {
			t.Errorf("%d processes while one serves, want 2", n)
		}
		held.Release(nil)
		time.Sleep(time.Hour)
		if n, c := s.now().n, s.pool.Status().Counts; n != 1 || c.Queued != 0 {
			t.Errorf("%d processes at the end, %d requests waited, want 1, 0", n, c.Queued)
		}
	})
}

// What is wanted stays between the bounds, everybody is served, and in the end
// there is as little as at the beginning.
func TestScalerUnderLoad(t *testing.T) {
	rules := map[string]scale.Rule{
		"on demand": {Max: 8, Per: 1, Idle: 10 * time.Second},
		"dynamic":   {Min: 2, Max: 8, Per: 1, Idle: 10 * time.Second},
		"spare":     {Min: 1, Max: 8, Spare: 3, Per: 1, Idle: 10 * time.Second},
	}
	for name, r := range rules {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newScaled(t, r)
				random := rand.New(rand.NewPCG(1, 1))
				for range 100 {
					s.requests(t, random.IntN(12), time.Duration(random.IntN(80))*time.Millisecond)
					time.Sleep(time.Duration(random.IntN(3000)) * time.Millisecond)
				}
				time.Sleep(time.Hour)
				if p := s.now(); p.most > r.Max || p.most < 4 || p.n != r.Floor() {
					t.Errorf("at the most %d processes, and %d at the end, want 4 to %d, and %d", p.most, p.n, r.Max, r.Floor())
				}
				if st := s.pool.Status(); st.Queued != 0 || uint64(s.served.Load()) != st.Counts.Leases {
					t.Errorf("%d wait, %d of %d served", st.Queued, s.served.Load(), st.Counts.Leases)
				}
			})
		})
	}
}

func TestScalerCloses(t *testing.T) {
	unused := newScaler(scale.Rule{Max: 1, Per: 1}, 0)
	unused.waiting()
	unused.waiting()
	unused.close()
	synctest.Test(t, func(t *testing.T) {
		s := newScaled(t, scale.Rule{Max: 4, Per: 1, Idle: time.Minute})
		s.scaler.close()
		waits := s.requests(t, 1, 0)
		time.Sleep(time.Second)
		if n := s.now().n; n != 0 {
			t.Errorf("%d processes wanted after close, want 0", n)
		}
		s.Want(1)
		waits.Wait()
		s.scaler.close()
	})
}
