package spill

import (
	"bytes"
	"errors"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// piece returns n bytes, no two neighbouring stretches of which are the same.
func piece(n int) []byte {
	b := make([]byte, n)
	x := uint32(n)
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// open returns a queue that ends with the test, which then looks whether
// everything has been given back.
func open(t *testing.T, s *Store, window int) *Queue {
	t.Helper()
	if s.Dir == "" {
		s.Dir = t.TempDir()
	}
	q := &Queue{Store: s, Window: window}
	t.Cleanup(func() {
		q.Close()
		if s.Memory() != 0 || s.Files() != 0 {
			t.Errorf("after Close, Memory() = %d and Files() = %d, want 0 and 0", s.Memory(), s.Files())
		}
	})
	return q
}

func write(t *testing.T, q *Queue, p []byte) {
	t.Helper()
	if err := q.Write(p); err != nil {
		t.Fatalf("Write of %d bytes = %v", len(p), err)
	}
}

// drain takes everything that is in q.
func drain(t *testing.T, q *Queue) []byte {
	t.Helper()
	var all []byte
	for q.Len() > 0 {
		had := q.Len()
		b, err := q.Next()
		if err != nil || len(b) == 0 {
			t.Fatalf("Next() = %d bytes, %v with %d bytes in the queue", len(b), err, had)
		}
		if q.Len() != had-int64(len(b)) {
			t.Fatalf("Len() = %d after Next has taken %d of %d bytes", q.Len(), len(b), had)
		}
		all = append(all, b...)
	}
	if b, err := q.Next(); len(b) > 0 || err != nil {
		t.Fatalf("Next() = %d bytes, %v on an empty queue", len(b), err)
	}
	return all
}

// Where the bytes go that are written one after the other.
func TestWriteGoes(t *testing.T) {
	tests := []struct {
		name      string
		window    int
		maxMemory int64
		sizes     []int
		memory    int64 // want of Store.Memory
		files     int64 // want of Store.Files
	}{
		{"nothing", 100, 100, []int{0}, 0, 0},
		{"window", 100, 100, []int{100}, 0, 0},
		{"beyond the window", 100, 100, []int{101}, 1, 0},
		{"beyond the window, in two", 100, 100, []int{60, 60}, 20, 0},
		{"all memory", 100, 100, []int{200}, 100, 0},
		{"more than all memory", 100, 100, []int{201}, 0, page},
		{"more than all memory, in two", 100, 100, []int{150, 51}, 50, page},
		{"what comes after the file", 100, 100, []int{150, 51, 1}, 50, page},
		{"one page", 100, 100, []int{200, page}, 100, page},
		{"more than one page", 100, 100, []int{200, page + 1}, 100, 2 * page},
		{"more than one page, in two", 100, 100, []int{200, page, 1}, 100, 2 * page},
		{"default window", 0, 1, []int{131072}, 0, 0},
		{"more than the default window", 0, 1, []int{131073}, 1, 0},
		{"no window limit", -1, 1, []int{1 << 20}, 0, 0},
		{"no memory limit", 1, -1, []int{1 << 20}, 1<<20 - 1, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Store{MaxMemory: tt.maxMemory}
			q := open(t, s, tt.window)
			var want []byte
			for _, n := range tt.sizes {
				p := piece(n)
				want = append(want, p...)
				write(t, q, p)
				clear(p) // it is the caller's again
			}
			if s.Memory() != tt.memory || s.Files() != tt.files {
				t.Errorf("Memory() = %d and Files() = %d, want %d and %d", s.Memory(), s.Files(), tt.memory, tt.files)
			}
			if q.Len() != int64(len(want)) {
				t.Errorf("Len() = %d, want %d", q.Len(), len(want))
			}
			if got := drain(t, q); !bytes.Equal(got, want) {
				t.Errorf("%d bytes came out, want the %d that went in", len(got), len(want))
			}
			if s.Memory() != 0 || s.Files() != 0 {
				t.Errorf("when all is taken, Memory() = %d and Files() = %d, want 0 and 0", s.Memory(), s.Files())
			}
		})
	}
}

func TestLimits(t *testing.T) {
	tests := []struct {
		name          string
		field         int64 // MaxMemory and MaxFiles
		memory, files int64 // what they mean
	}{
		{"default", 0, 67108864, 1073741824},
		{"given", 1, 1, 1},
		{"none", -1, math.MaxInt64, math.MaxInt64},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Store{MaxMemory: tt.field, MaxFiles: tt.field}
			if s.maxMemory() != tt.memory || s.maxFiles() != tt.files {
				t.Errorf("limits = %d and %d, want %d and %d", s.maxMemory(), s.maxFiles(), tt.memory, tt.files)
			}
		})
	}
}

