package process

import (
	"fmt"
	"testing"
	"time"
)

func TestNext(t *testing.T) {
	type to struct {
		state  State
		action action
	}
	stay := func(s State) to { return to{s, nothing} }
	// Every state has a line for every event.
	tests := map[State]struct {
		timer, ready, exit, exitTooMany, retire, idle, abort, stop, kill to
	}{
		Down: {
			timer: to{Starting, start}, ready: stay(Down), exit: stay(Down), exitTooMany: stay(Down),
			retire: to{Stopped, nothing}, idle: stay(Down), abort: stay(Down),
			stop: to{Stopped, nothing}, kill: to{Stopped, nothing},
		},
		Starting: {
			timer: to{Ending, kill}, ready: to{Ready, admit}, exit: to{Down, pause}, exitTooMany: to{CrashLoop, giveUp},
			retire: to{Stopping, ask}, idle: stay(Starting), abort: stay(Starting),
			stop: to{Stopping, ask}, kill: to{Stopping, kill},
		},
		Ready: {
			timer: to{Ready, settle}, ready: stay(Ready), exit: to{Down, pause}, exitTooMany: to{CrashLoop, giveUp},
			retire: to{Draining, drain}, idle: stay(Ready), abort: to{Ending, abort},
			stop: to{Stopping, ask}, kill: to{Stopping, kill},
		},
		Ending: {
			timer: to{Ending, kill}, ready: stay(Ending), exit: to{Down, pause}, exitTooMany: to{CrashLoop, giveUp},
			retire: to{Stopping, nothing}, idle: stay(Ending), abort: stay(Ending),
			stop: to{Stopping, nothing}, kill: to{Stopping, kill},
		},
		CrashLoop: {
			timer: to{Starting, start}, ready: stay(CrashLoop), exit: stay(CrashLoop), exitTooMany: stay(CrashLoop),
			retire: to{Stopped, nothing}, idle: stay(CrashLoop), abort: stay(CrashLoop),
			stop: to{Stopped, nothing}, kill: to{Stopped, nothing},
		},
		Draining: {
			timer: to{Stopping, ask}, ready: stay(Draining), exit: to{Stopped, finish}, exitTooMany: to{Stopped, finish},
			retire: stay(Draining), idle: to{Stopping, ask}, abort: to{Stopping, abort},
			stop: to{Stopping, ask}, kill: to{Stopping, kill},
		},
		Stopping: {
			timer: to{Stopping, kill}, ready: stay(Stopping), exit: to{Stopped, finish}, exitTooMany: to{Stopped, finish},
			retire: stay(Stopping), idle: stay(Stopping), abort: stay(Stopping),
			stop: stay(Stopping), kill: to{Stopping, kill},
		},
		Stopped: {
			timer: stay(Stopped), ready: stay(Stopped), exit: stay(Stopped), exitTooMany: stay(Stopped),
			retire: stay(Stopped), idle: stay(Stopped), abort: stay(Stopped),
			stop: stay(Stopped), kill: stay(Stopped),
		},
	}
	if len(tests) != len(stateNames) {
		t.Fatalf("the table has %d states, want all %d", len(tests), len(stateNames))
	}
	for from, tt := range tests {
		for _, c := range []struct {
			event   event
			tooMany bool
			want    to
		}{
			{evTimer, false, tt.timer},
			{evReady, false, tt.ready},
			{evExit, false, tt.exit},
			{evExit, true, tt.exitTooMany},
			{evRetire, false, tt.retire},
			{evIdle, false, tt.idle},
			{evAbort, false, tt.abort},
			{evStop, false, tt.stop},
			{evKill, false, tt.kill},
		} {
			t.Run(fmt.Sprintf("%v, event %d, %v", from, c.event, c.tooMany), func(t *testing.T) {
				s, a := next(from, c.event, c.tooMany)
				if got := (to{s, a}); got != c.want {
					t.Errorf("next(%v, %d, %v) = %v, want %v", from, c.event, c.tooMany, got, c.want)
				}
			})
		}
	}
}

