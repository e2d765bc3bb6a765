package sluice

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/pool"
)

func TestStalls(t *testing.T) {
	type w = pool.WorkerStatus
	const never = time.Duration(-1)
	tests := []struct {
		name  string
		looks []w // one a second
		want  time.Duration
	}{
		{"the first look", []w{{Load: 1}}, never},
		{"nothing to do", []w{{}, {}, {}}, never},
		{"one request for two seconds", []w{{Load: 1}, {Load: 1}, {Load: 1}}, 2 * time.Second},
		{"one after the other", []w{{Load: 1}, {Load: 1, Served: 1}, {Load: 1, Served: 2}}, never},
		{"it has ended something a second ago", []w{{Load: 1}, {Load: 1, Served: 1}, {Load: 1, Served: 1}}, time.Second},
		{"another has been added", []w{{Load: 1}, {Load: 2}, {Load: 3}}, 2 * time.Second},
		{"idle in between", []w{{Load: 1}, {}, {Load: 1}}, never},
		{"given up by the client", []w{{Load: 1}, {Load: 1, Served: 1, GivenUp: 1}, {Load: 1, Served: 2, GivenUp: 2}}, 2 * time.Second},
		{"one given up, one ended", []w{{Load: 1}, {Load: 1, Served: 2, GivenUp: 1}}, never},
		{"failed", []w{{Load: 1}, {Load: 1, Served: 1, Failed: 1}}, never},
		{"a successor at the same address", []w{{Load: 1, Came: 0}, {Load: 1, Came: 7}}, never},
		{"while it drains", []w{{Load: 1}, {Load: 1, Draining: true}}, time.Second},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s stalls
			now := time.Date(2000, 1, 1, 12, 0, 0, 0, time.UTC)
			var found []stall
			for _, l := range tt.looks {
				now = now.Add(time.Second)
				l.Endpoint = pool.Endpoint{Network: "unix", Address: "a"}
				other := w{Endpoint: pool.Endpoint{Network: "unix", Address: "b"}, Load: 1, Served: uint64(now.Unix())}
				found = s.look(now, []w{other, l})
			}
			switch {
			case tt.want == never && len(found) != 0:
				t.Errorf("%v, want none", found)
			case tt.want != never && (len(found) != 1 || now.Sub(found[0].since) != tt.want || found[0].worker.Address != "a"):
				t.Errorf("%v at %v, want a for %v", found, now, tt.want)
			}
		})
	}
}

func TestStallsForgets(t *testing.T) {
	var s stalls
	now := time.Now()
	s.look(now, []pool.WorkerStatus{{Endpoint: pool.Endpoint{Address: "a"}, Load: 1}})
	s.look(now, nil)
	if len(s.seen) != 0 {
		t.Errorf("%d workers remembered that are gone", len(s.seen))
	}
}