// A refused write takes nothing, and the quota is used to its last byte.
func TestFull(t *testing.T) {
	tests := []struct {
		name     string
		maxFiles int64
		fits     int // bytes, after the 10 of the window
		refused  int
	}{
		{"one page", page, page, 1},
		{"one page at once", page, 0, page + 1},
		{"less than a page", page - 1, 0, 2},
		{"three pages", 3 * page, page + 1, 2 * page},
		{"three pages, used up", 3 * page, 3 * page, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := &Store{MaxMemory: 1, MaxFiles: tt.maxFiles}
			q := open(t, s, 10)
			want := append(piece(10), piece(tt.fits)...)
			write(t, q, want[:10])
			write(t, q, want[10:])
			used := s.Files()
			err := q.Write(piece(tt.refused))
			if !errors.Is(err, ErrFull) || !strings.HasPrefix(err.Error(), "spill: quota used up: all files together may take ") {
				t.Fatalf("Write = %v, want ErrFull and which quota it is", err)
			}
			if s.Files() != used {
				t.Errorf("Files() = %d after a refused write, want %d as before", s.Files(), used)
			}
			if got := drain(t, q); !bytes.Equal(got, want) {
				t.Errorf("%d bytes came out, want the %d of before the refused write", len(got), len(want))
			}
			write(t, q, want[:10]) // there is room again
			write(t, q, want[10:])
		})
	}
}

// What Next has returned is the reader's, who reads it without the lock.
func TestNextLends(t *testing.T) {
	tests := []struct {
		name   string
		window int // of 1, the bytes go through the file
		size   int
	}{
		{"small block", 1 << 20, 100},
		{"big block", 1 << 20, smallBlock + 1},
		{"full block", 1 << 20, smallBlock},
		{"file", 1, 100},
		{"file, big block", 1, smallBlock + 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := open(t, &Store{MaxMemory: 1}, tt.window)
			want := piece(tt.size)
			write(t, q, want)
			lent, err := q.Next()
			if err != nil {
				t.Fatal(err)
			}
			others := make([]byte, 2*bigBlock)
			write(t, q, others[:1])
			write(t, q, others)
			if !bytes.Equal(lent, want) {
				t.Error("a later Write has changed what Next returned")
			}
			clear(lent) // it is the reader's
			if got := drain(t, q); len(got) != len(others)+1 {
				t.Errorf("%d more bytes came out, want %d", len(got), len(others)+1)
			}
		})
	}
}

// A queue that has been read empty is as good as new: it uses memory again.
func TestMemoryAfterFile(t *testing.T) {
	s := &Store{MaxMemory: 1}
	q := open(t, s, 10)
	for range 3 {
		write(t, q, piece(10))
		write(t, q, piece(20))
		if s.Files() == 0 {
			t.Fatal("Files() = 0 with more in the queue than may be in memory")
		}
		drain(t, q)
		write(t, q, piece(10))
		if s.Files() != 0 {
			t.Fatalf("Files() = %d with no more in the queue than may be in memory, want 0", s.Files())
		}
		drain(t, q)
	}
}

func TestClose(t *testing.T) {
	s := &Store{Dir: t.TempDir(), MaxMemory: 20}
	other := open(t, s, 10)
	write(t, other, piece(15))
	q := &Queue{Store: s, Window: 10}
	write(t, q, piece(5))
	if _, err := q.Next(); err != nil {
		t.Fatal(err)
	}
	write(t, q, piece(15))
	write(t, q, piece(page))
	for _, time := range []string{"first", "second"} {
		q.Close()
		if s.Memory() != 5 || s.Files() != 0 {
			t.Errorf("after the %s Close, Memory() = %d and Files() = %d, want the 5 of the other queue and 0", time, s.Memory(), s.Files())
		}
	}
	if q.Len() != 0 {
		t.Errorf("after Close, Len() = %d, want 0", q.Len())
	}
	if err := q.Write(piece(1)); err != ErrClosed {
		t.Errorf("after Close, Write = %v, want ErrClosed", err)
	}
	if _, err := q.Next(); err != ErrClosed {
		t.Errorf("after Close, Next = %v, want ErrClosed", err)
	}
}

