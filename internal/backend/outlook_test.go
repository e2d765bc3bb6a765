package backend

import (
	"testing"
	"time"

	"github.com/sluice-gateway/sluice/pool"
	"github.com/sluice-gateway/sluice/process"
)

func TestOutlook(t *testing.T) {
	next := time.Date(2000, 1, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		name     string
		o        process.Outlook
		hopeless bool
		why      string
	}{
		{"a death", process.Outlook{Next: next, Last: &process.Exit{Reason: "exit status 1", Advice: "run it by hand"}}, false,
			"its last process: exit status 1: run it by hand"},
		{"no advice", process.Outlook{Next: next, Last: &process.Exit{Reason: "exit status 0"}}, false, "its last process: exit status 0"},
		{"a crash loop", process.Outlook{Next: next, Loop: true, Last: &process.Exit{Reason: "not started: no such program", Advice: "install it"}}, true,
			"its processes keep dying, the last one: not started: no such program: install it"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := outlook(tt.o)
			if got.Next != next || got.Hopeless != tt.hopeless || got.Err == nil || got.Err.Error() != tt.why {
				t.Errorf("outlook = %+v", got)
			}
		})
	}
	if got := outlook(process.Outlook{}); got != (pool.Outlook{}) {
		t.Errorf("outlook of nothing = %+v", got)
	}
}
