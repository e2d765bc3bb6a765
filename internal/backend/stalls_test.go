package backend

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/pool"
)

func TestStalls(t *testing.T) {
	type w = pool.WorkerStatus
	const s = time.Second
	// One who comes, waits, and goes, again and again, four looks of five.
	var impatient, probes []w
	for i := range uint64(60) {
		at := w{Load: 1, Served: i / 5, GivenUp: i / 5}
		if i%5 == 4 {
			at.Load = 0
		}
		impatient = append(impatient, at)
		probes = append(probes, w{Load: int(i % 2), Served: i / 2, GivenUp: i / 2})
	}
	tests := []struct {
		name  string
		looks []w           // one a second
		want  time.Duration // the stall, 0: none
	}{
		{"the first look", []w{{Load: 1}}, 0},
		{"nothing to do", []w{{}, {}, {}}, 0},
		{"one request for two seconds", []w{{Load: 1}, {Load: 1}, {Load: 1}}, 2 * s},
		{"one after the other", []w{{Load: 1}, {Load: 1, Signs: 1}, {Load: 1, Signs: 2}}, 0},
		{"it has ended something a second ago", []w{{Load: 1}, {Load: 1, Signs: 1}, {Load: 1, Signs: 1}}, s},
		{"another has been added", []w{{Load: 1}, {Load: 2}, {Load: 3}}, 2 * s},
		{"given up by the client", []w{{Load: 1}, {Load: 1, Served: 1, GivenUp: 1}, {Load: 1, Served: 2, GivenUp: 2}}, 2 * s},
		{"no answer in time", []w{{Load: 1}, {Load: 1, Served: 1, Failed: 1}, {Load: 1, Served: 2, Failed: 2}}, 2 * s},
		{"streams, that are all given up", []w{{Load: 2}, {Load: 1, Signs: 9, GivenUp: 1}, {Load: 2, Signs: 12, GivenUp: 2}}, 0},
		{"nobody is there at one look", []w{{Load: 1}, {Load: 1}, {}, {Load: 1}, {Load: 1}}, 2 * s},
		{"nobody is there for a while", []w{{Load: 1}, {Load: 1}, {}, {}, {Load: 1}, {Load: 1}}, s},
		{"a sign of life in the meantime", []w{{Load: 1}, {Load: 1}, {}, {Signs: 1}, {}, {Load: 1}}, 0},
		{"impatient visitors for a minute", impatient, 36 * s},
		{"one who only looks whether somebody listens", probes, 0},
		{"given up long ago, and another has just come", []w{{Load: 1}, {}, {}, {}, {}, {}, {Load: 1}}, 0},
		{"it waits for its client", []w{{Load: 1, AtClient: 1}, {Load: 1, AtClient: 1}, {Load: 1, AtClient: 1}}, 0},
		{"one of two waits for its client", []w{{Load: 2, AtClient: 1}, {Load: 2, AtClient: 1}}, s},
		{"a successor at the same address", []w{{Load: 1, Came: 0}, {Load: 1, Came: 7}}, 0},
		{"while it drains", []w{{Load: 1}, {Load: 1, Draining: true}}, s},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var seen stalls
			now := time.Date(2000, 1, 1, 12, 0, 0, 0, time.UTC)
			var found []stall
			for _, l := range tt.looks {
				now = now.Add(s)
				l.Endpoint = pool.Endpoint{Network: "unix", Address: "a"}
				other := w{Endpoint: pool.Endpoint{Network: "unix", Address: "b"}, Load: 1, Signs: uint64(now.Unix())}
				found = seen.look(now, pool.Status{Workers: []w{other, l}})
			}
			switch {
			case tt.want == 0 && len(found) != 0:
				t.Errorf("%+v, want none", found)
			case tt.want > 0 && (len(found) != 1 || found[0].silent != tt.want || found[0].worker.Address != "a"):
				t.Errorf("%+v, want a for %v", found, tt.want)
			}
		})
	}
}

// The requests that hang are those that were there when it began.
func TestStallsKnowWhoHangs(t *testing.T) {
	type look struct {
		leases uint64
		load   int
		signs  uint64
	}
	tests := []struct {
		name  string
		looks []look
		want  uint64
	}{
		{"it begins at the first look", []look{{5, 1, 0}, {6, 2, 0}, {7, 3, 0}}, 5},
		{"it begins later", []look{{5, 0, 0}, {6, 1, 0}, {7, 2, 0}}, 6},
		{"a sign of life", []look{{5, 1, 0}, {6, 1, 1}, {7, 2, 1}}, 6},
		{"nobody in between", []look{{5, 1, 0}, {6, 1, 0}, {7, 0, 0}, {8, 1, 0}}, 5},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var seen stalls
			var found []stall
			for i, l := range tt.looks {
				at := pool.Status{Workers: []pool.WorkerStatus{{Load: l.load, Signs: l.signs}}}
				at.Counts.Leases = l.leases
				found = seen.look(time.Unix(int64(i), 0), at)
			}
			if len(found) != 1 || found[0].leases != tt.want {
				t.Errorf("%+v, want the requests up to %d", found, tt.want)
			}
		})
	}
}

// A look that comes late counts no time: it was Sluice that stood still.
func TestStallsAfterAStandstill(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name string
		took []time.Duration // from one look to the next
		want time.Duration
	}{
		{"an hour", []time.Duration{time.Hour}, 0},
		{"seven seconds", []time.Duration{7 * s}, 0},
		{"a little late", []time.Duration{maxLook}, maxLook},
		{"what was before it counts, and what is after it", []time.Duration{s, s, 7 * s, s}, 3 * s},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var seen stalls
			now := time.Now()
			at := pool.Status{Workers: []pool.WorkerStatus{{Load: 1}}}
			found := seen.look(now, at)
			for _, d := range tt.took {
				now = now.Add(d)
				found = seen.look(now, at)
			}
			var got time.Duration
			if len(found) > 0 {
				got = found[0].silent
			}
			if got != tt.want {
				t.Errorf("silent for %v, want %v", got, tt.want)
			}
		})
	}
}

func TestStallsForgets(t *testing.T) {
	var s stalls
	now := time.Now()
	s.look(now, pool.Status{Workers: []pool.WorkerStatus{{Endpoint: pool.Endpoint{Address: "a"}, Load: 1}}})
	s.look(now, pool.Status{})
	if len(s.seen) != 0 {
		t.Errorf("%d workers remembered that are gone", len(s.seen))
	}
}