// Two Closes do not give the same memory to two others.
func TestCloseFreesOnce(t *testing.T) {
	s := new(Store)
	for range 20 { // the race detector makes a sync.Pool lose some
		q := open(t, s, 0)
		write(t, q, piece(1))
		write(t, q, piece(smallBlock))
		if _, err := q.Next(); err != nil {
			t.Fatal(err)
		}
		q.Close()
		q.Close()
		var lent [4][]byte
		for i := range lent {
			q := open(t, s, 0)
			write(t, q, []byte{byte(i)})
			lent[i], _ = q.Next()
		}
		for i, b := range lent {
			if len(b) != 1 || b[0] != byte(i) {
				t.Fatalf("queue %d holds %v, want %d", i, b, i)
			}
		}
	}
}

// Little takes little memory, much is passed on in few pieces.
func TestBlocks(t *testing.T) {
	tests := []struct {
		name  string
		sizes []int // of the writes
		want  []int // bytes that the blocks have room for
	}{
		{"nothing", []int{0}, nil},
		{"a byte", []int{1}, []int{4096}},
		{"a small block", []int{4096}, []int{4096}},
		{"a small block, in two", []int{4095, 1}, []int{4096}},
		{"more at once", []int{4097}, []int{65536}},
		{"more, in two", []int{4096, 1}, []int{4096, 65536}},
		{"a small and a big block", []int{1, 4095, 65536}, []int{4096, 65536}},
		{"two big blocks", []int{65537}, []int{65536, 65536}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			q := open(t, new(Store), -1)
			for _, n := range tt.sizes {
				write(t, q, piece(n))
			}
			var got []int
			for b := q.memory.first; b != nil; b = b.next {
				got = append(got, cap(b.b))
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("writes of %v bytes take blocks of %v, want %v", tt.sizes, got, tt.want)
			}
		})
	}
}

// A file that cannot be made costs what was to be written, and no more.
func TestDirMissing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "gone")
	s := &Store{Dir: dir, MaxMemory: 1}
	q := open(t, s, 10)
	want := piece(10)
	write(t, q, want)
	for range 2 {
		err := q.Write(piece(10))
		var failed *Error
		if !errors.As(err, &failed) || failed.Op != "create" || failed.Dir != dir || !errors.Is(err, fs.ErrNotExist) {
			t.Fatalf("Write = %#v, want an *Error about creating a file in %s, where there is none", err, dir)
		}
		if want := "spill: create a file in " + dir + ": no such file or directory"; err.Error() != want {
			t.Errorf("Write = %q, want %q", err, want)
		}
		if s.Files() != 0 {
			t.Errorf("Files() = %d without a file, want 0", s.Files())
		}
	}
	if got := drain(t, q); !bytes.Equal(got, want) {
		t.Errorf("%d bytes came out, want the %d of before", len(got), len(want))
	}
}

func TestDoesNotAllocate(t *testing.T) {
	s := &Store{MaxMemory: 1 << 20}
	p := piece(1000)
	q := Queue{Store: s}
	renew := func() {
		q.Close()
		q = Queue{Store: s, Window: 100} // the store counts the rest
	}
	next := func() {
		if _, err := q.Next(); err != nil {
			t.Fatal(err)
		}
	}
	// One block each: the race detector makes a sync.Pool lose a quarter of
	// what it gets, and AllocsPerRun rounds down.
	tests := []struct {
		name string
		run  func()
	}{
		{"in steady state", func() { write(t, &q, p); write(t, &q, p); next() }},
		{"when closed before it is read", func() { write(t, &q, p); renew() }},
		{"when closed after it is read", func() { write(t, &q, p); next(); renew() }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			renew()
			if allocs := testing.AllocsPerRun(1000, tt.run); allocs != 0 {
				t.Errorf("%v allocations, want 0", allocs)
			}
			q.Close()
		})
	}
}
