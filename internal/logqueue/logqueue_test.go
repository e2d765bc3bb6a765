package logqueue

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A reader takes what is written to it only while its gate is open.
type reader struct {
	gate chan struct{} // closed when it reads
	mu   sync.Mutex
	got  bytes.Buffer
}

func (r *reader) Write(p []byte) (int, error) {
	<-r.gate
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got.Write(p)
}

func (r *reader) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got.String()
}

func lost(w io.Writer, n int) { fmt.Fprintf(w, "%d lines lost\n", n) }

// Everything arrives, in order.
func TestQueuePassesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{gate: make(chan struct{})}
		close(r.gate)
		q := New(r, lost)
		line := []byte("0\n")
		for i := range 10 {
			line[0] = byte('0' + i) // whoever writes may use his buffer again
			if n, err := q.Write(line); n != 2 || err != nil {
				t.Errorf("Write = %d, %v", n, err)
			}
			if i == 5 {
				synctest.Wait() // one that has nothing to do is woken up
			}
		}
		q.Close(time.Minute)
		q.Close(time.Minute)
		q.Write([]byte("too late\n"))
		if got, want := r.String(), "0\n1\n2\n3\n4\n5\n6\n7\n8\n9\n"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// Nobody reads: whoever writes goes on, a bounded number of bytes waits, and
// the rest is counted where it is missing.
func TestQueueWithoutReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{gate: make(chan struct{})}
		q := New(r, lost)
		line := []byte(strings.Repeat("x", 1023) + "\n")
		const fit, over = room / 1024, 7
		for range fit + over {
			q.Write(line)
		}
		begin := time.Now()
		q.Close(0)
		if waited := time.Since(begin); waited != 0 {
			t.Errorf("Close(0) has waited for %v", waited)
		}
		close(r.gate)
		q.Close(time.Minute)
		if got, want := r.String(), strings.Repeat(string(line), fit)+"7 lines lost\n"; got != want {
			t.Errorf("%d bytes arrive, the last of them %q, want %d that end with %q", len(got), got[max(0, len(got)-20):], len(want), want[len(want)-20:])
		}
	})
}

// A reader comes back: what was lost stands between what came before it and what
// came after.
func TestQueueSaysWhereLinesAreLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{gate: make(chan struct{})}
		q := New(r, lost)
		q.Write([]byte(strings.Repeat("a", room-10) + "\n"))
		q.Write([]byte("does not fit\n"))
		q.Write([]byte("nor this one\n"))
		q.Write([]byte("b\n")) // it does
		close(r.gate)
		synctest.Wait()
		q.Write(make([]byte, room+1))
		synctest.Wait()
		q.Write([]byte("c\n"))
		q.Close(time.Minute)
		if got, want := strings.TrimLeft(r.String(), "a"), "\n2 lines lost\nb\n1 lines lost\nc\n"; got != want {
			t.Errorf("%q, want %q", got, want)
		}
	})
}

// Whoever closes a queue that nobody reads waits for so long and not longer.
func TestQueueCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &reader{gate: make(chan struct{})}
		q := New(r, lost)
		q.Write([]byte("a\n"))
		begin := time.Now()
		q.Close(Patience)
		if waited := time.Since(begin); waited != Patience {
			t.Errorf("Close waited for %v, want %v", waited, Patience)
		}
		close(r.gate)
	})
}

// Several write at a time, and no line is cut or lost.
func TestQueueManyWriters(t *testing.T) {
	r := &reader{gate: make(chan struct{})}
	close(r.gate)
	q := New(r, lost)
	var writers sync.WaitGroup
	for i := range 8 {
		writers.Go(func() {
			for j := range 100 {
				fmt.Fprintf(q, "%d %d\n", i, j)
			}
		})
	}
	writers.Wait()
	q.Close(time.Minute)
	next := [8]int{}
	for line := range strings.Lines(r.String()) {
		var i, j int
		if _, err := fmt.Sscanf(line, "%d %d\n", &i, &j); err != nil || next[i] != j {
			t.Fatalf("line %q, %v, want number %d", line, err, next[i])
		}
		next[i]++
	}
	for i, n := range next {
		if n != 100 {
			t.Errorf("%d lines of writer %d, want 100", n, i)
		}
	}
}
