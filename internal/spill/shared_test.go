package spill

import (
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// Many queues share one store: it never holds more than it may, and each
// stream comes out as it went in. As in real use, a reader looks at what Next
// has returned without the lock.
func TestShared(t *testing.T) {
	s := &Store{Dir: t.TempDir(), MaxMemory: 20000, MaxFiles: 10 * page}
	stop := make(chan struct{})
	var streams, watch sync.WaitGroup
	watch.Go(func() {
		for {
			if m, f := s.Memory(), s.Files(); m < 0 || m > s.MaxMemory || f < 0 || f > s.MaxFiles {
				t.Errorf("Memory() = %d of %d, Files() = %d of %d", m, s.MaxMemory, f, s.MaxFiles)
			}
			select {
			case <-stop:
				return
			default:
				runtime.Gosched()
			}
		}
	})
	var all sync.Mutex
	var refused, spilled int
	for seed := range uint64(8) {
		streams.Go(func() {
			st := stream{t: t, q: Queue{Store: s, Window: 100}, size: 1 << 20}
			st.run(seed)
			all.Lock()
			defer all.Unlock()
			refused += st.refused
			spilled += st.spilled
		})
	}
	streams.Wait()
	close(stop)
	watch.Wait()
	if s.Memory() != 0 || s.Files() != 0 {
		t.Errorf("at the end, Memory() = %d and Files() = %d, want 0 and 0", s.Memory(), s.Files())
	}
	if refused == 0 || spilled == 0 {
		t.Errorf("%d writes were refused and %d went to a file: this tests nothing", refused, spilled)
	}
}

// However many ask at once, no more is given than there is, and all of it.
func TestReserve(t *testing.T) {
	const limit = 1000
	var used, given atomic.Int64
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 200000 {
				if reserve(&used, 1, limit) {
					given.Add(1)
				}
				if reserve(&used, 1, limit+4) { // there is always room for one of each
					used.Add(-1)
				} else {
					t.Error("reserve = false with room for all")
				}
			}
		})
	}
	all.Wait()
	if used.Load() != limit || given.Load() != limit {
		t.Errorf("%d in use and %d given, want %d and %d", used.Load(), given.Load(), limit, limit)
	}
}

// A stream is a writer and a reader of one queue. Its bytes count.
type stream struct {
	t    *testing.T
	size int

	mu               sync.Mutex
	q                Queue
	refused, spilled int
}

func (st *stream) run(seed uint64) {
	var reader sync.WaitGroup
	reader.Go(st.read)
	r := rand.New(rand.NewPCG(seed, 0))
	p := make([]byte, 3000)
	for sent := 0; sent < st.size; {
		b := p[:min(1+r.IntN(len(p)), st.size-sent)]
		for i := range b {
			b[i] = counted(sent + i)
		}
		st.mu.Lock()
		err := st.q.Write(b)
		if errors.Is(err, ErrFull) {
			st.refused++
		}
		if st.q.file.len() > 0 {
			st.spilled++
		}
		st.mu.Unlock()
		switch {
		case err == nil:
			sent += len(b)
		case errors.Is(err, ErrFull):
			runtime.Gosched()
		default:
			st.t.Errorf("Write: %v", err)
			return
		}
	}
	reader.Wait()
	st.q.Close()
}

func (st *stream) read() {
	for got := 0; got < st.size; {
		st.mu.Lock()
		b, err := st.q.Next()
		st.mu.Unlock()
		if err != nil {
			st.t.Errorf("Next: %v", err)
			return
		}
		for i, c := range b {
			if c != counted(got+i) {
				st.t.Errorf("byte %d is %d, want %d", got+i, c, counted(got+i))
				return
			}
			b[i] = 0 // it is ours
		}
		got += len(b)
		if len(b) == 0 {
			runtime.Gosched()
		}
	}
}

// counted is the byte at place i of every stream.
func counted(i int) byte { return byte(i ^ i>>8 ^ i>>16) }
