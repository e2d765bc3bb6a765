package spawn

import (
	"syscall"
	"testing"
)

// What a signal does, before and after the order to end.
func TestSignalRule(t *testing.T) {
	const hup, intr, quit, term, usr1, usr2 = syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2
	ours := signalRule{stop: quit, stopTimeout: 3, niceTimeout: -1}
	multiwatch := signalRule{multiwatch: usr1, stop: quit, stopTimeout: 3, niceTimeout: -1}
	toEnd := order{end, quit, 3}
	nicely := order{end, usr1, -1}
	for _, tt := range []struct {
		sig              syscall.Signal
		ours, multiwatch order // the first time
	}{
		{hup, order{do: replace}, nicely},
		{intr, toEnd, nicely},
		{quit, toEnd, nicely},
		{term, toEnd, nicely},
		{usr1, nicely, nicely},
		{usr2, order{do: pass, signal: usr2}, order{do: pass, signal: usr2}},
	} {
		again := order{do: pass, signal: tt.sig}
		if got := ours.order(tt.sig, false); got != tt.ours {
			t.Errorf("%v: %v, want %v", tt.sig, got, tt.ours)
		}
		if got := multiwatch.order(tt.sig, false); got != tt.multiwatch {
			t.Errorf("%v as multiwatch has it: %v, want %v", tt.sig, got, tt.multiwatch)
		}
		if a, b := ours.order(tt.sig, true), multiwatch.order(tt.sig, true); a != again || b != again {
			t.Errorf("%v the second time: %v and %v, want %v", tt.sig, a, b, again)
		}
	}
}