func TestStateString(t *testing.T) {
	for s, want := range map[State]string{Down: "down", CrashLoop: "crash loop", Draining: "draining", Stopped: "stopped", 8: "state 8"} {
		if got := s.String(); got != want {
			t.Errorf("State(%d).String() = %q, want %q", uint8(s), got, want)
		}
	}
}

func TestBackoff(t *testing.T) {
	const s = time.Second
	tests := []struct {
		name        string
		b           Backoff
		deaths      int
		ready       time.Duration
		clean       bool
		wantRow     int
		wantWait    time.Duration
		wantTooMany bool
	}{
		{"first, never ready", Backoff{}, 0, 0, false, 1, s, false},
		{"first, young", Backoff{}, 0, 30*s - 1, false, 1, s, false},
		{"first, healthy", Backoff{}, 0, 30 * s, false, 0, 0, false},
		{"second", Backoff{}, 1, 0, false, 2, 2 * s, false},
		{"fourth", Backoff{}, 3, 5 * s, false, 4, 8 * s, false},
		{"fifth is one too many", Backoff{}, 4, 0, false, 5, 60 * s, true},
		{"and so is each that follows", Backoff{}, 99, 0, false, 100, 60 * s, true},
		{"healthy ends the row", Backoff{}, 99, 30 * s, false, 0, 0, false},

		{"clean and at once is a death", Backoff{}, 0, s - 1, true, 1, s, false},
		{"clean after a while is none", Backoff{}, 3, s, true, 0, 0, false},
		{"clean, never ready", Backoff{Min: -1}, 0, 0, true, 1, 0, false},

		{"sixth pause, no limit", Backoff{Limit: -1}, 5, 0, false, 6, 32 * s, false},
		{"seventh pause is cut", Backoff{Limit: -1}, 6, 0, false, 7, 60 * s, false},
		{"a long row", Backoff{Limit: -1}, 1 << 30, 0, false, 1<<30 + 1, 60 * s, false},
		{"own times", Backoff{Min: 10 * s, Max: 25 * s}, 1, 0, false, 2, 20 * s, false},
		{"own times, cut", Backoff{Min: 10 * s, Max: 25 * s}, 2, 0, false, 3, 25 * s, false},
		{"Min above Max", Backoff{Min: 10 * s, Max: s}, 0, 0, false, 1, s, false},
		{"own limit", Backoff{Limit: 1, Max: 5 * s}, 0, 0, false, 1, 5 * s, true},
		{"own healthy", Backoff{Healthy: 2 * s}, 2, 2 * s, false, 0, 0, false},
		{"no pause", Backoff{Min: -1, Limit: -1}, 1 << 30, 0, false, 1<<30 + 1, 0, false},
		{"no longest pause", Backoff{Max: -1, Limit: -1}, 10, 0, false, 11, 1024 * s, false},
		{"no longest pause, long row", Backoff{Max: -1, Limit: -1}, 1 << 30, 0, false, 1<<30 + 1, 1<<63 - 1, false},
		{"no longest pause, crash loop", Backoff{Max: -1}, 4, 0, false, 5, 16 * s, true},
		{"no run is long enough", Backoff{Healthy: -1}, 0, 1000 * time.Hour, false, 1, s, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			row, wait, tooMany := tt.b.after(tt.deaths, tt.ready, tt.clean)
			if row != tt.wantRow || wait != tt.wantWait || tooMany != tt.wantTooMany {
				t.Errorf("%+v.after(%d, %v, %v) = %d, %v, %v, want %d, %v, %v", tt.b, tt.deaths, tt.ready, tt.clean,
					row, wait, tooMany, tt.wantRow, tt.wantWait, tt.wantTooMany)
			}
		})
	}
}
