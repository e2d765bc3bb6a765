package fastcgi

import (
	"testing"
	"time"
)

// What a Client does whose fields are zero, or negative, as its documentation
// says.
func TestClientDefaults(t *testing.T) {
	for _, tt := range []struct{ memory, files, wantMemory, wantFiles int64 }{
		{0, 0, DefaultMaxSpillMemory, DefaultMaxSpill},
		{-1, -1, -1, -1},
		{1, 2, 1, 2},
	} {
		a := startApp(t, helloApp)
		c := newClient(t, &Client{MaxSpillMemory: tt.memory, MaxSpill: tt.files})
		hellos(t, c, a.addr, 1)
		if c.spill.MaxMemory != tt.wantMemory || c.spill.MaxFiles != tt.wantFiles {
			t.Errorf("MaxSpillMemory %d, MaxSpill %d: %d bytes of memory and %d of files, want %d and %d",
				tt.memory, tt.files, c.spill.MaxMemory, c.spill.MaxFiles, tt.wantMemory, tt.wantFiles)
		}
	}
	for window, want := range map[int]int{0: DefaultWindow, -1: DefaultWindow, 1: 1, maxWindow: maxWindow} {
		if got := (&Client{Window: window}).window(); got != want {
			t.Errorf("Window %d means %d bytes, want %d", window, got, want)
		}
	}
	for n, want := range map[int]int{-1: 1, 0: 1, 1: 1, 2: 2, 512: 512, 513: 512} {
		h := &host{client: &Client{Multiplex: n}, mux: multiplexing{state: muxYes, max: n}}
		if got := h.shareFor(get("/")); got != want {
			t.Errorf("Multiplex %d means %d requests on a connection, want %d", n, got, want)
		}
	}
}

// An unused connection is kept for DefaultIdleTimeout at the least and twice
// that at the most, if nothing else is said: less than applications wait.
func TestDefaultIdleTimeout(t *testing.T) {
	const most = 10 * time.Second
	withKept(t, &Client{}, helloKept, func(t *testing.T, k *kept) {
		k.lostAfter(t, 2*DefaultIdleTimeout)
		if took := time.Since(k.start); took > most {
			t.Errorf("closed after %v, want %v at the most", took, most)
		}
	})
}

// With a negative IdleTimeout it is kept for good.
func TestNoIdleTimeout(t *testing.T) {
	withKept(t, &Client{IdleTimeout: -1}, helloKept, func(t *testing.T, k *kept) {
		select {
		case took := <-k.lost:
			t.Errorf("closed after %v", took)
		case <-time.After(24 * time.Hour):
		}
	})
}
