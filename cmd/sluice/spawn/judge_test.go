package spawn

import (
	"testing"

	"github.com/sluice-gateway/sluice/process"
)

func TestJudge(t *testing.T) {
	d := &process.Exit{Reason: "x"}
	ready, starting := process.Status{State: process.Ready}, process.Status{State: process.Starting}
	died, back := process.Status{Last: d}, process.Status{State: process.Ready, Last: d}
	lost := process.Status{State: process.CrashLoop, Last: d}
	finished := process.Status{Last: &process.Exit{Finished: true}}
	for _, tt := range []struct {
		name        string
		views       []process.Status
		isUp, retry bool
		want        verdict
		why         *process.Exit
	}{
		{"all are ready", []process.Status{ready, ready}, false, false, gotUp, nil},
		{"one is not", []process.Status{ready, starting}, false, false, undecided, nil},
		{"up already", []process.Status{ready, ready}, true, false, undecided, nil},
		{"a death at the start", []process.Status{ready, died}, false, false, failed, d},
		{"a death at the start, and a new one", []process.Status{back}, false, false, failed, d},
		{"the same, and it may be tried again", []process.Status{back}, false, true, gotUp, nil},
		{"one has done its share already", []process.Status{ready, finished}, false, false, gotUp, nil},
		{"all have", []process.Status{finished, finished}, false, false, gotUp, nil},
		{"one has, and one starts", []process.Status{finished, starting}, false, false, undecided, nil},
		{"one has, and one has died", []process.Status{finished, died}, false, false, failed, d},
		{"a death later", []process.Status{ready, died}, true, false, undecided, nil},
		{"one keeps dying", []process.Status{ready, lost}, true, true, undecided, nil},
		{"all keep dying", []process.Status{lost, lost}, true, true, failed, d},
		{"all keep dying, for ever", []process.Status{lost, lost}, true, false, undecided, nil},
		{"all keep dying at the start", []process.Status{lost}, false, true, failed, d},
	} {
		if got, why := judge(tt.views, tt.isUp, tt.retry); got != tt.want || why != tt.why {
			t.Errorf("%s: %v, %v, want %v, %v", tt.name, got, why, tt.want, tt.why)
		}
	}
}
