package fcgi

import (
	"bytes"
	"net"
	"net/http"
	"runtime"
	"testing"
)

// The standard package makes a buffer of 64 KiB for each response.
func TestAllocations(t *testing.T) {
	const n = 200
	measure := func(lib library) uint64 {
		ask := newAsker(t, lib)
		for range n {
			ask(t)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range n {
			ask(t)
		}
		runtime.ReadMemStats(&after)
		return (after.TotalAlloc - before.TotalAlloc) / n
	}
	std, our := measure(theirs), measure(ours)
	t.Logf("bytes for a request: %d -> %d", std, our)
	if std < 64<<10 || our > std/5 {
		t.Errorf("bytes for a request: %d -> %d, want more than 64 KiB, and less than a fifth of that", std, our)
	}
}

func BenchmarkHello(b *testing.B) {
	for _, lib := range both {
		b.Run(lib.name, func(b *testing.B) {
			ask := newAsker(b, lib)
			b.ReportAllocs()
			for b.Loop() {
				ask(b)
			}
		})
	}
}

// newAsker starts a server and returns a function that asks it, on a
// connection that is kept, and makes no garbage.
func newAsker(t testing.TB, lib library) (ask func(t testing.TB)) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error)
	go func() { served <- lib.serve(l, http.HandlerFunc(panicOrHello)) }() // until l is closed
	nc, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		nc.Close()
		l.Close()
		<-served
	})
	request := []byte(beginK1 + params1(requestTests[0].params...) + endParams1 + endStdin1)
	end := []byte("\x01\x03\x00\x01\x00\x08\x00\x00" + "\x00\x00\x00\x00\x00\x00\x00\x00")
	answer := make([]byte, 4096)
	return func(t testing.TB) {
		if _, err := nc.Write(request); err != nil {
			t.Fatal(err)
		}
		for got := answer[:0]; !bytes.HasSuffix(got, end); {
			n, err := nc.Read(answer[len(got):])
			if err != nil {
				t.Fatal(err)
			}
			got = answer[:len(got)+n]
		}
	}
}
